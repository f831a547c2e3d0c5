//! The one task that hands frames to the broker.
//!
//! The client library would buffer while the link is down and send all of it at once afterwards, however
//! old. So a frame leaves our queue only when the link is up and the window of unanswered frames has room,
//! and one frame at most is inside the client. The window also bounds what the system's socket buffers can
//! hold on a slow or dead link.

use std::{sync::Arc, time::Instant};

use tokio::sync::Semaphore;

use crate::{
    connection::{Connection, PayloadLimit},
    drop_reason::DropReason,
    queue::{FrameQueue, OutboundFrame, Slot},
};

/// Sends what a [`FrameQueue`] holds.
pub struct FramePublisher {
    connection: Connection,
    queue: FrameQueue,
    window: Arc<Semaphore>,
    said: Option<PayloadLimit>,
}

impl FramePublisher {
    /// Sends the frames of `queue` over `connection`, with at most `window` (at least one) unanswered.
    pub fn new(connection: Connection, queue: FrameQueue, window: usize) -> Self {
        Self { connection, queue, window: Arc::new(Semaphore::new(window.max(1))), said: None }
    }

    /// Runs until the queue is closed and empty. Dropping the future leaves the frames in the queue.
    pub async fn run(mut self) {
        while self.queue.wait_for_frame().await {
            self.connection.wait_up().await;
            let Ok(permit) = self.window.clone().acquire_owned().await else {
                return;
            };
            // The wait for a slot may have been long: the link can be gone and the frames old.
            if !self.connection.is_up() {
                continue;
            }
            if let Some(frame) = self.queue.take_fresh(Instant::now()) {
                self.send(frame, Slot::new(permit)).await;
            }
        }
        self.connection.flush().await;
    }

    async fn send(&mut self, frame: OutboundFrame, slot: Slot) {
        let observer = self.queue.observer();
        if let Err(limit) = self.connection.check_payload(frame.payload.len()) {
            if self.said.map(|said| said.limit) != Some(limit.limit) {
                tracing::error!(error = %limit, "frames do not fit");
                self.said = Some(limit);
            }
            observer.dropped(&frame, DropReason::PayloadLimit);
            return;
        }
        // Told first: the answer can be back before the call that sends it has returned.
        observer.sending(&frame, slot);
        let OutboundFrame { subject, reply, payload, .. } = frame.clone();
        match self.connection.client().publish_with_reply(subject, reply, payload).await {
            Ok(()) => {
                self.connection.flush().await;
                observer.written(&frame);
            }
            Err(error) => {
                tracing::warn!(%error, sequence = frame.sequence.0, "publishing");
                observer.failed(&frame);
            }
        }
    }
}

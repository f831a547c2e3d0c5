//! Frames that wait for the broker: a bounded queue that knows their age.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use autotiler_core::Sequence;
use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::drop_reason::DropReason;

/// One frame, ready to be sent.
#[derive(Debug, Clone)]
pub struct OutboundFrame {
    /// Its number in the stream.
    pub sequence: Sequence,
    /// When it was captured.
    pub captured: Instant,
    /// Where it goes.
    pub subject: String,
    /// Where its answer goes.
    pub reply: String,
    /// Header and access unit.
    pub payload: Bytes,
}

/// A place in the window of frames that are sent and not answered. Dropping it lets the next frame go.
#[derive(Debug)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Some(permit) }
    }

    /// A slot of no window, for tests of observers.
    #[cfg(feature = "testing")]
    pub fn unbounded() -> Self {
        Self { _permit: None }
    }
}

/// Who is told what becomes of each frame. Every frame given to the queue leads to exactly one of `sending`
/// and `dropped`; one of `written` and `failed` follows `sending`. Called with no lock held; must not block.
pub trait FrameObserver: Send + Sync {
    /// `frame` is about to be handed to the broker. Keep `slot` until it is answered or given up.
    fn sending(&self, frame: &OutboundFrame, slot: Slot);
    /// `frame` was told as `sending`, and is given to the system by now, or the link went down meanwhile.
    fn written(&self, frame: &OutboundFrame);
    /// `frame` was told as `sending`, and the client did not take it.
    fn failed(&self, frame: &OutboundFrame);
    /// `frame` was not sent.
    fn dropped(&self, frame: &OutboundFrame, reason: DropReason);
}

/// What happens when frames come faster than they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePolicy {
    /// Live video: the newest frames stay, the oldest is dropped; none is sent when older than `max_age`.
    Newest {
        /// Age limit since capture.
        max_age: Duration,
    },
    /// Files: whoever offers a frame waits for room. Nothing is dropped.
    Wait,
}

/// The bounded queue before the broker. Clones share it.
#[derive(Clone)]
pub struct FrameQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    room: Condvar,
    arrived: Notify,
    capacity: usize,
    policy: QueuePolicy,
    observer: Arc<dyn FrameObserver>,
}

#[derive(Default)]
struct State {
    frames: VecDeque<OutboundFrame>,
    closed: bool,
}

impl FrameQueue {
    /// A queue of at most `capacity` frames (at least one).
    pub fn new(capacity: usize, policy: QueuePolicy, observer: Arc<dyn FrameObserver>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            room: Condvar::new(),
            arrived: Notify::new(),
            capacity: capacity.max(1),
            policy,
            observer,
        }))
    }

    /// Puts `frame` in the queue. With [`QueuePolicy::Wait`] this blocks the calling thread while the queue
    /// is full; never call it so from an async task.
    pub fn offer(&self, frame: OutboundFrame) {
        let mut state = self.locked();
        if self.0.policy == QueuePolicy::Wait {
            state = self
                .0
                .room
                .wait_while(state, |state| state.frames.len() >= self.0.capacity && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            drop(state);
            self.0.observer.dropped(&frame, DropReason::Shutdown);
            return;
        }
        let evicted = if state.frames.len() >= self.0.capacity { state.frames.pop_front() } else { None };
        state.frames.push_back(frame);
        drop(state);
        self.0.arrived.notify_one();
        if let Some(evicted) = evicted {
            self.0.observer.dropped(&evicted, DropReason::QueueFull);
        }
    }

    /// No more frames; those that wait are still sent.
    pub fn close(&self) {
        self.locked().closed = true;
        self.0.room.notify_all();
        self.0.arrived.notify_one();
    }

    /// No more frames, and those that wait are dropped with [`DropReason::Shutdown`].
    pub fn abandon(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.locked().frames);
        self.0.room.notify_all();
        for frame in waiting {
            self.0.observer.dropped(&frame, DropReason::Shutdown);
        }
    }

    /// Frames that wait now.
    pub fn len(&self) -> usize {
        self.locked().frames.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn observer(&self) -> &dyn FrameObserver {
        self.0.observer.as_ref()
    }

    /// Waits until there is a frame. False when the queue is closed and empty.
    pub(crate) async fn wait_for_frame(&self) -> bool {
        loop {
            // Registered before the look, so that a frame between look and wait is not missed.
            let arrived = self.0.arrived.notified();
            {
                let state = self.locked();
                if !state.frames.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            arrived.await;
        }
    }

    /// The oldest frame that is not too old at `now`; older ones are dropped as stale.
    pub(crate) fn take_fresh(&self, now: Instant) -> Option<OutboundFrame> {
        loop {
            let frame = self.locked().frames.pop_front()?;
            self.0.room.notify_one();
            match self.0.policy {
                QueuePolicy::Newest { max_age }
                    if now.saturating_duration_since(frame.captured) > max_age =>
                {
                    self.0.observer.dropped(&frame, DropReason::Stale);
                }
                _ => return Some(frame),
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave the queue torn.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Drops(Mutex<Vec<(u32, DropReason)>>);

    impl FrameObserver for Drops {
        fn sending(&self, _: &OutboundFrame, _: Slot) {}
        fn written(&self, _: &OutboundFrame) {}
        fn failed(&self, _: &OutboundFrame) {}
        fn dropped(&self, frame: &OutboundFrame, reason: DropReason) {
            self.0.lock().unwrap().push((frame.sequence.0, reason));
        }
    }

    fn frame(sequence: u32, captured: Instant) -> OutboundFrame {
        OutboundFrame {
            sequence: Sequence(sequence),
            captured,
            subject: String::new(),
            reply: String::new(),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn live_queue_keeps_the_newest_and_names_what_it_drops() {
        let drops = Arc::new(Drops::default());
        let policy = QueuePolicy::Newest { max_age: Duration::from_secs(1) };
        let queue = FrameQueue::new(2, policy, drops.clone());
        let now = Instant::now();
        for sequence in 0..4 {
            queue.offer(frame(sequence, now));
        }
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.take_fresh(now).map(|f| f.sequence.0), Some(2));
        assert!(queue.take_fresh(now + Duration::from_secs(2)).is_none());
        let expected = [(0, DropReason::QueueFull), (1, DropReason::QueueFull), (3, DropReason::Stale)];
        assert_eq!(*drops.0.lock().unwrap(), expected);
    }

    #[test]
    fn file_queue_makes_the_source_wait_and_drops_nothing() {
        let drops = Arc::new(Drops::default());
        let queue = FrameQueue::new(1, QueuePolicy::Wait, drops.clone());
        let old = Instant::now();
        let source = std::thread::spawn({
            let queue = queue.clone();
            move || (0..50).for_each(|sequence| queue.offer(frame(sequence, old)))
        });
        let mut taken = 0;
        while taken < 50 {
            match queue.take_fresh(old + Duration::from_secs(99)) {
                Some(frame) => {
                    assert_eq!(frame.sequence.0, taken);
                    taken += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        source.join().unwrap();
        assert!(drops.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_closed_queue_lets_go_of_whoever_waits() {
        let drops = Arc::new(Drops::default());
        let queue = FrameQueue::new(1, QueuePolicy::Wait, drops.clone());
        let now = Instant::now();
        queue.offer(frame(0, now));
        let source = std::thread::spawn({
            let queue = queue.clone();
            move || queue.offer(frame(1, now))
        });
        queue.close();
        source.join().unwrap();
        assert_eq!(*drops.0.lock().unwrap(), [(1, DropReason::Shutdown)]);
        queue.abandon();
        assert_eq!(drops.0.lock().unwrap().len(), 2);
        assert!(queue.is_empty());
    }
}

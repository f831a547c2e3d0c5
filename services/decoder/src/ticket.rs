//! The debt of an answer: every frame that comes in leads to exactly one.

use std::time::Instant;

use autotiler_core::{
    Detection, DeviceId, Epoch, Sequence, StreamId,
    wire::{Answer, FrameHeader, LossReason, ServerTimes},
};
use autotiler_transport::AnswerSubject;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// An answer on its way out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    /// Whose frame it was.
    pub(crate) device: DeviceId,
    /// Where it goes; `None` when the sender wants none.
    pub(crate) reply: Option<String>,
    /// The answer.
    pub(crate) answer: Answer,
}

/// Which frame an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    stream: StreamId,
    sequence: Sequence,
    epoch: Epoch,
    captured_us: u64,
}

impl Identity {
    /// As the header says.
    pub(crate) fn of_header(header: &FrameHeader) -> Self {
        let FrameHeader { device, stream, sequence, epoch, captured_us, .. } = *header;
        Self { device, stream, sequence, epoch, captured_us }
    }

    /// As the reply subject says, for a frame whose header cannot be believed. Epoch and capture time, which
    /// no subject carries, are 0.
    pub(crate) fn of_reply(reply: &AnswerSubject) -> Self {
        let AnswerSubject { device, stream, sequence } = reply;
        Self {
            device: device.hash64(),
            stream: *stream,
            sequence: *sequence,
            epoch: Epoch(0),
            captured_us: 0,
        }
    }
}

/// The one answer that a frame is owed. Dropped unpaid, as a panic on the way would do, it answers
/// [`LossReason::EngineFailed`].
#[derive(Debug)]
pub(crate) struct Ticket {
    owed: Option<Outgoing>,
    arrived: Instant,
    outbox: mpsc::Sender<Outgoing>,
    place: Option<Place>,
}

/// A frame's place among those that were taken on, counted in a gauge; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    taken: IntGauge,
}

impl Place {
    /// Takes the place that `permit` stands for.
    pub(crate) fn new(permit: OwnedSemaphorePermit, taken: IntGauge) -> Self {
        taken.inc();
        Self { _permit: permit, taken }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.dec();
    }
}

impl Ticket {
    /// The debt for the frame `identity` of `device`, which came at `arrived`.
    pub(crate) fn new(
        device: DeviceId,
        identity: Identity,
        reply: Option<String>,
        arrived: Instant,
        outbox: mpsc::Sender<Outgoing>,
    ) -> Self {
        let Identity { device: hash, stream, sequence, epoch, captured_us } = identity;
        let answer = Answer {
            device: hash,
            stream,
            sequence,
            epoch,
            captured_us,
            times: ServerTimes::default(),
            batch: 0,
            outcome: Err(LossReason::EngineFailed),
        };
        let owed = Some(Outgoing { device, reply, answer });
        Self { owed, arrived, outbox, place: None }
    }

    /// The same debt, holding `place` until it is paid.
    pub(crate) fn holding(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// When the frame came.
    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Answers that there are no detections, from an async task.
    pub(crate) async fn refuse(mut self, reason: LossReason) {
        if let Some(mut outgoing) = self.owed.take() {
            outgoing.answer.outcome = Err(reason);
            // Fails only when the outbox is gone, and then so is the process.
            let _ = self.outbox.send(outgoing).await;
        }
    }

    /// Answers from a thread of its own; waits while the outbox is full.
    pub(crate) fn settle(
        mut self,
        outcome: Result<Vec<Detection>, LossReason>,
        times: ServerTimes,
        batch: u16,
    ) {
        if let Some(mut outgoing) = self.owed.take() {
            outgoing.answer = Answer { outcome, times, batch, ..outgoing.answer };
            let _ = self.outbox.blocking_send(outgoing);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(outgoing) = self.owed.take() {
            tracing::error!(device = %outgoing.device, sequence = outgoing.answer.sequence.0, "frame given up");
            let _ = self.outbox.try_send(outgoing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(outbox: mpsc::Sender<Outgoing>) -> Ticket {
        let reply = "autotiler.v1.detections.cam.4.7".parse::<AnswerSubject>().unwrap();
        let identity = Identity::of_reply(&reply);
        Ticket::new(reply.device.clone(), identity, Some(reply.to_string()), Instant::now(), outbox)
    }

    #[test]
    fn each_ticket_yields_one_answer_however_it_ends() {
        let (outbox, mut outgoing) = mpsc::channel(4);
        ticket(outbox.clone()).settle(Ok(vec![]), ServerTimes::default(), 1);
        drop(ticket(outbox.clone()));
        drop(outbox);
        assert_eq!(outgoing.try_recv().unwrap().answer.outcome, Ok(vec![]));
        let given_up = outgoing.try_recv().unwrap();
        assert_eq!(given_up.answer.outcome, Err(LossReason::EngineFailed));
        assert_eq!((given_up.answer.stream, given_up.answer.sequence), (StreamId(4), Sequence(7)));
        assert!(outgoing.try_recv().is_err());
    }
}

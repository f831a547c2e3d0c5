//! Frames that have left the codec and have no fate yet, and which of them the link holds up. Pure.
//!
//! A frame waits in the queue before the broker, then for the link, then for its answer. Only the second is the
//! link's fault: what the broker's host has acknowledged, and nobody has answered, is the server's lateness.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use autotiler_transport::{Progress, Slot};

use crate::frame::FrameRecord;

/// The frames of one stream that are under way, by their sequence.
#[derive(Default)]
pub(super) struct UnderWay {
    /// In the queue before the broker, and since when.
    queued: HashMap<u32, (FrameRecord, Instant)>,
    /// Sent and not answered.
    sent: BTreeMap<u32, Sent>,
}

/// A frame that was sent and is not answered.
pub(super) struct Sent {
    /// What is remembered of it.
    pub(super) record: FrameRecord,
    /// When it was handed to the client.
    pub(super) at: Instant,
    queued: Instant,
    place: Place,
    _slot: Slot,
}

/// How far a sent frame is known to have come.
enum Place {
    /// The client has it.
    Client,
    /// The system has all of it.
    System,
    /// It is part of what had been written by then.
    Socket(Progress),
    /// The link does not hold it up: the broker's host has it, or the connection is gone and it with it.
    Through,
}

impl UnderWay {
    /// A frame waits before the broker from `now` on.
    pub(super) fn queue(&mut self, record: FrameRecord, now: Instant) {
        self.queued.insert(record.sequence.0, (record, now));
    }

    /// A frame left the queue without being sent.
    pub(super) fn give_up(&mut self, sequence: u32) -> Option<FrameRecord> {
        self.queued.remove(&sequence).map(|(record, _)| record)
    }

    /// A frame left the queue, and is handed to the client at `now`.
    pub(super) fn send(&mut self, sequence: u32, slot: Slot, now: Instant) -> Option<&FrameRecord> {
        let (record, queued) = self.queued.remove(&sequence)?;
        let sent = Sent { record, at: now, queued, place: Place::Client, _slot: slot };
        self.sent.insert(sequence, sent);
        self.sent.get(&sequence).map(|sent| &sent.record)
    }

    /// The system has all of a frame.
    pub(super) fn written(&mut self, sequence: u32) {
        if let Some(sent) = self.sent.get_mut(&sequence) {
            sent.place = Place::System;
        }
    }

    /// A sent frame is answered or given up.
    pub(super) fn settle(&mut self, sequence: u32) -> Option<Sent> {
        self.sent.remove(&sequence)
    }

    /// Those sent before `then`, in order.
    pub(super) fn sent_before(&self, then: Instant) -> Vec<u32> {
        // Sequences are sent in order.
        self.sent.iter().take_while(|(_, sent)| sent.at < then).map(|(sequence, _)| *sequence).collect()
    }

    /// All that were sent, in order.
    pub(super) fn all_sent(&self) -> Vec<u32> {
        self.sent.keys().copied().collect()
    }

    /// How many were sent and are not answered.
    pub(super) fn unanswered(&self) -> usize {
        self.sent.len()
    }

    /// Bits of frames in the queue, and of those sent and not answered.
    pub(super) fn bits(&self) -> (u64, u64) {
        let bits = |record: &FrameRecord| u64::from(record.bits);
        let queued = self.queued.values().map(|(record, _)| bits(record)).sum();
        (queued, self.sent.values().map(|sent| bits(&sent.record)).sum())
    }

    /// How long the oldest sent frame has been without an answer at `now`.
    pub(super) fn answer_age(&self, now: Instant) -> Option<Duration> {
        self.sent.values().next().map(|sent| now.saturating_duration_since(sent.at))
    }

    /// How long at `now` the link has held up the oldest frame that it holds up, by the kernel's account. A frame in
    /// the queue waits for those before it, which tell, or for the window, which is the server's. Without an account
    /// every frame counts that waits or is not answered, for as long as it does.
    pub(super) fn queue_age(&mut self, now: Instant, progress: Option<Progress>) -> Option<Duration> {
        if let Some(progress) = &progress {
            self.sent.values_mut().for_each(|sent| sent.place.follow(progress));
        }
        let held_up = self.sent.values().filter(|sent| !matches!(sent.place, Place::Through));
        let since = if progress.is_some() {
            held_up.map(|sent| sent.at).min()
        } else {
            held_up.map(|sent| sent.queued).chain(self.queued.values().map(|(_, queued)| *queued)).min()
        };
        since.map(|since| now.saturating_duration_since(since))
    }
}

impl Place {
    fn follow(&mut self, progress: &Progress) {
        *self = match self {
            Self::System => Self::Socket(*progress),
            Self::Socket(then) if progress.is_past(then) => Self::Through,
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::{Epoch, OperatingPoint, Sequence};

    use super::*;
    use crate::frame::Assignment;

    fn record(sequence: u32) -> FrameRecord {
        let assignment = Assignment { epoch: Epoch(0), point: OperatingPoint::device_only() };
        FrameRecord::new(Sequence(sequence), None, assignment)
    }

    fn at(connection: u64, written: u64, acked: u64) -> Option<Progress> {
        Some(Progress { connection, written, acked })
    }

    /// Frames on a clock of milliseconds.
    struct Frames {
        under_way: UnderWay,
        start: Instant,
    }

    impl Frames {
        fn new() -> Self {
            Self { under_way: UnderWay::default(), start: Instant::now() }
        }

        fn ms(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn queue(&mut self, sequence: u32, ms: u64) {
            self.under_way.queue(record(sequence), self.ms(ms));
        }

        fn send(&mut self, sequence: u32, ms: u64) {
            self.under_way.send(sequence, Slot::unbounded(), self.ms(ms)).unwrap();
        }

        fn age(&mut self, ms: u64, progress: Option<Progress>) -> Option<u128> {
            self.under_way.queue_age(self.ms(ms), progress).map(|age| age.as_millis())
        }
    }

    #[test]
    fn a_frame_counts_until_the_other_host_has_acknowledged_it() {
        let mut frames = Frames::new();
        frames.queue(0, 0);
        assert_eq!(frames.age(5, at(1, 100, 100)), None, "the publisher is about to take it");
        frames.send(0, 10);
        assert_eq!(frames.age(30, at(1, 100, 100)), Some(20), "the client has it");
        frames.under_way.written(0);
        assert_eq!(frames.age(40, at(1, 900, 100)), Some(30));
        assert_eq!(frames.age(310, at(1, 900, 899)), Some(300), "all but its last byte");
        assert_eq!(
            frames.age(320, at(1, 1500, 900)),
            None,
            "acknowledged, and the next bytes are on their way"
        );
        assert_eq!(frames.under_way.answer_age(frames.ms(700)), Some(Duration::from_millis(690)));
    }

    #[test]
    fn a_slow_server_is_not_the_links_fault_nor_is_what_waits_for_its_window() {
        let mut frames = Frames::new();
        frames.queue(0, 0);
        frames.send(0, 0);
        frames.under_way.written(0);
        frames.age(1, at(1, 500, 0));
        frames.queue(1, 100);
        assert_eq!(frames.age(600, at(1, 500, 500)), None);
        // The answer frees the window.
        frames.under_way.settle(0).unwrap();
        frames.send(1, 610);
        assert_eq!(frames.age(615, at(1, 500, 500)), Some(5), "counted from the moment that it could go");
    }

    #[test]
    fn a_frame_written_after_the_link_died_counts_from_its_own_sending() {
        let mut frames = Frames::new();
        for sequence in 0..2 {
            let ms = 100 * u64::from(sequence);
            frames.queue(sequence, ms);
            frames.send(sequence, ms);
            frames.under_way.written(sequence);
            frames.age(ms + 1, at(1, 500 * u64::from(sequence + 1), 0));
        }
        assert_eq!(frames.age(301, at(1, 1000, 0)), Some(301));
        assert_eq!(frames.age(350, at(1, 1000, 500)), Some(250));
    }

    #[test]
    fn what_went_down_with_its_connection_waits_no_more() {
        let mut frames = Frames::new();
        frames.queue(0, 0);
        frames.send(0, 0);
        frames.under_way.written(0);
        assert_eq!(frames.age(50, at(1, 500, 0)), Some(50));
        assert_eq!(frames.age(60, at(2, 40, 40)), None);
        assert_eq!(frames.age(70, None), None, "nor without an account");
    }

    #[test]
    fn without_an_account_every_frame_counts_until_it_is_answered() {
        let mut frames = Frames::new();
        frames.queue(0, 0);
        assert_eq!(frames.age(50, None), Some(50));
        frames.send(0, 60);
        frames.under_way.written(0);
        frames.queue(1, 100);
        assert_eq!(frames.age(400, None), Some(400));
        frames.under_way.settle(0).unwrap();
        assert_eq!(frames.age(400, None), Some(300));
        frames.under_way.give_up(1).unwrap();
        assert_eq!(frames.age(400, None), None);
    }
}

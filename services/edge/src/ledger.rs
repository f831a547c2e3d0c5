//! The accounts: what became of every frame, from its capture on.
//!
//! Each frame that was captured is sent or dropped, each that was sent is received or lost, once. The frames
//! of which neither is known yet are held here, so at the end of a drain the accounts close exactly.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use autotiler_core::{
    Detection, OperatingPoint, Sequence,
    wire::{Answer, LossReason, ServerTimes},
};
use autotiler_transport::{DropReason as QueueReason, FrameObserver, OutboundFrame, Progress, Reply, Slot};
use tokio::sync::Notify;

use crate::{
    fate::DropReason,
    frame::{FrameRecord, Stream},
    line::{Line, Outcome},
    metrics::{EdgeMetrics, stage},
    report::Report,
    results::Results,
};

mod lately;
mod snapshot;
mod totals;
mod under_way;

use lately::Lately;
pub use snapshot::Snapshot;
use totals::{Spent, Totals};
use under_way::{Sent, UnderWay};

/// Keeps the accounts of one stream.
pub struct Ledger {
    stream: Stream,
    metrics: EdgeMetrics,
    answer_timeout: Duration,
    state: Mutex<State>,
    /// Told whenever a frame's fate is known.
    settled: Notify,
    /// Told the bits of each answered frame, and how long it was under way.
    heard: Option<Box<dyn Fn(u32, Duration) + Send + Sync>>,
}

#[derive(Default)]
struct State {
    results: Option<Results>,
    under_way: UnderWay,
    totals: Totals,
    lately: Lately,
}

impl Ledger {
    /// Opens the accounts of `stream`. An answer that takes longer than `answer_timeout` is held to be lost.
    pub fn new(
        stream: Stream,
        metrics: EdgeMetrics,
        results: Option<Results>,
        answer_timeout: Duration,
    ) -> Self {
        let state = Mutex::new(State { results, ..State::default() });
        Self { stream, metrics, answer_timeout, state, settled: Notify::new(), heard: None }
    }

    /// Tells `heard` the bits of each answered frame, and how long it was under way. Must not block.
    pub fn telling(mut self, heard: impl Fn(u32, Duration) + Send + Sync + 'static) -> Self {
        self.heard = Some(Box::new(heard));
        self
    }

    /// A frame was captured.
    pub fn captured(&self) {
        let mut state = self.locked();
        state.totals.captured += 1;
        state.totals.first.get_or_insert_with(Instant::now);
        self.metrics.captured.inc();
    }

    /// A captured frame will not be sent.
    pub fn dropped(&self, record: &FrameRecord, reason: DropReason) {
        let mut state = self.locked();
        *state.totals.dropped.entry(reason.label()).or_default() += 1;
        self.metrics.dropped.with_label_values(&[reason.label()]).inc();
        self.settle(&mut state, record, &Outcome::Dropped(reason), None, ServerTimes::default());
    }

    /// A frame is about to wait for the broker; from here on its sequence is enough.
    pub fn queued(&self, record: FrameRecord) {
        let mut state = self.locked();
        state.lately.handed(&record);
        state.under_way.queue(record, Instant::now());
    }

    /// A frame whose detections the device found by itself: sent and received in one.
    pub fn done_on_device(&self, record: &FrameRecord, detections: &[Detection]) {
        let total = record.captured.elapsed();
        let spent = Spent {
            total,
            wait: total.saturating_sub(record.times.sum()),
            transfer: Duration::ZERO,
            server: Duration::ZERO,
        };
        let mut state = self.locked();
        state.lately.handed(record);
        self.count_sent(&mut state.totals, record);
        self.receive(&mut state, record, &spent, detections, None);
    }

    /// How long at `now` the link has held up a frame, by the kernel's account of what was written. Without one, for
    /// how long a frame has waited or not been answered.
    pub fn queue_age(&self, now: Instant, progress: Option<Progress>) -> Option<Duration> {
        self.locked().under_way.queue_age(now, progress)
    }

    /// How long a sent frame has been without an answer at `now`.
    pub fn answer_age(&self, now: Instant) -> Option<Duration> {
        self.locked().under_way.answer_age(now)
    }

    /// Bits of frames in the queue, and of those sent and not answered.
    pub fn backlog_bits(&self) -> (u64, u64) {
        self.locked().under_way.bits()
    }

    /// What telemetry says at `now`, with the times of frames at `point`.
    pub fn snapshot(&self, now: Instant, point: OperatingPoint, progress: Option<Progress>) -> Snapshot {
        let mut state = self.locked();
        let queue_age = state.under_way.queue_age(now, progress);
        let (stages, server, total) = state.lately.times(now, point);
        let Totals { captured, sent, received, dropped, lost, .. } = &state.totals;
        Snapshot {
            captured: *captured,
            sent: *sent,
            received: *received,
            dropped: dropped.clone(),
            lost: lost.clone(),
            queue_age,
            backlog_bits: state.under_way.bits(),
            frames_per_second: state.lately.frames_per_second(now),
            switch_gap: state.lately.switch_gap(),
            stages,
            server,
            total,
        }
    }

    /// What came back for a frame.
    pub fn replied(&self, sequence: Sequence, reply: Reply) {
        let answer = match reply {
            Reply::NoDecoder => return self.lose(sequence, LossReason::NoDecoder),
            Reply::Answer(message) => match Answer::decode(&message) {
                Ok(answer) => answer,
                // The frame's own answer may still come; if not, it is lost as unanswered.
                Err(error) => return tracing::warn!(%error, sequence = sequence.0, "unreadable answer"),
            },
        };
        let ours = answer.device == self.stream.device.hash64()
            && answer.stream == self.stream.id
            && answer.sequence == sequence;
        if !ours {
            return tracing::warn!(sequence = sequence.0, "answer to another frame");
        }
        match answer.outcome {
            Ok(detections) => self.answered(sequence, &detections, answer.times),
            Err(reason) => self.lose(sequence, reason),
        }
    }

    /// Gives up frames that have waited too long for their answer at `now`.
    pub fn expire(&self, now: Instant) {
        let mut state = self.locked();
        let Some(then) = now.checked_sub(self.answer_timeout) else { return };
        for sequence in state.under_way.sent_before(then) {
            self.lose_sent(&mut state, sequence, LossReason::NoAnswer);
        }
    }

    /// Gives up every frame that waits for its answer: the end of a drain that took too long.
    pub fn write_off(&self) {
        let mut state = self.locked();
        for sequence in state.under_way.all_sent() {
            self.lose_sent(&mut state, sequence, LossReason::NoAnswer);
        }
    }

    /// Remembers that the target cannot be met, for the report.
    pub fn out_of_reach(&self, refusal: String) {
        self.locked().totals.out_of_reach = Some(refusal);
    }

    /// Whether every captured frame's fate is known.
    pub fn is_settled(&self) -> bool {
        self.locked().totals.are_settled()
    }

    /// Waits until it is.
    pub async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// Closes the results file and sums up.
    pub fn close(&self) -> Report {
        if let Some(results) = self.locked().results.take() {
            results.finish();
        }
        self.locked().totals.report(&self.stream, self.metrics.results_lost.get())
    }

    fn answered(&self, sequence: Sequence, detections: &[Detection], times: ServerTimes) {
        let mut state = self.locked();
        let Some(frame) = state.under_way.settle(sequence.0) else {
            return self.late(&mut state);
        };
        let Sent { record, at: sent, .. } = &frame;
        let ServerTimes { queue_us, decode_us, tail_us, boxes_us } = times;
        let micros = [queue_us, decode_us, tail_us, boxes_us].map(u64::from).iter().sum();
        let server = Duration::from_micros(micros);
        let spent = Spent {
            total: record.captured.elapsed(),
            wait: sent.duration_since(record.captured).saturating_sub(record.times.sum()),
            transfer: sent.elapsed().saturating_sub(server),
            server,
        };
        self.metrics.in_flight.set(state.under_way.unanswered() as f64);
        self.metrics.stages.observe(stage::TRANSFER, spent.transfer);
        self.metrics.stages.observe(stage::SERVER, spent.server);
        self.receive(&mut state, record, &spent, detections, Some(times));
        if let Some(heard) = &self.heard {
            heard(record.bits, spent.transfer);
        }
    }

    fn receive(
        &self,
        state: &mut State,
        record: &FrameRecord,
        spent: &Spent,
        detections: &[Detection],
        times: Option<ServerTimes>,
    ) {
        state.totals.receive(record, spent);
        state.lately.received(record, times, spent.total);
        self.metrics.received.inc();
        self.metrics.frame_seconds.observe(spent.total.as_secs_f64());
        self.metrics.stages.observe(stage::WAIT, spent.wait);
        self.settle(state, record, &Outcome::Received(detections), Some(spent), times.unwrap_or_default());
    }

    fn lose(&self, sequence: Sequence, reason: LossReason) {
        let mut state = self.locked();
        if !self.lose_sent(&mut state, sequence.0, reason) {
            self.late(&mut state);
        }
    }

    /// False when the frame is not waited for.
    fn lose_sent(&self, state: &mut State, sequence: u32, reason: LossReason) -> bool {
        let Some(frame) = state.under_way.settle(sequence) else {
            return false;
        };
        *state.totals.lost.entry(reason.label()).or_default() += 1;
        self.metrics.lost.with_label_values(&[reason.label()]).inc();
        self.metrics.in_flight.set(state.under_way.unanswered() as f64);
        self.settle(state, &frame.record, &Outcome::Lost(reason), None, ServerTimes::default());
        true
    }

    fn late(&self, state: &mut State) {
        state.totals.late_answers += 1;
        self.metrics.late_answers.inc();
    }

    fn count_sent(&self, totals: &mut Totals, record: &FrameRecord) {
        totals.sent += 1;
        totals.bits += u64::from(record.bits);
        self.metrics.sent.inc();
    }

    /// The fate of a frame is known.
    fn settle(
        &self,
        state: &mut State,
        record: &FrameRecord,
        outcome: &Outcome<'_>,
        spent: Option<&Spent>,
        server: ServerTimes,
    ) {
        state.totals.last = Some(Instant::now());
        state.totals.point = Some(record.assignment.point);
        if let Some(results) = &state.results {
            let captured_us = self.stream.clock_us(record.captured);
            let spent = spent.map(|spent| (spent.total, spent.wait, spent.transfer));
            let line = Line { record, captured_us, outcome, spent, server };
            results.give(line.to_json());
        }
        self.settled.notify_waiters();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the process; until then the accounts are as good as they were.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameObserver for Ledger {
    fn sending(&self, frame: &OutboundFrame, slot: Slot) {
        let mut state = self.locked();
        let State { under_way, totals, .. } = &mut *state;
        let Some(record) = under_way.send(frame.sequence.0, slot, Instant::now()) else {
            return tracing::error!(sequence = frame.sequence.0, "a frame was sent that was not queued");
        };
        self.count_sent(totals, record);
        self.metrics.frame_bytes.observe(frame.payload.len() as f64);
        self.metrics.in_flight.set(under_way.unanswered() as f64);
    }

    fn written(&self, frame: &OutboundFrame) {
        self.locked().under_way.written(frame.sequence.0);
    }

    fn failed(&self, frame: &OutboundFrame) {
        self.lose(frame.sequence, LossReason::Disconnected);
    }

    fn dropped(&self, frame: &OutboundFrame, reason: QueueReason) {
        let record = self.locked().under_way.give_up(frame.sequence.0);
        match record {
            Some(record) => Ledger::dropped(self, &record, DropReason::Queue(reason)),
            None => tracing::error!(sequence = frame.sequence.0, "a frame was dropped that was not queued"),
        }
    }
}

#[cfg(test)]
mod tests;

//! What the frames of one run come to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use autotiler_core::OperatingPoint;

use crate::{
    frame::{FrameRecord, Stream},
    report::{Durations, Report},
};

/// Frames by their fate, and the times of those received.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) captured: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: BTreeMap<&'static str, u64>,
    pub(super) lost: BTreeMap<&'static str, u64>,
    pub(super) late_answers: u64,
    pub(super) bits: u64,
    pub(super) point: Option<OperatingPoint>,
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
    pub(super) total: Durations,
    pub(super) device: Durations,
    pub(super) transfer: Durations,
    pub(super) server: Durations,
    pub(super) wait: Durations,
    pub(super) out_of_reach: Option<String>,
}

/// The durations of one received frame.
pub(super) struct Spent {
    pub(super) total: Duration,
    pub(super) wait: Duration,
    pub(super) transfer: Duration,
    pub(super) server: Duration,
}

impl Totals {
    /// A frame's detections came, after so much time.
    pub(super) fn receive(&mut self, record: &FrameRecord, spent: &Spent) {
        self.received += 1;
        self.total.push(spent.total);
        self.device.push(record.times.sum());
        self.transfer.push(spent.transfer);
        self.server.push(spent.server);
        self.wait.push(spent.wait);
    }

    /// Whether every captured frame's fate is known.
    pub(super) fn are_settled(&self) -> bool {
        let Self { captured, sent, received, dropped, lost, .. } = self;
        *captured == sent + dropped.values().sum::<u64>() && *sent == received + lost.values().sum::<u64>()
    }

    /// Sums up the run of `stream`.
    pub(super) fn report(&self, stream: &Stream, results_lost: u64) -> Report {
        let elapsed_s = match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        let per = |sum: f64, count: f64| if count > 0.0 { sum / count } else { 0.0 };
        Report {
            device: stream.device.to_string(),
            stream: stream.id.0,
            point: self.point.map(|point| point.to_string()).unwrap_or_default(),
            captured: self.captured,
            sent: self.sent,
            received: self.received,
            dropped: self.dropped.clone(),
            lost: self.lost.clone(),
            late_answers: self.late_answers,
            results_lost,
            elapsed_s,
            frames_per_second: per(self.received as f64, elapsed_s),
            kbit_per_frame: per(self.bits as f64 / 1e3, self.sent as f64),
            total_ms: self.total.percentiles(),
            device_ms: self.device.percentiles(),
            transfer_ms: self.transfer.percentiles(),
            server_ms: self.server.percentiles(),
            wait_ms: self.wait.percentiles(),
            out_of_reach: self.out_of_reach.clone(),
        }
    }
}

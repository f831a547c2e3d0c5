//! The accounts of one run, and what they come to.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// Newest frames whose times are kept for percentiles: memory must not grow with the stream.
const KEPT: usize = 16_384;

/// What became of all frames.
///
/// `captured = sent + dropped` and `sent = received + lost` hold at the end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The device.
    pub device: String,
    /// Its stream.
    pub stream: u32,
    /// Last operating point.
    pub point: String,
    /// Frames that the source gave.
    pub captured: u64,
    /// Frames handed to the broker, or done on the device.
    pub sent: u64,
    /// Frames whose detections came.
    pub received: u64,
    /// Frames not sent, by reason; reasons that did not occur are left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Frames sent whose detections did not come, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Answers to frames that had been given up.
    pub late_answers: u64,
    /// Lines missing in the results file.
    pub results_lost: u64,
    /// Seconds from the first capture to the last fate.
    pub elapsed_s: f64,
    /// Received frames per second over that time.
    pub frames_per_second: f64,
    /// Mean access unit of the frames sent, in thousands of bits, header not counted.
    pub kbit_per_frame: f64,
    /// From capture to detections.
    pub total_ms: Percentiles,
    /// The device's stages, waiting not counted.
    pub device_ms: Percentiles,
    /// From sending to the answer, less the server's time.
    pub transfer_ms: Percentiles,
    /// The server's time, its queue included.
    pub server_ms: Percentiles,
    /// `total` less device, transfer and server: waiting and hand-offs on the device.
    pub wait_ms: Percentiles,
    /// What a target that cannot be met can be, if it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_reach: Option<String>,
}

/// Percentiles in milliseconds; zero when there was no frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// The newest durations of one kind.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    kept_s: Vec<f32>,
    next: usize,
}

impl Durations {
    /// Takes one more.
    pub fn push(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f32();
        match self.kept_s.get_mut(self.next) {
            Some(oldest) => *oldest = seconds,
            None => self.kept_s.push(seconds),
        }
        self.next = (self.next + 1) % KEPT;
    }

    /// Percentiles by the nearest rank.
    pub fn percentiles(&self) -> Percentiles {
        let mut sorted = self.kept_s.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            // To the microsecond: more digits would be noise.
            sorted
                .get(rank.saturating_sub(1))
                .map_or(0.0, |seconds| (f64::from(*seconds) * 1e6).round() / 1e3)
        };
        Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentiles(), Percentiles::default());
        (1..=100).rev().for_each(|ms| durations.push(Duration::from_millis(ms)));
        let found = durations.percentiles();
        for (got, expected) in [(found.p50, 50.0), (found.p95, 95.0), (found.p99, 99.0), (found.max, 100.0)] {
            // Seconds are kept as f32.
            assert!((got - expected).abs() < 1e-3, "{got} {expected}");
        }
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut durations = Durations::default();
        (0..2 * KEPT).for_each(|_| durations.push(Duration::from_secs(1)));
        (0..KEPT).for_each(|_| durations.push(Duration::from_millis(1)));
        assert!(durations.percentiles().max < 2.0);
        assert_eq!(durations.kept_s.len(), KEPT);
    }
}

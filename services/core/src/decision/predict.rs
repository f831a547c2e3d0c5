//! How long a frame will take at a candidate, from what was measured of network, device and link.

use std::time::Duration;

use serde::Serialize;

use super::Candidate;
use crate::{
    operating_point::Route,
    profile::{Profile, ProfilePoint},
};

/// What a frame costs on the wire beside its access unit: our header (64 bytes), the broker's line with subject and
/// reply (about 120), and TCP/IP headers (52).
pub const FRAME_OVERHEAD_BITS: u32 = (64 + 120 + 52) * 8;
/// Smallest capacity that is reckoned with, in bit/s: below it all transfers take "for ever" alike.
const LEAST_BPS: f64 = 100.0;
/// Longest time that is said: a prediction beyond is no better known.
const LONGEST: f64 = 3_600.0;

/// What was measured of a device and its link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// Mean capacity of the uplink.
    pub uplink_bps: f64,
    /// Round trip of an empty message, in seconds.
    pub rtt_s: f64,
    /// 95th percentile of the wait in the server's queue, in seconds.
    pub server_queue_s: f64,
    /// Frames that the device captures in a second.
    pub frames_per_second: f64,
    /// How much slower the device is than its profile.
    pub drift: Drift,
}

/// How much longer a device's stages take than its profile says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Drift(f64);

impl Default for Drift {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Drift {
    /// How much of the newest ratio goes into the mean.
    const NEWEST: f64 = 0.2;
    /// What is off by more is taken for a mistake of measuring.
    const RANGE: (f64, f64) = (0.1, 10.0);

    /// Takes what the device's stages took at a point for which the profile says `profiled`.
    pub fn observe(&mut self, measured: Duration, profiled: Duration) {
        let ratio = measured.as_secs_f64() / profiled.as_secs_f64();
        if ratio.is_finite() && ratio > 0.0 {
            let (low, high) = Self::RANGE;
            self.0 += Self::NEWEST * (ratio.clamp(low, high) - self.0);
        }
    }

    /// The factor on the profile's times.
    pub fn factor(self) -> f64 {
        self.0
    }
}

/// The parts of a frame's time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// Head, tiler and codec.
    pub device_us: u64,
    /// Waiting because frames come faster than the slowest of device and link works.
    pub wait_us: u64,
    /// Bits over the uplink, and a round trip.
    pub transfer_us: u64,
    /// Waiting on the server.
    pub queue_us: u64,
    /// Decoding and tail.
    pub server_us: u64,
    /// All of them.
    pub total_us: u64,
}

impl Predicted {
    /// Predicts `candidate`; none if the profile has not measured its route.
    pub fn of(candidate: &Candidate, profile: &Profile, inputs: &Inputs) -> Option<Self> {
        let point = profile.find(candidate.point.route)?;
        Some(Self::at(point, candidate.bits(), inputs))
    }

    fn at(point: &ProfilePoint, bits: u32, inputs: &Inputs) -> Self {
        let device = point.device.p50.as_secs_f64() * inputs.drift.factor();
        let sent = point.route != Route::DeviceOnly;
        let wire_bits = if sent { f64::from(bits) + f64::from(FRAME_OVERHEAD_BITS) } else { 0.0 };
        let on_link = wire_bits / inputs.uplink_bps.max(LEAST_BPS);
        let (rtt, queue) = if sent { (inputs.rtt_s, inputs.server_queue_s) } else { (0.0, 0.0) };
        let server = point.server_time(Duration::try_from_secs_f64(queue).unwrap_or_default()).as_secs_f64();
        // Where the slowest stage takes more than a slot, results are that much rarer; a result stands for half of
        // the added time on average.
        let slot = inputs.frames_per_second.max(1e-3).recip();
        let wait = (device.max(on_link) - slot).max(0.0) / 2.0;
        let micros = |seconds: f64| (seconds.clamp(0.0, LONGEST) * 1e6).round() as u64;
        let [device_us, wait_us, transfer_us, queue_us, server_us] =
            [device, wait, on_link + rtt, queue, server].map(micros);
        let total_us = device_us + wait_us + transfer_us + queue_us + server_us;
        Self { device_us, wait_us, transfer_us, queue_us, server_us, total_us }
    }

    /// All parts together.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total_us)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        decision::{Policy, candidates},
        profile::tests::small,
    };

    pub(crate) fn inputs(uplink_bps: f64) -> Inputs {
        Inputs {
            uplink_bps,
            rtt_s: 0.06,
            server_queue_s: 0.0,
            frames_per_second: 10.0,
            drift: Drift::default(),
        }
    }

    fn predict(text: &str, inputs: &Inputs) -> Predicted {
        let profile = small();
        let all = candidates(&profile, &Policy::default());
        let candidate = all.iter().find(|c| c.point.to_string() == text).unwrap();
        Predicted::of(candidate, &profile, inputs).unwrap()
    }

    #[test]
    fn parts_are_those_of_the_profile_and_the_link() {
        let got = predict("layer=20,cr=4,bits=12k", &inputs(1e6));
        assert_eq!((got.device_us, got.server_us, got.queue_us), (110_000, 10_000, 0));
        assert_eq!(got.transfer_us, 60_000 + 12_000 + 1_888);
        assert_eq!(got.wait_us, 5_000, "110 ms of work in slots of 100 ms");
        let alone = predict("device-only", &inputs(0.0));
        assert_eq!((alone.transfer_us, alone.total_us), (0, 400_000 + 150_000));
    }

    #[test]
    fn a_dead_link_takes_long_and_never_overflows() {
        let got = predict("server-only,bits=75k", &inputs(0.0));
        assert!(got.total() > Duration::from_secs(60) && got.total() < Duration::from_secs(3 * 3600));
    }

    #[test]
    fn a_slow_device_moves_towards_what_it_measures() {
        let mut drift = Drift::default();
        (0..40).for_each(|_| drift.observe(Duration::from_millis(200), Duration::from_millis(100)));
        assert!((drift.factor() - 2.0).abs() < 0.01);
        drift.observe(Duration::from_millis(200), Duration::ZERO);
        assert!((drift.factor() - 2.0).abs() < 0.01, "no profile is no ratio");
    }
}

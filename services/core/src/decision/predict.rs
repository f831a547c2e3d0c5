//! How long a frame will take at a candidate, from what was measured of network, device and link.

use std::time::Duration;

use serde::Serialize;

use super::{Candidate, DeviceDrift, Drift};
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
    /// How much slower the device is than its profile, in each kind of work.
    pub drift: DeviceDrift,
    /// How much slower the server is than the device's profile.
    pub server_drift: Drift,
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
        let device = point.device.p50.as_secs_f64() * inputs.drift.of(point.route).factor();
        let sent = point.route != Route::DeviceOnly;
        let wire_bits = if sent { f64::from(bits) + f64::from(FRAME_OVERHEAD_BITS) } else { 0.0 };
        let on_link = wire_bits / inputs.uplink_bps.max(LEAST_BPS);
        let (rtt, queue) = if sent { (inputs.rtt_s, inputs.server_queue_s) } else { (0.0, 0.0) };
        let server = point.server_time(Duration::try_from_secs_f64(queue).unwrap_or_default()).as_secs_f64()
            * inputs.server_drift.factor();
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
            drift: DeviceDrift::default(),
            server_drift: Drift::default(),
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
    fn drift_of_device_and_server_is_reckoned_with() {
        let mut twice = Drift::default();
        (0..60).for_each(|_| twice.observe(Duration::from_millis(2), Duration::from_millis(1)));
        let got = predict("server-only,bits=75k", &Inputs { server_drift: twice, ..inputs(1e6) });
        assert_eq!((got.device_us, got.server_us), (20_000, 20_000));
        let mut drift = DeviceDrift::default();
        let (took, profiled) = (Duration::from_millis(2), Duration::from_millis(1));
        (0..60).for_each(|_| drift.observe(Route::ServerOnly, took, profiled));
        let got = predict("server-only,bits=75k", &Inputs { drift, ..inputs(1e6) });
        assert_eq!((got.device_us, got.server_us), (40_000, 10_000));
    }
}

//! The ways that a frame may take: the candidates of a profile under a policy, as plain numbers.

use std::time::Duration;

use autotiler_core::{
    OperatingPoint, Route, TargetBits,
    decision::{Policy, candidates},
    profile::Profile,
};

/// One operating point as the simulation needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// The point.
    pub point: OperatingPoint,
    /// Fewest bits that the device may give a frame; none where they are fixed.
    pub min_bits: Option<TargetBits>,
    /// Time on the device, in seconds.
    pub device_s: f64,
    /// Bits of a frame; none when none is sent.
    pub bits: Option<f64>,
    /// Time on the server, in seconds.
    pub server_s: f64,
    /// Whether a decision may choose it: allowed, and accurate enough.
    pub eligible: bool,
}

/// All ways of `profile`, in the order of its candidates.
pub fn ways(profile: &Profile, policy: &Policy) -> Vec<Way> {
    let way = |one: autotiler_core::decision::Candidate| {
        let measured = profile.find(one.point.route)?;
        let accurate = one.accuracy_drop_permille <= policy.constraints.max_accuracy_drop_permille;
        Some(Way {
            point: one.point,
            min_bits: one.min_bits,
            device_s: measured.device.p50.as_secs_f64(),
            bits: one.point.bits().map(|bits| f64::from(bits.get())),
            server_s: measured.server_time(Duration::ZERO).as_secs_f64(),
            eligible: one.allowed && accurate,
        })
    };
    candidates(profile, policy).into_iter().filter_map(way).collect()
}

/// The way at `point`.
pub(crate) fn find(ways: &[Way], point: OperatingPoint) -> Option<&Way> {
    ways.iter().find(|way| way.point == point)
}

impl Way {
    /// Whether nothing is sent.
    pub fn is_local(&self) -> bool {
        self.point.route == Route::DeviceOnly
    }
}

//! Measured stage times against the profile's: predictions are corrected by them, and a drift that stays is told.

use std::time::Duration;

use autotiler_core::{
    OperatingPoint,
    decision::{DeviceDrift, Drift, DriftAlarm},
    profile::Profile,
    telemetry::Telemetry,
};
use serde::Serialize;

/// Stages that have long taken another time than the profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drifted {
    /// Whose stages.
    pub part: Part,
    /// Where it was measured.
    pub point: OperatingPoint,
    /// The newest median, in microseconds.
    pub measured_us: u64,
    /// What the profile says, in microseconds.
    pub profiled_us: u64,
}

/// Whose stages drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Head, codec and boxes.
    Device,
    /// Decoding and tail.
    Server,
}

/// What is remembered of a device's stage times.
#[derive(Debug, Default)]
pub(super) struct Drifting {
    pub(super) device: DeviceDrift,
    pub(super) server: Drift,
    alarms: [DriftAlarm; 2],
    drifted: [Option<Drifted>; 2],
}

impl Drifting {
    /// Takes in what the device says of the point in force, for which `waited` is the wait on the server.
    pub(super) fn take(&mut self, now: Duration, telemetry: &Telemetry, profile: &Profile, waited: Duration) {
        let point = telemetry.point;
        let Some(profiled) = profile.find(point.route) else { return };
        let (stages, server) = (&telemetry.stage_us, &telemetry.server_us);
        let head = stages.head.map(|head| head + stages.codec.unwrap_or(0) + stages.boxes.unwrap_or(0));
        let tail = server.tail.map(|tail| tail + server.decode.unwrap_or(0));
        let parts =
            [(Part::Device, head, profiled.device.p50), (Part::Server, tail, profiled.server_time(waited))];
        let remembered = self.alarms.iter_mut().zip(&mut self.drifted);
        for ((part, measured, profiled), (alarm, drifted)) in parts.into_iter().zip(remembered) {
            let Some(measured_us) = measured else { continue };
            let took = Duration::from_micros(measured_us);
            let drift = match part {
                Part::Device => {
                    self.device.observe(point.route, took, profiled);
                    self.device.of(point.route)
                }
                Part::Server => {
                    self.server.observe(took, profiled);
                    self.server
                }
            };
            let profiled_us = u64::try_from(profiled.as_micros()).unwrap_or(u64::MAX);
            let told = alarm.observe(now, drift);
            *drifted = told.then_some(Drifted { part, point, measured_us, profiled_us });
        }
    }

    /// What is to be told, of the device first.
    pub(super) fn drifted(&self) -> Option<Drifted> {
        self.drifted.iter().flatten().next().copied()
    }
}

impl Drifted {
    /// What drifts, without figures.
    pub fn what(&self) -> &'static str {
        match self.part {
            Part::Device => "the device's stages take another time than its profile says",
            Part::Server => "the server's stages take another time than the device's profile says",
        }
    }

    /// The figures, and the fix.
    pub fn figures(&self) -> String {
        let [measured, profiled] = [self.measured_us, self.profiled_us].map(|us| us as f64 / 1e3);
        format!(
            "{measured:.1} ms instead of {profiled:.1} ms at {}; decisions reckon with it; if it stays, measure anew with \
             `autotiler profile --device-class ...` on such a device and apply what it writes",
            self.point
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use autotiler_core::{
        Route,
        telemetry::{ServerMicros, StageMicros},
    };

    use super::*;
    use crate::control::tests::{profile, report};

    #[test]
    fn a_device_that_is_throttled_for_long_is_told_with_both_figures() {
        let telemetry = Telemetry {
            stage_us: StageMicros { head: Some(30_000), codec: Some(10_000), boxes: None },
            server_us: ServerMicros { queue_p95: None, decode: Some(2_000), tail: Some(8_500) },
            ..(*report("server-only,bits=75k", None).telemetry).clone()
        };
        let mut drifting = Drifting::default();
        let mut at = |second| {
            drifting.take(Duration::from_secs(second), &telemetry, &profile(), Duration::ZERO);
            drifting.drifted()
        };
        assert_eq!((0..30).find_map(&mut at), None);
        let told = (30..40).find_map(&mut at).unwrap();
        assert_eq!((told.part, told.measured_us, told.profiled_us), (Part::Device, 40_000, 20_000));
        assert!(told.figures().starts_with("40.0 ms instead of 20.0 ms at server-only,bits=75k"));
        assert!(
            (drifting.device.of(Route::ServerOnly).factor() - 2.0).abs() < 0.01
                && (drifting.server.factor() - 1.05).abs() < 0.01
        );
    }
}

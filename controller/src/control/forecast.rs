//! What was predicted of the point in force, against what the device has measured since.
//!
//! A forecast is tested by frames that came after it was made: a prediction that knew them would flatter itself.

use autotiler_core::{OperatingPoint, decision::Choice, telemetry::Telemetry};
use serde::Serialize;

/// A forecast that has been tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The point in force.
    pub point: OperatingPoint,
    /// From capture to detections, as predicted a sweep before, in microseconds.
    pub predicted_us: u64,
    /// The median that the device has measured since, in microseconds.
    pub measured_us: u64,
}

impl Forecast {
    /// How far the prediction was off, as a share of what was measured.
    pub fn error_ratio(&self) -> f64 {
        self.predicted_us.abs_diff(self.measured_us) as f64 / self.measured_us.max(1) as f64
    }
}

/// A device's newest forecast, until it can be tested.
#[derive(Debug, Default)]
pub(super) struct Forecaster {
    untested: Option<(OperatingPoint, u64)>,
    received: Option<u64>,
    newest: Option<Forecast>,
}

impl Forecaster {
    /// Tests the last forecast by what the device says now; none while it has received nothing new at that point.
    pub(super) fn test(&mut self, telemetry: &Telemetry) -> Option<Forecast> {
        let before = self.received.replace(telemetry.received);
        if before.is_none_or(|before| before == telemetry.received) {
            return None;
        }
        let (point, predicted_us) = self.untested.filter(|(point, _)| *point == telemetry.point)?;
        let measured_us = telemetry.total_us.p50?;
        self.newest = Some(Forecast { point, predicted_us, measured_us });
        self.newest
    }

    /// Predicts the next frames at `point`; without a `choice` nothing is predicted.
    pub(super) fn predict(&mut self, point: OperatingPoint, choice: Option<&Choice>) {
        let judged = choice.and_then(|choice| choice.find(point));
        self.untested = judged.map(|judged| (point, judged.predicted.total_us));
    }

    /// The newest that has been tested.
    pub(super) fn newest(&self) -> Option<Forecast> {
        self.newest
    }
}

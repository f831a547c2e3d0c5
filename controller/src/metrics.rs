//! What the controller shows on `/metrics`.

use autotiler_runtime::{Component, SECONDS_BUCKETS};
use autotiler_transport::telemetry::Unheard;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, Registry};

use crate::{
    control::{Decided, Outcome},
    fleet::{HELD_UP, TOO_MANY},
    observe::{Observed, SIGNALS},
};

/// Upper bounds for times of deciding, in seconds: 1 us to 0.3 s.
const DECIDE_BUCKETS: [f64; 12] = [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3];
/// Upper bounds for shares that predictions are off by: 1 % to 500 %.
const ERROR_BUCKETS: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0];

/// All metrics of the controller. Clones share them.
#[derive(Debug, Clone)]
pub struct ControllerMetrics {
    /// A whole sweep of one policy.
    pub sweep_seconds: Histogram,
    /// Deciding for all devices of one policy.
    pub decide_seconds: Histogram,
    /// How far predictions of the total time were off, as a share of what was measured; one for each device that has
    /// measured something new since its last sweep. Its mean is the mean absolute percentage error (MAPE).
    pub prediction_error: Histogram,
    /// Signals that could not be asked for, by signal and reason.
    pub observe_failures: IntCounterVec,
    /// What sweeps of devices came to.
    pub decisions: IntCounterVec,
    /// Orders written.
    pub orders: IntCounter,
    /// Orders not written, by reason.
    pub order_failures: IntCounterVec,
    /// Telemetry that was not taken, by reason.
    pub unheard: IntCounterVec,
    /// Writes of status, by what came of them.
    pub status_writes: IntCounterVec,
    /// Whether this process leads, 0 or 1.
    pub leader: Gauge,
    /// Devices that follow a policy and speak.
    pub devices: Gauge,
    /// Policies in force.
    pub policies: Gauge,
}

impl ControllerMetrics {
    /// Registers all of them, every label from the start.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let own = Component::new(registry, "controller");
        let metrics = Self {
            sweep_seconds: own.histogram("sweep_seconds", "A sweep of one policy.", SECONDS_BUCKETS)?,
            decide_seconds: own.histogram(
                "decide_seconds",
                "Deciding for all devices of a policy.",
                &DECIDE_BUCKETS,
            )?,
            prediction_error: own.histogram(
                "prediction_error_ratio",
                "How far predicted total times were off, as a share of the measured ones.",
                &ERROR_BUCKETS,
            )?,
            observe_failures: own.counters(
                "observe_failures_total",
                "Signals that could not be asked for.",
                &["signal", "reason"],
            )?,
            decisions: own.counters("decisions_total", "What sweeps of devices came to.", &["outcome"])?,
            orders: own.counter("orders_total", "Orders written.")?,
            order_failures: own.counters("order_failures_total", "Orders not written.", &["reason"])?,
            unheard: own.counters("telemetry_rejected_total", "Telemetry not taken.", &["reason"])?,
            status_writes: own.counters("status_writes_total", "Writes of status.", &["result"])?,
            leader: own.gauge("leader", "Whether this process leads, 0 or 1.")?,
            devices: own.gauge("devices", "Devices that follow a policy and speak.")?,
            policies: own.gauge("policies", "Policies in force.")?,
        };
        for signal in SIGNALS {
            for reason in ["unreachable", "slow", "not_prometheus", "refused", "empty"] {
                metrics.observe_failures.with_label_values(&[signal, reason]);
            }
        }
        Outcome::LABELS.iter().for_each(|label| drop(metrics.decisions.with_label_values(&[label])));
        Unheard::LABELS
            .iter()
            .chain(&[TOO_MANY, HELD_UP])
            .for_each(|label| drop(metrics.unheard.with_label_values(&[label])));
        ["conflict", "write"]
            .iter()
            .for_each(|label| drop(metrics.order_failures.with_label_values(&[label])));
        ["ok", "failed"].iter().for_each(|label| drop(metrics.status_writes.with_label_values(&[label])));
        Ok(metrics)
    }

    /// Counts what could not be asked for.
    pub fn observe(&self, observed: &Observed) {
        for (signal, error) in observed.errors() {
            self.observe_failures.with_label_values(&[signal, error.label()]).inc();
        }
    }

    /// Counts what a device's sweep came to.
    pub fn decided(&self, decided: &Decided) {
        self.decisions.with_label_values(&[decided.outcome.label()]).inc();
        if let Some(forecast) = &decided.forecast {
            self.prediction_error.observe(forecast.error_ratio());
        }
    }
}

//! What the gateway shows of itself.

use autotiler_runtime::Component;
use autotiler_transport::Unheard;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use crate::fleet::PassedOver;

/// The gateway's own metrics. Clones share them.
#[derive(Debug, Clone)]
pub struct GatewayMetrics {
    /// Words of devices that were taken.
    pub heard: IntCounter,
    /// Words that were not, by reason.
    pub refused: IntCounterVec,
    /// Devices shown.
    pub devices: IntGauge,
    /// Devices whose frames are looked at.
    pub looked_at: IntGauge,
}

impl GatewayMetrics {
    /// Registers all of them, every label from the start.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let own = Component::new(registry, "gateway");
        let metrics = Self {
            heard: own.counter("telemetry_total", "Telemetry that was taken.")?,
            refused: own.counters("telemetry_refused_total", "Telemetry that was not taken.", &["reason"])?,
            devices: own.whole_gauge("devices", "Devices that speak.")?,
            looked_at: own.whole_gauge("looked_at", "Devices whose frames are looked at.")?,
        };
        for reason in Unheard::LABELS.into_iter().chain(PassedOver::LABELS) {
            metrics.refused.with_label_values(&[reason]);
        }
        Ok(metrics)
    }
}

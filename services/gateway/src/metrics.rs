//! What the gateway shows of itself.

use autotiler_transport::Unheard;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Label of words for which there was no room.
pub const TOO_MANY_DEVICES: &str = "too_many_devices";

/// The gateway's own metrics. Clones share them.
#[derive(Debug, Clone)]
pub struct GatewayMetrics {
    /// Words of devices that were taken.
    pub heard: IntCounter,
    /// Words that were not, by reason.
    pub refused: IntCounterVec,
    /// Devices shown.
    pub devices: IntGauge,
}

impl GatewayMetrics {
    /// Registers all of them, every label from the start.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = Opts::new("autotiler_gateway_telemetry_refused_total", "Telemetry that was not taken.");
        let metrics = Self {
            heard: IntCounter::new("autotiler_gateway_telemetry_total", "Telemetry that was taken.")?,
            refused: IntCounterVec::new(refused, &["reason"])?,
            devices: IntGauge::new("autotiler_gateway_devices", "Devices that speak.")?,
        };
        registry.register(Box::new(metrics.heard.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.devices.clone()))?;
        for reason in Unheard::LABELS.into_iter().chain([TOO_MANY_DEVICES]) {
            metrics.refused.with_label_values(&[reason]);
        }
        Ok(metrics)
    }
}

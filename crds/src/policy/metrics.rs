//! Where measurements come from, and what makes them too old.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::HumanDuration;

/// Where measurements come from, and what makes them too old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.prometheus.interval) <= duration(self.maxAge)").message(
    "prometheus.interval must not be longer than maxAge"
))]
pub struct Metrics {
    /// The Prometheus server that is asked.
    pub prometheus: PrometheusSource,
    /// A sample older than this is stale; never taken for a value.
    #[serde(default = "default_max_age")]
    pub max_age: HumanDuration,
    /// Fresh samples in a row after a gap, before anything is decided again.
    #[serde(default = "default_warmup_samples")]
    #[schemars(range(min = 1, max = 1000))]
    pub warmup_samples: u16,
    /// Half-life of the smoothing of the measured capacity; frozen while a device guards.
    #[serde(default = "default_half_life")]
    pub capacity_half_life: HumanDuration,
}

fn default_max_age() -> HumanDuration {
    HumanDuration::from_secs(10)
}

fn default_warmup_samples() -> u16 {
    5
}

fn default_half_life() -> HumanDuration {
    HumanDuration::from_secs(2)
}

/// A Prometheus server and what to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusSource {
    /// Its base URL, like `http://prometheus.monitoring:9090`.
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^\\s]+$"))]
    pub address: String,
    /// How often it is asked, and how often decisions are made.
    #[serde(default = "default_interval")]
    pub interval: HumanDuration,
    /// How long one answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// The label of a series that holds the device's name.
    #[serde(default = "default_device_label")]
    #[schemars(length(max = 128), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub device_label: String,
    /// One vector query for each signal.
    #[serde(default)]
    pub queries: Queries,
}

fn default_interval() -> HumanDuration {
    HumanDuration::from_secs(1)
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_millis(800)
}

fn default_device_label() -> String {
    "device".to_owned()
}

/// PromQL that gives one sample for each device, told apart by the device label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queries {
    /// Capacity of the uplink in bits per second; never goodput.
    #[serde(default = "default_uplink_query")]
    #[schemars(length(min = 1, max = 4096))]
    pub uplink_bandwidth: String,
    /// Round-trip time in seconds.
    #[serde(default = "default_rtt_query")]
    #[schemars(length(min = 1, max = 4096))]
    pub rtt: String,
    /// Time that a frame waits on the server, in seconds (95th percentile).
    #[serde(default = "default_queue_query")]
    #[schemars(length(min = 1, max = 4096))]
    pub server_queue: String,
}

fn default_uplink_query() -> String {
    "autotiler_device_uplink_bits_per_second".to_owned()
}

fn default_rtt_query() -> String {
    "autotiler_device_rtt_seconds".to_owned()
}

fn default_queue_query() -> String {
    "autotiler_device_server_queue_seconds".to_owned()
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            uplink_bandwidth: default_uplink_query(),
            rtt: default_rtt_query(),
            server_queue: default_queue_query(),
        }
    }
}

//! What the controller answers, as far as it is shown. Keys that are not known are passed over.

use autotiler_core::{DeviceId, OperatingPoint};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A line of the list of devices.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) device: DeviceId,
    pub(super) policy: String,
    pub(super) epoch: u32,
    pub(super) synced: bool,
}

/// How a policy does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Policy)]
pub struct PolicyState {
    /// Its name: `namespace/name` in a cluster.
    pub name: String,
    /// Devices that follow it.
    pub matched: usize,
    /// Of these, devices that speak and fit its profile.
    pub shown: usize,
    /// Digest of its profile; none while that is not there.
    pub profile: Option<String>,
    /// Whether everything stays as it is.
    #[serde(default)]
    pub suspended: bool,
    /// Largest loss of accuracy that it allows, in thousandths.
    #[serde(default)]
    pub max_accuracy_drop_permille: Option<u16>,
    /// Signals that could not be asked for: name and cause.
    #[serde(default)]
    pub errors: Vec<(String, String)>,
}

/// A device's last sweep.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The policy that it follows.
    pub policy: String,
    /// Enforce or Advise.
    pub mode: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Of the newest order.
    pub epoch: u32,
    /// Whether the device has applied it.
    pub synced: bool,
    /// Whether its flap budget is spent.
    pub limited: bool,
    /// What was known when the newest order was written.
    pub assigned: Option<Assigned>,
    /// The sweep.
    pub decided: Decided,
    /// The last decisions, newest first.
    pub history: Vec<Entry>,
}

/// What a decision knew.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// The point that was ordered.
    pub chosen: Option<Judged>,
    /// The next best.
    pub runner_up: Option<Judged>,
}

/// What a sweep came to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// The point in force.
    pub current: Option<OperatingPoint>,
    /// Slow mean of the uplink's capacity.
    pub mean_uplink_bps: Option<f64>,
    /// Every candidate.
    pub choice: Option<Choice>,
    /// What it came to; one of a closed list, some with figures.
    pub outcome: serde_json::Value,
}

/// Every candidate.
#[derive(Debug, Clone, Deserialize)]
pub struct Choice {
    /// With what became of it.
    pub judged: Vec<Judged>,
}

/// A point that could be chosen, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Candidate)]
pub struct Judged {
    /// The point.
    #[schema(value_type = String, example = "layer=36,cr=4,bits=12k")]
    pub point: OperatingPoint,
    /// Expected loss of accuracy, in thousandths.
    pub accuracy_drop_permille: u16,
    /// Predicted times.
    pub predicted: Predicted,
    /// Bits per second that it would send.
    pub uplink_bps: u64,
    /// Why it cannot be chosen; none for the best and those that are only slower.
    #[schema(value_type = Option<Object>)]
    pub ruled_out: Option<serde_json::Value>,
}

/// Predicted times of a frame, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// Head, tiler and codec.
    pub device_us: u64,
    /// Over the link.
    pub transfer_us: u64,
    /// From capture to detections.
    pub total_us: u64,
}

/// A decision that was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Decision)]
pub struct Entry {
    /// Of the order; 0 when it was only advised.
    pub epoch: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// From here.
    #[schema(value_type = Option<String>)]
    pub from: Option<OperatingPoint>,
    /// To here.
    #[schema(value_type = String)]
    pub to: OperatingPoint,
    /// Why, in a word of a closed list.
    pub reason: String,
    /// Why, with figures, for people.
    pub detail: String,
    /// Mean capacity of the uplink then, in bit/s.
    pub uplink_bps: Option<f64>,
}

//! `EdgeDevice`: one small object for each device, which says where it is and why.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{bit_rate::BitRate, duration::HumanDuration, placement::PlacementRoute, schema::conditions};

/// A device: what it is, and where a person wants to hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "autotiler.dev",
    version = "v1alpha1",
    kind = "EdgeDevice",
    namespaced,
    cel,
    doc = "A device that runs the head of a network: its class, its assignment, and why.",
    shortname = "edev",
    category = "autotiler",
    status = "EdgeDeviceStatus",
    derive = "PartialEq",
    selectable = ".spec.deviceClass",
    selectable = ".status.policyName",
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".status.policyName",
        description = "The policy that decides for it"
    ),
    printcolumn(
        name = "Point",
        type_ = "string",
        json_path = ".status.assignment.point",
        description = "The operating point that it is assigned to"
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Synced\")].status",
        description = "Whether it has applied its assignment"
    ),
    printcolumn(
        name = "Fresh",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"MetricsFresh\")].status",
        description = "Whether its metrics are fresh"
    ),
    printcolumn(
        name = "Uplink",
        type_ = "string",
        json_path = ".status.assignment.inputs.uplink",
        description = "The capacity that the assignment was decided with, in bits per second"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Class",
        type_ = "string",
        json_path = ".spec.deviceClass",
        description = "Its class of devices",
        priority = 1
    ),
    printcolumn(
        name = "Epoch",
        type_ = "integer",
        json_path = ".status.assignment.epoch",
        description = "Number of the assignment",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.assignment.reason",
        description = "Why it is assigned to this point",
        priority = 1
    ),
    printcolumn(
        name = "Predicted",
        type_ = "string",
        json_path = ".status.assignment.predicted.total",
        description = "Predicted time from capture to detections",
        priority = 1
    ),
    printcolumn(
        name = "Guarded",
        type_ = "date",
        json_path = ".status.applied.guarded.since",
        description = "Since when its own guard holds it elsewhere",
        priority = 1
    ),
    printcolumn(
        name = "Pinned",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Pinned\")].status",
        description = "Whether a pin holds it",
        priority = 1
    ),
    printcolumn(
        name = "Drifted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ProfileDrifted\")].status",
        description = "Whether its stages long take another time than its profile says",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Whether it is in control, or why not",
        priority = 1
    )
)]
pub struct EdgeDeviceSpec {
    /// Its class of devices: profiles are measured by class.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$"))]
    pub device_class: String,
    /// Holds the device at one place, whatever its policy finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

/// A place that a person holds a device at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.route != 'Split' || (has(self.partitionLayer) && has(self.compressionRatio))"
).message("a pin at route Split needs partitionLayer and compressionRatio"))]
pub struct Pin {
    /// Split, DeviceOnly or ServerOnly.
    #[serde(default)]
    pub route: PlacementRoute,
    /// The network is cut after this layer; for route Split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_layer: Option<u16>,
    /// Nominal compression ratio of the tiler; for route Split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub compression_ratio: Option<u16>,
    /// Mean bits per frame; by default those that the controller finds best.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_bits: Option<u32>,
    /// When the pin ends; without it, when it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Where a device is, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeDeviceStatus {
    /// The policy that decides for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub policy_name: Option<String>,
    /// What it was ordered to do, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// What it says that it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The last assignments, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<PastAssignment>,
    /// Ready, Synced, MetricsFresh, Fallback, Pinned, ProfileDrifted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// What a device was ordered to do, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Number of the order; each is higher than the one before.
    pub epoch: u32,
    /// The operating point, like `layer=36,cr=4,bits=12k`.
    #[schemars(length(max = 64))]
    pub point: String,
    /// The network is cut after this layer; none for device-only and server-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_layer: Option<u16>,
    /// Nominal compression ratio of the tiler; none for device-only and server-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_ratio: Option<u16>,
    /// Mean bits per frame; none for device-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_bits: Option<u32>,
    /// Why, in one word of a closed list.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When it was decided.
    pub decided_at: Time,
    /// What it was decided with.
    #[serde(default)]
    pub inputs: DecisionInputs,
    /// What it is expected to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
    /// The second best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<RunnerUp>,
}

/// What a decision was made with; a signal that was not fresh is absent, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionInputs {
    /// Capacity of the uplink in bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<BitRate>,
    /// Round-trip time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<HumanDuration>,
    /// Time that a frame waits on the server (95th percentile).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_queue: Option<HumanDuration>,
    /// Age of the oldest sample that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_age: Option<HumanDuration>,
}

/// Predicted times of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// Head, tiler and codec on the device.
    pub device: HumanDuration,
    /// Over the link, round trip included.
    pub transfer: HumanDuration,
    /// On the server, waiting included.
    pub server: HumanDuration,
    /// From capture to detections.
    pub total: HumanDuration,
}

/// The second best point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerUp {
    /// The operating point, like `layer=36,cr=4,bits=12k`.
    #[schemars(length(max = 64))]
    pub point: String,
    /// What it is expected to take.
    pub predicted: Predicted,
}

/// What a device says that it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Number of the order that it obeys.
    pub epoch: u32,
    /// When it said so first.
    pub at: Time,
    /// Time between the last frame at the old point and the first at the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_gap: Option<HumanDuration>,
    /// Set while the device's own guard holds it away from its assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarded: Option<Guarded>,
}

/// A device that left its assignment by its own guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// Since when.
    pub since: Time,
    /// Where it is meanwhile, like `device-only`.
    #[schemars(length(max = 64))]
    pub point: String,
}

/// An assignment that was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastAssignment {
    /// Number of the order.
    pub epoch: u32,
    /// The operating point, like `layer=36,cr=4,bits=12k`.
    #[schemars(length(max = 64))]
    pub point: String,
    /// Why, in one word of a closed list.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When it was decided.
    pub decided_at: Time,
    /// The capacity that it was decided with, in bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<BitRate>,
}

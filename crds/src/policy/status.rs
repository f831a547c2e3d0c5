//! What a policy reports: counts and conditions, never telemetry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::conditions;

/// What a policy reports; written on transitions only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoTilerPolicyStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// SHA-256 of the spec of the PartitionProfile in force, as 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub profile_digest: Option<String>,
    /// How many devices are in which state.
    #[serde(default)]
    pub devices: DeviceCounts,
    /// How many devices run at which point, most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub distribution: Vec<PointCount>,
    /// Ready, Reconciling, Stalled, MetricsFresh, ProfileResolved, Fallback, Limited, Conflicted, ProfileDrifted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// Devices by state; a device may be in several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceCounts {
    /// Devices that the policy decides for.
    pub matched: u32,
    /// Devices that have applied their assignment.
    pub synced: u32,
    /// Devices without fresh metrics.
    pub stale: u32,
    /// Devices in fallback.
    pub fallback: u32,
    /// Devices that a pin holds.
    pub pinned: u32,
    /// Devices whose stages long take another time than their profile says.
    pub drifted: u32,
}

/// Devices at one operating point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointCount {
    /// The operating point, like `layer=36,cr=4,bits=12k`.
    #[schemars(length(max = 64))]
    pub point: String,
    /// Devices that are assigned to it.
    pub devices: u32,
}

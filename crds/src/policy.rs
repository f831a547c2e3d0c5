//! `AutoTilerPolicy`: what a person wants of a group of devices.

mod behavior;
mod fallback;
mod metrics;
mod objective;
mod selector;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use behavior::{Behavior, Bits, BitsAdapt, Degrade, Guard, MaxSwitches, Recover};
pub use fallback::{Fallback, FallbackAction, StaticPoint};
pub use metrics::{Metrics, PrometheusSource, Queries};
pub use objective::{Candidates, Constraints, Minimize, Objective, Permission};
pub use selector::{Selector, SelectorOperator, SelectorRequirement};
pub use status::{AutoTilerPolicyStatus, DeviceCounts, PointCount};

/// What a person wants: which devices, what to minimise under which constraints, and how calmly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "autotiler.dev",
    version = "v1alpha1",
    kind = "AutoTilerPolicy",
    namespaced,
    cel,
    doc = "What a person wants of a group of devices: an objective under constraints, and how calmly to follow it.",
    shortname = "atp",
    category = "autotiler",
    status = "AutoTilerPolicyStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.mode",
        description = "Enforce or Advise"
    ),
    printcolumn(
        name = "Devices",
        type_ = "integer",
        json_path = ".status.devices.matched",
        description = "Devices that the policy decides for"
    ),
    printcolumn(
        name = "Synced",
        type_ = "integer",
        json_path = ".status.devices.synced",
        description = "Devices that run at their assignment"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the policy is in force"
    ),
    printcolumn(
        name = "Fresh",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"MetricsFresh\")].status",
        description = "Whether the metrics are fresh"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not",
        priority = 1
    ),
    printcolumn(
        name = "Profile",
        type_ = "string",
        json_path = ".spec.profileRef.name",
        description = "The PartitionProfile that it decides by",
        priority = 1
    ),
    printcolumn(
        name = "Minimize",
        type_ = "string",
        json_path = ".spec.objective.minimize",
        description = "What is minimised",
        priority = 1
    ),
    printcolumn(
        name = "Priority",
        type_ = "integer",
        json_path = ".spec.priority",
        description = "Higher wins where two policies select one device",
        priority = 1
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        description = "Whether everything stays as it is",
        priority = 1
    ),
    printcolumn(
        name = "Stale",
        type_ = "integer",
        json_path = ".status.devices.stale",
        description = "Devices without fresh metrics",
        priority = 1
    ),
    printcolumn(
        name = "Fallback",
        type_ = "integer",
        json_path = ".status.devices.fallback",
        description = "Devices in fallback",
        priority = 1
    ),
    printcolumn(
        name = "Limited",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Limited\")].status",
        description = "Whether a budget or a constraint holds it back",
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new(
        "self.behavior.guard.safePoint != 'DeviceOnly' || self.candidates.deviceOnly != 'Forbidden'"
    ).message(
        "behavior.guard.safePoint DeviceOnly needs candidates.deviceOnly Allowed or FallbackOnly"
    ),
    validation = Rule::new(
        "self.candidates.deviceOnly != 'Forbidden' || self.fallback.action != 'DeviceOnly'"
    ).message(
        "fallback.action DeviceOnly needs candidates.deviceOnly Allowed or FallbackOnly"
    )
)]
pub struct AutoTilerPolicySpec {
    /// Freezes everything: nothing is decided and nothing is sent; devices keep what they have.
    #[serde(default)]
    pub suspend: bool,
    /// Enforce, or Advise: decide and report, never send.
    #[serde(default)]
    pub mode: Mode,
    /// Where policies select the same device, the higher priority wins, then the older policy; the loser is told by
    /// its condition Conflicted.
    #[serde(default)]
    pub priority: i32,
    /// The EdgeDevices that the policy decides for.
    pub selector: Selector,
    /// The PartitionProfile that it decides by.
    pub profile_ref: ProfileRef,
    /// What is best, and what must hold.
    #[serde(default)]
    pub objective: Objective,
    /// What may be chosen.
    #[serde(default)]
    pub candidates: Candidates,
    /// Where measurements come from, and what makes them too old.
    pub metrics: Metrics,
    /// How calmly links are followed.
    #[serde(default)]
    pub behavior: Behavior,
    /// What holds when measurements fail.
    #[serde(default)]
    pub fallback: Fallback,
}

/// Whether decisions are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Decide, report and send.
    #[default]
    Enforce,
    /// Decide and report, never send.
    Advise,
}

/// A PartitionProfile in the policy's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

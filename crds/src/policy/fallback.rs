//! What holds when measurements fail.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::HumanDuration, placement::PlacementRoute};

/// What holds when measurements fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(self.action != 'Static' && self.afterHold != 'Static') || has(self.static)"
).message("fallback.action Static needs fallback.static: name the place to go"))]
pub struct Fallback {
    /// Sweeps without a fresh sample after which the fallback begins.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: u16,
    /// Hold the assignment, go to the place in `static`, or go to the device alone.
    #[serde(default = "default_action")]
    pub action: FallbackAction,
    /// Where action Static goes.
    #[serde(rename = "static", skip_serializing_if = "Option::is_none")]
    pub static_: Option<StaticPoint>,
    /// How long action Hold holds.
    #[serde(default = "default_hold_limit")]
    pub hold_limit: HumanDuration,
    /// What follows then. Where device-only is Forbidden, DeviceOnly holds on.
    #[serde(default = "default_after_hold")]
    pub after_hold: FallbackAction,
}

fn default_failure_threshold() -> u16 {
    3
}

fn default_action() -> FallbackAction {
    FallbackAction::Hold
}

fn default_hold_limit() -> HumanDuration {
    HumanDuration::from_secs(600)
}

fn default_after_hold() -> FallbackAction {
    FallbackAction::DeviceOnly
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            failure_threshold: default_failure_threshold(),
            action: default_action(),
            static_: None,
            hold_limit: default_hold_limit(),
            after_hold: default_after_hold(),
        }
    }
}

/// The place of a static fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.route != 'Split' || (has(self.partitionLayer) && has(self.compressionRatio))"
    ).message("fallback.static at route Split needs partitionLayer and compressionRatio"),
    validation = Rule::new("self.route == 'DeviceOnly' || has(self.targetBits)").message(
        "fallback.static needs targetBits, but for route DeviceOnly"
    )
)]
pub struct StaticPoint {
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
    /// Mean bits per frame; for routes Split and ServerOnly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_bits: Option<u32>,
}

/// What is done without measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FallbackAction {
    /// The last assignment stays.
    Hold,
    /// The place in `static`.
    Static,
    /// The whole network on the device.
    DeviceOnly,
}

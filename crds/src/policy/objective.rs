//! What is best, what must hold, and what may be chosen.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{bit_rate::BitRate, duration::HumanDuration};

/// What is best, and what must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// Latency, or Uplink: the bits that are sent.
    #[serde(default)]
    pub minimize: Minimize,
    /// What must hold; candidates that break one are not chosen.
    #[serde(default)]
    pub constraints: Constraints,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Minimize {
    /// Time from capture to detections.
    #[default]
    Latency,
    /// Bits that are sent.
    Uplink,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Constraints {
    /// Longest time from capture to detections, like 150ms; without it, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<HumanDuration>,
    /// Most mean average precision that may be lost against the uncut network, in thousandths of it.
    #[serde(default = "default_accuracy_drop")]
    #[schemars(range(max = 1000))]
    pub max_accuracy_drop_permille: u16,
    /// Most bits per second that a device may send, like 4M; without it, what the link carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uplink: Option<BitRate>,
}

fn default_accuracy_drop() -> u16 {
    20
}

impl Default for Constraints {
    fn default() -> Self {
        Self { max_latency: None, max_accuracy_drop_permille: default_accuracy_drop(), max_uplink: None }
    }
}

/// What may be chosen; an empty list means all that the profile has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidates {
    /// Partition layers that may be chosen; empty: all in the profile.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub partition_layers: Vec<u16>,
    /// Compression ratios that may be chosen; empty: all in the profile.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(ratio, ratio > 0 && self.exists_one(other, other == ratio))").message(
        "compressionRatios must be positive and each stand there once"
    ))]
    pub compression_ratios: Vec<u16>,
    /// Whether the whole network may run on the device: Allowed, Forbidden, or FallbackOnly (by guard and fallback).
    #[serde(default)]
    pub device_only: Permission,
    /// Whether the picture itself may be sent: Allowed, Forbidden, or FallbackOnly (by guard and fallback).
    #[serde(default)]
    pub server_only: Permission,
}

/// Whether a candidate may be chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    /// Like any other.
    #[default]
    Allowed,
    /// Never.
    Forbidden,
    /// Only by the guard and by the fallback.
    FallbackOnly,
}

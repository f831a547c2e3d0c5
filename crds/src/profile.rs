//! `PartitionProfile`: what was measured of a network on one class of devices.

use autotiler_core::Digest;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::schema::digest;

/// What was measured. Written by `autotiler profile`; one object for each network and class of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "autotiler.dev",
    version = "v1alpha1",
    kind = "PartitionProfile",
    namespaced,
    cel,
    doc = "What was measured of a network on one class of devices: times, bits and accuracy at each partition point.",
    shortname = "prof",
    category = "autotiler",
    derive = "PartialEq",
    selectable = ".spec.deviceClass",
    printcolumn(
        name = "Class",
        type_ = "string",
        json_path = ".spec.deviceClass",
        description = "The class of devices that it was measured on"
    ),
    printcolumn(
        name = "mAP50",
        type_ = "integer",
        json_path = ".spec.uncutMap50Permille",
        description = "Mean average precision of the uncut network, in thousandths"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Network",
        type_ = "string",
        json_path = ".spec.network",
        description = "Digest of the network",
        priority = 1
    )
)]
pub struct PartitionProfileSpec {
    /// Digest of the network, as 64 hexadecimal digits.
    #[schemars(schema_with = "digest")]
    pub network: Digest,
    /// The class of devices that it was measured on.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$"))]
    pub device_class: String,
    /// Mean average precision (IoU 0.5) of the uncut network, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub uncut_map50_permille: Option<u16>,
    /// The ways to share the work that were measured.
    #[schemars(length(min = 1, max = 64))]
    pub points: Vec<MeasuredPoint>,
}

impl PartitionProfileSpec {
    /// SHA-256 of everything that was measured, whatever the object is called.
    pub fn digest(&self) -> Digest {
        let json = serde_json::to_vec(self).expect("numbers and texts always make JSON");
        Digest(Sha256::digest(json).into())
    }
}

/// One way to share the work, with its times, and its bits against accuracy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.route == 'split' ? (has(self.layer) && has(self.cr)) : !(has(self.layer) || has(self.cr))"
).message(
    "route split needs layer and cr, the others have none"
))]
pub struct MeasuredPoint {
    /// split, device-only or server-only.
    pub route: MeasuredRoute,
    /// The network is cut after this layer; for route split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<u16>,
    /// Nominal compression ratio of the tiler; for route split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cr: Option<u16>,
    /// Digest of the tiler, as 64 hexadecimal digits; for route split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "digest")]
    pub tiler: Option<Digest>,
    /// Shape of the feature map at the cut, rows x columns x channels, like 26x26x512.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^[0-9]+x[0-9]+x[0-9]+$"))]
    pub feature_shape: Option<String>,
    /// Memory that the device needs for it, in KiB; 0 if it was not measured.
    #[serde(default)]
    pub memory_kib: u32,
    /// Head, tiler and codec on the device; the whole network for device-only.
    pub device: DeviceTime,
    /// Decoding and tail on the server, by rising batch size from 1; none for device-only.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub server: Vec<ServerTime>,
    /// Bits against accuracy, by rising bits; none for device-only.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub rates: Vec<MeasuredRate>,
}

/// How the work is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredRoute {
    /// Head on the device, tail on the server.
    Split,
    /// The whole network on the device.
    DeviceOnly,
    /// The whole network on the server.
    ServerOnly,
}

/// A time on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceTime {
    /// Median, in microseconds.
    #[serde(rename = "p50Us")]
    pub p50_us: u32,
    /// 95th percentile, in microseconds.
    #[serde(rename = "p95Us")]
    pub p95_us: u32,
}

/// Times on the server for frames that share a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerTime {
    /// Frames in the run.
    #[schemars(range(min = 1))]
    pub batch: u16,
    /// HEVC decoding of all of them, in microseconds.
    pub decode_us: u32,
    /// Tiler decoder, tail and boxes of all of them, in microseconds.
    pub tail_us: u32,
}

/// What a number of bits per frame costs in accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredRate {
    /// Mean bits of an access unit.
    #[schemars(range(min = 1))]
    pub bits: u32,
    /// Mean average precision lost against the uncut network, in thousandths of it.
    #[schemars(range(max = 1000))]
    pub accuracy_drop_permille: u16,
}

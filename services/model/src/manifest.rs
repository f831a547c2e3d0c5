//! `manifest.yaml`: what a model directory holds.

use autotiler_core::{CompressionRatio, Digest, LayerIndex};
use serde::{Deserialize, Serialize};

use crate::weights::Precision;

/// Version of the directory format that this code writes and reads.
pub const FORMAT: u32 = 1;
/// Name of the manifest in its directory.
pub const MANIFEST: &str = "manifest.yaml";

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// What people call the network.
    pub name: String,
    /// Class names in the network's order.
    pub classes: Vec<String>,
    /// Darknet topology, a file in the directory.
    pub cfg: String,
    /// Folded weights, a file in the directory.
    pub weights: String,
    /// How the weights lie there.
    #[serde(default)]
    pub precision: Precision,
    /// SHA-256 over topology, weights and class names.
    pub digest: Digest,
    /// Tilers; of several for one layer and ratio the first is used unless a kind is asked for.
    #[serde(default)]
    pub tilers: Vec<TilerEntry>,
}

/// Members of the family of tilers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TilerKind {
    /// Maps side by side, one range.
    Plain,
    /// Training-free transform.
    Klt,
    /// Learned from the KLT.
    Lite,
}

impl std::fmt::Display for TilerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Klt => "klt",
            Self::Lite => "lite",
        })
    }
}

impl std::str::FromStr for TilerKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "klt" => Ok(Self::Klt),
            "lite" => Ok(Self::Lite),
            other => Err(format!("tiler {other:?} is not known: plain, klt or lite")),
        }
    }
}

/// One tiler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TilerEntry {
    /// Partition point.
    pub layer: LayerIndex,
    /// Nominal compression ratio.
    pub cr: CompressionRatio,
    /// Which member of the family.
    pub kind: TilerKind,
    /// Weights, a file in the directory.
    pub file: String,
    /// SHA-256 over kind, layer, ratio, the network's digest and the file.
    pub digest: Digest,
}

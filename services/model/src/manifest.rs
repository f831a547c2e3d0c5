//! `manifest.yaml`: what a model directory holds.

use autotiler_core::{CompressionRatio, Digest, LayerIndex, Shape};
use autotiler_graph::tiler::{TilerError, TilerSpec};
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
#[serde(rename_all = "kebab-case")]
pub enum TilerKind {
    /// Maps side by side, one range.
    Plain,
    /// Training-free transform.
    Klt,
    /// Learned from the KLT.
    Lite,
    /// Learned once for any layer of any network.
    Omni,
    /// The paper's variable auto-tiler: one core for all layers and ratios (reconstruction).
    Paper,
    /// The paper's independent variant: a model of its own for each layer and ratio.
    PaperSolo,
    /// The paper's baseline: an autoencoder whose maps are tiled.
    Ae,
}

impl TilerKind {
    /// All of them, in the order in which several for one layer and ratio are used.
    pub const ALL: [Self; 7] =
        [Self::Lite, Self::Omni, Self::Klt, Self::Plain, Self::Paper, Self::PaperSolo, Self::Ae];

    /// Its name, as in manifests and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Klt => "klt",
            Self::Lite => "lite",
            Self::Omni => "omni",
            Self::Paper => "paper",
            Self::PaperSolo => "paper-solo",
            Self::Ae => "ae",
        }
    }

    /// Dimensions of a tiler of this kind.
    ///
    /// # Errors
    /// [`TilerError::Ratio`], which names the ratios that the kind can have at this feature map.
    pub fn spec(
        self,
        layer: LayerIndex,
        feature: Shape,
        cr: CompressionRatio,
    ) -> Result<TilerSpec, TilerError> {
        match self {
            Self::Plain | Self::Klt | Self::Lite | Self::Omni => TilerSpec::new(layer, feature, cr),
            Self::Paper | Self::PaperSolo => TilerSpec::single_plane(layer, feature, cr),
            Self::Ae => TilerSpec::tiled(layer, feature, cr),
        }
    }

    /// Which kind is used first when several fit: the lowest.
    pub(crate) fn rank(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(Self::ALL.len())
    }
}

impl std::fmt::Display for TilerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for TilerKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("tiler {text:?} is not known: {}", known.join(", "))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_name_in_manifests_and_on_command_lines() {
        for kind in TilerKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_yaml::to_string(&kind).unwrap().trim(), kind.name());
            assert_eq!(serde_yaml::from_str::<TilerKind>(kind.name()).unwrap(), kind);
        }
        assert!("median".parse::<TilerKind>().unwrap_err().contains("paper-solo"));
    }
}

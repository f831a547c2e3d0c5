//! Choice by measurement: which tiler to use at which layer for how many bits, chosen by divergence on val.

use std::path::Path;

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_model::{TilerKind, files};
use serde::{Deserialize, Serialize};

use crate::{error::EvalError, method::Method, standing::Standing};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Kilobits that a choice is made for.
pub const TARGETS_KBIT: [f64; 11] = [2.0, 3.0, 4.0, 5.5, 8.0, 11.0, 14.0, 17.0, 20.0, 24.0, 28.0];

/// What measured best at each layer and target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Choices {
    /// Version of the format.
    pub format: u32,
    /// Digest of the network that it was measured on.
    pub network: String,
    /// The set: never one that is reported on.
    pub set: String,
    /// Its pictures.
    pub pictures: usize,
    /// In order of layers and bits.
    pub choices: Vec<Choice>,
}

/// The best tiler of one layer at one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Choice {
    /// Partition point.
    pub layer: LayerIndex,
    /// Mean kilobits of a picture.
    pub kbit: f64,
    /// Member of the family.
    pub tiler: TilerKind,
    /// Its compression ratio.
    pub cr: CompressionRatio,
    /// Divergence there, nats of a picture, to three digits.
    pub kl: f64,
}

impl Choices {
    /// The least divergence of `standings` at each layer and target. A tiler that cannot be coded to a target is
    /// no candidate there.
    pub fn from_standings(standings: &[Standing], network: String, set: &str, pictures: usize) -> Self {
        let mut layers: Vec<u16> = standings.iter().filter_map(|standing| standing.layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let best = |layer: u16, kbit: f64| {
            let there = standings.iter().filter(|standing| standing.layer == Some(layer));
            let scored = there.filter_map(|standing| {
                let Method::Tiler { layer, cr, kind, coding: crate::Coding::Plane } = standing.method else {
                    return None;
                };
                let kl = standing.measured_curve.kl_at_kbit(kbit)?;
                Some(Choice { layer, kbit, tiler: kind, cr, kl: (kl * 1e3).round() / 1e3 })
            });
            scored.min_by(|a, b| a.kl.total_cmp(&b.kl))
        };
        let choices =
            layers.iter().flat_map(|&layer| TARGETS_KBIT.iter().filter_map(move |&kbit| best(layer, kbit)));
        Self { format: FORMAT, network, set: set.to_owned(), pictures, choices: choices.collect() }
    }

    /// Writes `choice.yaml` into a model directory.
    ///
    /// # Errors
    /// [`EvalError::File`].
    pub fn write(&self, model: &Path) -> Result<(), EvalError> {
        let text = serde_yaml::to_string(self).map_err(EvalError::Yaml)?;
        Ok(files::write(&model.join("choice.yaml"), text.as_bytes())?)
    }
}

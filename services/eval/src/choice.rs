//! Choice by measurement: which tiler to use at which layer for how many bits, chosen by divergence on val.

use std::path::Path;

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_model::{TilerKind, files};
use serde::{Deserialize, Serialize};

use crate::{error::EvalError, method::Method, standing::Standing};

/// Name of the file in a model directory.
const FILE: &str = "choice.yaml";
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
        let path = model.join(FILE);
        let text =
            serde_yaml::to_string(self).map_err(|source| EvalError::Choice { path: path.clone(), source })?;
        Ok(files::write(&path, text.as_bytes())?)
    }

    /// The choices that lie in a model directory; none where nothing was chosen yet.
    ///
    /// # Errors
    /// [`EvalError::Choice`] for a file that cannot be understood, [`EvalError::OtherChoice`] for one of another
    /// network.
    pub fn read(model: &Path, network: &str) -> Result<Option<Self>, EvalError> {
        Self::read_file(&model.join(FILE), network)
    }

    /// The choices in a file of any name; none where there is no such file.
    ///
    /// # Errors
    /// As [`Choices::read`].
    pub fn read_file(path: &Path, network: &str) -> Result<Option<Self>, EvalError> {
        if !path.exists() {
            return Ok(None);
        }
        let path = path.to_owned();
        let bytes = files::read(&path)?;
        let choices: Self = serde_yaml::from_slice(&bytes)
            .map_err(|source| EvalError::Choice { path: path.clone(), source })?;
        if choices.format != FORMAT || choices.network != network {
            return Err(EvalError::OtherChoice { path });
        }
        Ok(Some(choices))
    }

    /// Each choice held to another set: what the chosen tiler, Tiling and the KLT do there at its bits. Choices
    /// that `standings` do not reach are left out.
    pub fn hold(&self, standings: &[Standing]) -> Vec<Held> {
        self.choices.iter().filter_map(|choice| Held::new(choice, standings)).collect()
    }
}

/// A choice on a set that had no say in it.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// Partition point.
    pub layer: LayerIndex,
    /// Mean kilobits of a picture.
    pub kbit: f64,
    /// What was chosen.
    pub tiler: TilerKind,
    /// Its compression ratio.
    pub cr: CompressionRatio,
    /// Its divergence on this set, nats of a picture.
    pub kl: f64,
    /// That of Tiling.
    pub kl_tiling: Option<f64>,
    /// That of the KLT at ratio 1.
    pub kl_klt: Option<f64>,
}

impl Held {
    fn new(choice: &Choice, standings: &[Standing]) -> Option<Self> {
        let kl_of = |kind, cr| {
            let method = Method::tiler(choice.layer, cr, kind);
            let standing = standings.iter().find(|standing| standing.method == method)?;
            standing.measured_curve.kl_at_kbit(choice.kbit)
        };
        let &Choice { layer, kbit, tiler, cr, .. } = choice;
        Some(Self {
            layer,
            kbit,
            tiler,
            cr,
            kl: kl_of(tiler, cr)?,
            kl_tiling: kl_of(TilerKind::Plain, CompressionRatio::ONE),
            kl_klt: kl_of(TilerKind::Klt, CompressionRatio::ONE),
        })
    }

    /// By how much the chosen one is worse than the better of Tiling and KLT; 0 or less where it is not.
    pub fn regret(&self) -> f64 {
        let best = self.kl_tiling.into_iter().chain(self.kl_klt).fold(f64::INFINITY, f64::min);
        if best.is_finite() { self.kl / best - 1.0 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        curve::{Curve, CurvePoint},
        workbench::StageMs,
    };

    /// A method at layer 7 with these kilobits and divergences.
    fn standing(kind: TilerKind, points: &[(f64, f64)]) -> Standing {
        let method = Method::tiler(LayerIndex(7), CompressionRatio::ONE, kind);
        let point = |&(kbit, kl): &(f64, f64)| CurvePoint { kbit, map50: 0.5, map50_cut: 0.5, kl };
        Standing {
            name: method.name(),
            layer: Some(7),
            spots: Vec::new(),
            kbit_at: BTreeMap::new(),
            kbit_at_loss: BTreeMap::new(),
            effective_cr: None,
            bd_rate_picture: None,
            bd_rate_tiling: None,
            kl_bits_tiling: BTreeMap::new(),
            encoder: None,
            ms: StageMs::default(),
            measured_curve: Curve::new(points.iter().map(point)),
            method,
        }
    }

    /// `lite` is better below 8 kbit, `klt` above.
    fn crossing() -> [Standing; 3] {
        [
            standing(TilerKind::Lite, &[(1.0, 64.0), (8.0, 16.0), (32.0, 8.0)]),
            standing(TilerKind::Klt, &[(1.0, 128.0), (8.0, 16.0), (32.0, 4.0)]),
            standing(TilerKind::Plain, &[(1.0, 256.0), (8.0, 64.0), (32.0, 5.0)]),
        ]
    }

    #[test]
    fn the_least_divergence_is_chosen_at_each_target() {
        let choices = Choices::from_standings(&crossing(), "n".to_owned(), "val", 10);
        let at = |kbit: f64| choices.choices.iter().find(|choice| choice.kbit == kbit).map(|c| c.tiler);
        assert_eq!(at(2.0), Some(TilerKind::Lite));
        assert_eq!(at(20.0), Some(TilerKind::Klt));
    }

    #[test]
    fn choices_come_back_from_their_file_and_belong_to_one_network() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Choices::read(dir.path(), "n").unwrap(), None);
        let choices = Choices::from_standings(&crossing(), "n".to_owned(), "val", 10);
        choices.write(dir.path()).unwrap();
        assert_eq!(Choices::read(dir.path(), "n").unwrap(), Some(choices));
        assert!(matches!(Choices::read(dir.path(), "m"), Err(EvalError::OtherChoice { .. })));
        std::fs::write(dir.path().join(FILE), "format: 1\ncolour: red\n").unwrap();
        assert!(matches!(Choices::read(dir.path(), "n"), Err(EvalError::Choice { .. })));
    }

    #[test]
    fn a_choice_that_does_not_hold_elsewhere_is_regretted() {
        let choices = Choices::from_standings(&crossing(), "n".to_owned(), "val", 10);
        assert!(choices.hold(&crossing()).iter().all(|held| held.regret() <= 1e-9));
        let mut elsewhere = crossing();
        elsewhere[0] = standing(TilerKind::Lite, &[(1.0, 256.0), (8.0, 64.0), (32.0, 8.0)]);
        let worst = choices.hold(&elsewhere).iter().map(Held::regret).fold(0.0, f64::max);
        // At 8 kbit both are alike on val, the first is taken, and does 64 nats there against 16.
        assert!((worst - 3.0).abs() < 1e-6, "{worst}");
    }
}

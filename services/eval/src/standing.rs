//! Where a method stands: its rate-accuracy curve with intervals, and the figures read off it.

use std::collections::BTreeMap;

use autotiler_core::{
    Shape,
    average_precision::{PAPER_LEAST_SCORE, Ranking, Score, UNCUT},
};
use autotiler_graph::macs;
use serde::Serialize;

use crate::{
    bootstrap::{self, ConfidenceInterval, Resampler},
    curve::{self, Curve, CurvePoint},
    error::EvalError,
    method::{Coding, Method},
    workbench::{Measured, StageMs, Trial, Workbench},
};

/// Shares of the uncut mAP that bits are told for, in percent.
pub const SHARES: [u32; 3] = [85, 90, 95];
/// Losses of mAP that bits are told for, in points.
pub const LOSSES: [u32; 3] = [1, 2, 3];
/// Kilobits at which divergences are compared at equal bits.
pub const KL_AT_KBIT: [u32; 3] = [4, 8, 14];

/// Seed of the draws: all methods of all runs share them.
const SEED: u64 = 1;

/// One setting of a method.
#[derive(Debug, Clone, Serialize)]
pub struct Spot {
    /// How coarse.
    pub setting: String,
    /// Mean bits of a picture, in thousands.
    pub kbit: f64,
    /// Mean average precision at IoU 0.5, all-point, score threshold 0.005.
    pub map50: f64,
    /// Its 95 % bootstrap interval over pictures.
    pub map50_interval: Option<ConfidenceInterval>,
    /// 95 % interval of the difference to the uncut network on the same pictures.
    pub loss_interval: Option<ConfidenceInterval>,
    /// As the paper counts: scores of at least 0.5 only.
    pub map50_cut: f64,
    /// Mean divergence of a picture from the uncut heads, nats.
    pub kl: f64,
    /// Mean structural similarity of the decoded planes.
    pub ssim: Option<f64>,
    /// Average precision of each class in the truth.
    pub per_class: BTreeMap<String, f64>,
}

/// What the device runs beyond the head.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EncoderCost {
    /// Multiply-accumulates of a picture, in thousands for each pixel of the network's input.
    pub kmac_per_pixel: f64,
    /// Multiply-accumulates of a picture.
    pub macs: u64,
    /// Stored weights.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// As [`Method::name`].
    pub name: String,
    /// Partition point.
    pub layer: Option<u16>,
    /// Finest first.
    #[serde(rename = "curve")]
    pub spots: Vec<Spot>,
    /// Kilobits at 85, 90 and 95 % of the uncut mAP; null where the curve does not reach.
    pub kbit_at: BTreeMap<String, Option<f64>>,
    /// Kilobits at 1, 2 and 3 points of loss.
    pub kbit_at_loss: BTreeMap<String, Option<f64>>,
    /// Bits of the 8-bit values (feature map, or RGB picture) over bits at 85 %.
    pub effective_cr: Option<f64>,
    /// Bits against the best HEVC picture at equal mAP, in percent: negative is fewer.
    pub bd_rate_picture: Option<f64>,
    /// Bits against Tiling at the same layer at equal mAP, in percent.
    pub bd_rate_tiling: Option<f64>,
    /// Bits against Tiling at the same layer at equal divergence, at 4, 8 and 14 kbit of this method, in percent.
    pub kl_bits_tiling: BTreeMap<String, Option<f64>>,
    /// Of the tiler's encoder.
    pub encoder: Option<EncoderCost>,
    /// Median milliseconds of each stage.
    pub ms: StageMs,
    /// For the numbers above.
    #[serde(skip)]
    pub measured_curve: Curve,
    /// Which it is.
    #[serde(skip)]
    pub method: Method,
}

/// The yardstick of a set: the uncut network and the resamples that all methods share.
pub struct Yardstick {
    classes: Vec<String>,
    resamples: Vec<Vec<u32>>,
    /// Of each resample.
    uncut_resampled: Vec<f64>,
    /// The uncut network's score.
    pub uncut: Score,
    /// As the paper counts.
    pub uncut_cut: f64,
}

impl Yardstick {
    /// Scores the uncut network of `bench`, and again on `resamples` draws of its pictures.
    pub fn new(bench: &Workbench<'_>, resamples: usize) -> Self {
        let ranking = Ranking::new(bench.uncut(), bench.classes().len());
        let resamples: Vec<Vec<u32>> = Resampler::new(bench.len(), SEED).take(resamples).collect();
        Self {
            uncut_resampled: resamples.iter().map(|weights| ranking.score(weights, UNCUT).map50).collect(),
            uncut: ranking.score_once(UNCUT),
            uncut_cut: ranking.score_once(PAPER_LEAST_SCORE).map50,
            classes: bench.classes().to_vec(),
            resamples,
        }
    }

    /// One setting's scores.
    pub fn spot(&self, trial: &Trial) -> Spot {
        let matched = trial.outcomes.iter().map(|outcome| &outcome.matched);
        let ranking = Ranking::new(matched, self.classes.len());
        let Score { map50, per_class, .. } = ranking.score_once(UNCUT);
        let resampled: Vec<f64> =
            self.resamples.iter().map(|weights| ranking.score(weights, UNCUT).map50).collect();
        let losses: Vec<f64> =
            resampled.iter().zip(&self.uncut_resampled).map(|(map50, uncut)| map50 - uncut).collect();
        let count = trial.outcomes.len().max(1) as f64;
        let mean = |of: &dyn Fn(&crate::workbench::Outcome) -> f64| {
            trial.outcomes.iter().map(of).sum::<f64>() / count
        };
        let ssim: Option<Vec<f64>> = trial.outcomes.iter().map(|outcome| outcome.ssim).collect();
        let names = self.classes.iter().cloned();
        Spot {
            setting: trial.setting.to_string(),
            kbit: mean(&|outcome| f64::from(outcome.bits) / 1e3),
            map50,
            map50_interval: bootstrap::interval(&resampled, 0.95),
            loss_interval: bootstrap::interval(&losses, 0.95),
            map50_cut: ranking.score_once(PAPER_LEAST_SCORE).map50,
            kl: mean(&|outcome| outcome.kl),
            ssim: ssim.map(|values| values.iter().sum::<f64>() / count),
            per_class: names.zip(per_class).filter_map(|(name, ap)| Some((name, ap?))).collect(),
        }
    }

    /// Where `method` stands by itself; [`compare_all`] adds how it compares.
    ///
    /// # Errors
    /// [`EvalError`] when the model has no such tiler.
    pub fn standing(
        &self,
        bench: &Workbench<'_>,
        method: Method,
        measured: &Measured,
    ) -> Result<Standing, EvalError> {
        let spots: Vec<Spot> = measured.trials.iter().map(|trial| self.spot(trial)).collect();
        let curve = Curve::new(spots.iter().map(|spot| CurvePoint {
            kbit: spot.kbit,
            map50: spot.map50,
            map50_cut: spot.map50_cut,
            kl: spot.kl,
        }));
        let at = |wanted: f64| curve.kbit_at(wanted);
        let uncut = self.uncut.map50;
        let kbit_at: BTreeMap<_, _> =
            SHARES.iter().map(|share| (share.to_string(), at(uncut * f64::from(*share) / 100.0))).collect();
        let raw_kbit = raw_kbit(bench, method)?;
        Ok(Standing {
            name: method.name(),
            layer: method.layer().map(|layer| layer.0),
            effective_cr: kbit_at.get("85").copied().flatten().map(|kbit| raw_kbit / kbit),
            kbit_at,
            kbit_at_loss: LOSSES
                .iter()
                .map(|loss| (loss.to_string(), at(uncut - f64::from(*loss) / 100.0)))
                .collect(),
            bd_rate_picture: None,
            bd_rate_tiling: None,
            kl_bits_tiling: BTreeMap::new(),
            encoder: encoder_cost(bench, method)?,
            ms: measured.ms,
            measured_curve: curve,
            spots,
            method,
        })
    }
}

/// Adds to each standing how it compares with the HEVC picture and with Tiling at its layer.
pub fn compare_all(standings: &mut [Standing]) {
    let pictures = standings.iter().filter(|s| matches!(s.method, Method::Picture { .. }));
    let picture = Curve::envelope(pictures.map(|s| &s.measured_curve));
    let tilings: BTreeMap<Option<u16>, Curve> = standings
        .iter()
        .filter(|s| s.name == "tiling")
        .map(|s| (s.layer, s.measured_curve.clone()))
        .collect();
    for standing in standings {
        let own = &standing.measured_curve;
        standing.bd_rate_picture = curve::bd_rate(&picture, own).filter(|_| !picture.points.is_empty());
        let Some(tiling) = tilings.get(&standing.layer) else { continue };
        standing.bd_rate_tiling = curve::bd_rate(tiling, own);
        let saved = |kbit: u32| {
            let kl = own.kl_at_kbit(f64::from(kbit))?;
            Some(100.0 * (f64::from(kbit) / tiling.kbit_at_kl(kl)? - 1.0))
        };
        standing.kl_bits_tiling = KL_AT_KBIT.iter().map(|&kbit| (kbit.to_string(), saved(kbit))).collect();
    }
}

/// Kilobits of what a method codes, at 8 bits a value.
fn raw_kbit(bench: &Workbench<'_>, method: Method) -> Result<f64, EvalError> {
    let model = bench.workshop().model;
    let values = match method {
        Method::Tiler { layer, cr, kind, .. } => model.tiler(layer, cr, Some(kind))?.spec().feature.len(),
        Method::Picture { .. } | Method::Jpeg => model.network.input.len(),
    };
    Ok(values as f64 * 8.0 / 1e3)
}

fn encoder_cost(bench: &Workbench<'_>, method: Method) -> Result<Option<EncoderCost>, EvalError> {
    let Method::Tiler { layer, cr, kind, coding: Coding::Plane } = method else { return Ok(None) };
    let model = bench.workshop().model;
    let stored = model.tiler(layer, cr, Some(kind))?;
    let macs = macs::total(&stored.tiler().encoder()?);
    let Shape { h, w, .. } = model.network.input;
    let kmac_per_pixel = macs as f64 / 1e3 / (h * w) as f64;
    Ok(Some(EncoderCost { kmac_per_pixel, macs, bytes: stored.encoder_bytes() }))
}

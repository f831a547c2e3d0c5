//! Every method on one plot: measure, then say who needs how many bits, losers like winners.

use std::path::Path;

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_model::{Model, TilerKind, files};
use serde::Serialize;

use crate::{
    choice::{Choices, Held},
    error::EvalError,
    method::{Coding, Method},
    standing::{Standing, Yardstick, compare_all},
    workbench::{Watcher, Workbench},
};

/// Draws of the pictures for the intervals.
pub const RESAMPLES: usize = 300;
/// Sides of the HEVC picture, in shares of the network's input.
const PICTURE_SHARES: [f64; 3] = [1.0, 0.7, 0.5];

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Name of the network.
    pub model: String,
    /// Name of the set.
    pub set: String,
    /// Pictures of it.
    pub images: usize,
    /// The uncut network's mean average precision at IoU 0.5.
    pub map50_uncut: f64,
    /// As the paper counts.
    pub map50_uncut_cut: f64,
    /// By method.
    pub methods: Vec<Standing>,
    /// What was chosen on val, held to this set; empty where nothing was chosen yet.
    pub picked: Vec<Held>,
}

/// Which tilers of a model take part.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These layers; all when empty.
    pub layers: Vec<u16>,
    /// These kinds; all when empty.
    pub kinds: Vec<TilerKind>,
    /// Leave out the picture, JPEG, frame per channel and raw bytes.
    pub tilers_only: bool,
}

/// All methods that a model and a selection give: the picture at three sizes, JPEG, and at each layer raw bytes,
/// frame per channel, Tiling and every tiler in the model.
pub fn methods(model: &Model, selection: &Selection) -> Vec<Method> {
    let mut methods = Vec::new();
    if !selection.tilers_only {
        let side = model.network.input.w as f64;
        // Even, for 4:2:0.
        let sides = PICTURE_SHARES.map(|share| ((side * share / 2.0).round() * 2.0) as u16);
        methods.extend(sides.map(|side| Method::Picture { side }));
        methods.push(Method::Jpeg);
    }
    for stored in &model.tilers {
        let (layer, cr, kind) = (stored.layer(), stored.spec().cr, stored.kind);
        let chosen = selection.layers.is_empty() || selection.layers.contains(&layer.0);
        let wanted = selection.kinds.is_empty() || selection.kinds.contains(&kind);
        if !chosen || !wanted {
            continue;
        }
        if kind == TilerKind::Plain && !selection.tilers_only {
            let coded = |coding| Method::Tiler { layer, cr, kind, coding };
            methods.extend([coded(Coding::Raw), coded(Coding::FramePerChannel)]);
        }
        methods.push(Method::tiler(layer, cr, kind));
    }
    methods
}

/// Layers that have tilers but no Tiling to hold them against, so that a user can be told how to make it.
pub fn layers_without_tiling(model: &Model) -> Vec<LayerIndex> {
    let mut layers: Vec<LayerIndex> = model.tilers.iter().map(|stored| stored.layer()).collect();
    layers.dedup();
    layers.retain(|&layer| model.tiler(layer, CompressionRatio::ONE, Some(TilerKind::Plain)).is_err());
    layers
}

/// Measures `methods` over the bench's pictures.
///
/// # Errors
/// [`EvalError`] of the first method that fails; what was measured before is kept by the bench's cache.
pub fn compare(
    bench: &Workbench<'_>,
    methods: &[Method],
    watcher: &dyn Watcher,
) -> Result<Comparison, EvalError> {
    let yardstick = Yardstick::new(bench, RESAMPLES);
    let mut standings = Vec::new();
    for &method in methods {
        let measured = bench.measure(method, &method.ladder(), watcher)?;
        standings.push(yardstick.standing(bench, method, &measured)?);
    }
    compare_all(&mut standings);
    let model = bench.workshop().model;
    let choices = Choices::read(&model.dir, &model.manifest.digest.to_string())?;
    Ok(Comparison {
        model: model.manifest.name.clone(),
        set: bench.set().to_owned(),
        images: bench.len(),
        map50_uncut: yardstick.uncut.map50,
        map50_uncut_cut: yardstick.uncut_cut,
        picked: choices.map_or_else(Vec::new, |choices| choices.hold(&standings)),
        methods: standings,
    })
}

/// Writes `compare.json` into `folder`.
///
/// # Errors
/// [`EvalError::File`].
pub fn write_json(comparison: &Comparison, folder: &Path) -> Result<(), EvalError> {
    let path = folder.join("compare.json");
    let damaged = |source| EvalError::Damaged { path: path.clone(), source };
    Ok(files::write(&path, &serde_json::to_vec_pretty(comparison).map_err(damaged)?)?)
}

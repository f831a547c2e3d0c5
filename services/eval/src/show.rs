//! A comparison as files: curves and per-class tables as CSV, plots as SVG and PNG.

use std::{collections::BTreeMap, path::Path};

use autotiler_model::files;
use autotiler_plot::{Axis, LineChart, Plot, Series, lines::Point};
use serde::Serialize;

use crate::{
    compare::Comparison,
    error::EvalError,
    standing::{Spot, Standing},
};

/// A row of `curves.csv`.
#[derive(Serialize)]
struct Row<'a> {
    method: &'a str,
    layer: Option<u16>,
    setting: &'a str,
    kbit: f64,
    map50: f64,
    map50_low: Option<f64>,
    map50_high: Option<f64>,
    loss: f64,
    loss_low: Option<f64>,
    loss_high: Option<f64>,
    map50_cut: f64,
    kl_nats: f64,
    ssim: Option<f64>,
}

/// A row of `per_class.csv`.
#[derive(Serialize)]
struct ClassRow<'a> {
    method: &'a str,
    layer: Option<u16>,
    kbit: f64,
    class: &'a str,
    ap: f64,
}

/// Writes `curves.csv`, `per_class.csv` and the plots into `folder`: `compare` with each method at its best layer,
/// `compare-layerN` and `compare-kl-layerN` with all that was measured there.
///
/// # Errors
/// [`EvalError`] when a file cannot be written.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<(), EvalError> {
    let spots = || comparison.methods.iter().flat_map(|s| s.spots.iter().map(move |spot| (s, spot)));
    let uncut = comparison.map50_uncut;
    write_csv(&folder.join("curves.csv"), spots().map(|(s, spot)| row(s, spot, uncut)))?;
    let classes = spots().flat_map(|(s, spot)| {
        let of = move |(class, &ap)| ClassRow { method: &s.name, layer: s.layer, kbit: spot.kbit, class, ap };
        spot.per_class.iter().map(|(class, ap)| (class.as_str(), ap)).map(of)
    });
    write_csv(&folder.join("per_class.csv"), classes)?;
    save(accuracy_plot(comparison, "", &best_layers(&comparison.methods)), folder, "compare")?;
    let mut layers: Vec<u16> = comparison.methods.iter().filter_map(|s| s.layer).collect();
    layers.sort_unstable();
    layers.dedup();
    for layer in layers {
        let there: Vec<&Standing> =
            comparison.methods.iter().filter(|s| s.layer.is_none_or(|own| own == layer)).collect();
        let title = format!(", layer {layer}");
        save(accuracy_plot(comparison, &title, &there), folder, &format!("compare-layer{layer}"))?;
        save(divergence_plot(comparison, &title, &there), folder, &format!("compare-kl-layer{layer}"))?;
    }
    Ok(())
}

/// Rows as one CSV file, written as a whole.
///
/// # Errors
/// [`EvalError::File`].
pub fn write_csv(path: &Path, rows: impl IntoIterator<Item = impl Serialize>) -> Result<(), EvalError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |source| EvalError::Csv { path: path.to_owned(), source };
    for row in rows {
        writer.serialize(row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
    Ok(files::write(path, &bytes)?)
}

/// Saves a plot that may have nothing to show: then there is no file.
fn save(plot: Option<Plot>, folder: &Path, stem: &str) -> Result<(), EvalError> {
    if let Some(plot) = plot {
        plot.save(folder, stem)?;
    }
    Ok(())
}

fn row<'a>(standing: &'a Standing, spot: &'a Spot, uncut: f64) -> Row<'a> {
    Row {
        method: &standing.name,
        layer: standing.layer,
        setting: &spot.setting,
        kbit: spot.kbit,
        map50: spot.map50,
        map50_low: spot.map50_interval.map(|i| i.low),
        map50_high: spot.map50_interval.map(|i| i.high),
        loss: spot.map50 - uncut,
        loss_low: spot.loss_interval.map(|i| i.low),
        loss_high: spot.loss_interval.map(|i| i.high),
        map50_cut: spot.map50_cut,
        kl_nats: spot.kl,
        ssim: spot.ssim,
    }
}

/// Of each method the layer that needs the fewest bits at 85 % of the uncut mAP; where none reaches it, the one
/// whose best accuracy is highest.
fn best_layers(standings: &[Standing]) -> Vec<&Standing> {
    let mut best: BTreeMap<&str, &Standing> = BTreeMap::new();
    let rank = |s: &Standing| {
        let top = s.spots.iter().map(|spot| spot.map50).fold(0.0, f64::max);
        (s.kbit_at.get("85").copied().flatten().unwrap_or(f64::INFINITY), -top)
    };
    for standing in standings {
        let held = best.entry(&standing.name).or_insert(standing);
        if rank(standing) < rank(held) {
            *held = standing;
        }
    }
    best.into_values().collect()
}

fn label(standing: &Standing) -> String {
    match standing.layer {
        Some(layer) => format!("{}, layer {layer}", standing.name),
        None => standing.name.clone(),
    }
}

fn subtitle(comparison: &Comparison) -> String {
    format!("{}, {}: {} images", comparison.model, comparison.set, comparison.images)
}

fn accuracy_plot(comparison: &Comparison, title: &str, standings: &[&Standing]) -> Option<Plot> {
    let uncut = comparison.map50_uncut;
    let mut chart = LineChart::new(
        format!("Rate and accuracy{title}"),
        Axis::log("kbit per image"),
        Axis::linear("mAP@0.5").covering(0.0, uncut * 1.05),
    )
    .subtitle(format!("{}; bands: 95 % bootstrap intervals", subtitle(comparison)))
    .reference(uncut, "uncut")
    .reference(uncut * 0.85, "85 % of uncut");
    for standing in standings {
        let point = |spot: &Spot| Point {
            x: spot.kbit,
            y: spot.map50,
            interval: spot.map50_interval.map(|i| (i.low, i.high)),
        };
        let points = standing.spots.iter().map(point).collect();
        chart = chart.series(Series::from_points(label(standing), points));
    }
    (!standings.is_empty()).then(|| chart.into())
}

fn divergence_plot(comparison: &Comparison, title: &str, standings: &[&Standing]) -> Option<Plot> {
    let mut chart = LineChart::new(
        format!("Rate and divergence{title}"),
        Axis::log("kbit per image"),
        Axis::log("divergence from the uncut heads (nats per image)"),
    )
    .subtitle(subtitle(comparison));
    for standing in standings {
        let points = standing.spots.iter().filter(|spot| spot.kl > 0.0).map(|spot| (spot.kbit, spot.kl));
        chart = chart.series(Series::new(label(standing), points));
    }
    (!standings.is_empty()).then(|| chart.into())
}

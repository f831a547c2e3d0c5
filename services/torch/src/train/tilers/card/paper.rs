//! Card and curves of `paper`.

use std::fmt::Write as _;

use autotiler_plot::{Axis, LineChart, Series, colour::PALETTE};

use super::{Card, PaperDone};
use crate::train::paper::{PaperCurve, PaperRecipe};

/// What became of all runs.
pub(in crate::train::tilers) fn card(paper: &PaperRecipe, done: &PaperDone) -> Card {
    let PaperDone { skipped, seconds, curves, tilers, .. } = done;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "A reconstruction of the paper's tilers, trained for the feature map alone. Error: mean squared error on\n\
         the validation pictures in shares of the variance of the point's feature map, planes rounded to bytes,\n\
         no codec. Points {:?}; {} runs of {} epochs at most; {skipped} pictures could not be read; {seconds:.0}\n\
         s.\n",
        paper.points,
        curves.len(),
        paper.epochs
    );
    text += "| tiler | layer | compression ratio | error | encoder bytes | encoder MMAC | digest |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- |\n";
    for tiler in tilers {
        let (layer, cr) = tiler.point.split_once(':').unwrap_or((&tiler.point, ""));
        let (bytes, macs) = (tiler.encoder_bytes, tiler.encoder_macs as f64 / 1e6);
        let digest = tiler.digest.get(..12).unwrap_or(&tiler.digest);
        let _ = writeln!(
            text,
            "| {} | {layer} | {cr} | {:.4} | {bytes} | {macs:.2} | `{digest}` |",
            tiler.kind, tiler.error
        );
    }
    let mut csv = "run,epoch,training_error,validation_error\n".to_owned();
    for curve in curves {
        for score in &curve.scores {
            let training = score.training.map_or_else(String::new, |error| format!("{error:.6}"));
            let _ = writeln!(csv, "{},{},{training},{:.6}", curve.run, score.epoch, score.validation);
        }
    }
    let variants = ["variable", "independent", "autoencoder"];
    let charts = variants.into_iter().filter_map(|variant| Some((Some(variant), chart(variant, curves)?)));
    Card { text, csv, charts: charts.collect() }
}

/// Validation errors of one variant's runs.
fn chart(variant: &str, curves: &[PaperCurve]) -> Option<LineChart> {
    let own = curves.iter().filter_map(|curve| Some((curve, curve.run.strip_prefix(variant)?)));
    let series = own.zip(PALETTE.iter().cycle()).map(|((curve, name), colour)| {
        // Nothing is below this on a logarithmic axis.
        let points = curve.scores.iter().map(|s| (f64::from(s.epoch), s.validation.max(1e-9)));
        Series::new(name.trim_matches('-').replace('-', " "), points).coloured(*colour)
    });
    let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
    let axis = Axis::log("squared error, share of the variance");
    let title = format!("Training of the paper's tilers: {variant}");
    (!series.is_empty()).then(|| LineChart { series, ..LineChart::new(title, Axis::linear("epoch"), axis) })
}

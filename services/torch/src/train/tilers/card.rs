//! What is written beside the tilers: a card for people, and the training curves as CSV and as plots.

pub(super) mod lite;
pub(super) mod omni;
pub(super) mod paper;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use autotiler_plot::{Axis, LineChart, Plot, Series, colour::PALETTE};

use super::{
    Done, Event, JobError,
    omni::{OmniDone, OmniValidation, StoredOmni},
    paper::PaperDone,
};
use crate::train::{checkpoint::replace_file, recipe::RecipeFile, tiler::trial::Paired};

/// What there is to say of a preset's tilers.
pub(super) struct Card {
    text: String,
    csv: String,
    /// Each with the end of its file's name, where there are several.
    charts: Vec<(Option<&'static str>, LineChart)>,
}

/// Writes card, CSV and plots into `tilers/` of the model; says where.
///
/// # Errors
/// [`JobError::File`] or [`JobError::Plot`].
pub(super) fn write(
    model_dir: &Path,
    network: &str,
    recipe: &RecipeFile,
    card: &Card,
) -> Result<Event, JobError> {
    let (folder, preset) = (model_dir.join("tilers"), recipe.preset);
    let curves = folder.join(format!("CURVES-{preset}.csv"));
    replace_file(&curves, card.csv.as_bytes())?;
    let mut text = format!("# Tilers of {network}: {preset}\n\n{}", card.text);
    let _ = write!(text, "## Curves\n\n[CURVES-{preset}.csv](CURVES-{preset}.csv)\n\n");
    let mut plots: Vec<PathBuf> = Vec::new();
    for (which, chart) in &card.charts {
        let stem = which.map_or(format!("CURVES-{preset}"), |which| format!("CURVES-{preset}-{which}"));
        let saved = Plot::from(chart.clone()).save(&folder, &stem)?;
        let _ = write!(text, "![{}]({stem}.svg)\n\n", chart.title);
        plots.extend([saved.svg, saved.png]);
    }
    let _ = write!(text, "## Recipe\n\n```yaml\n{}```\n", recipe.to_yaml());
    let card = folder.join(format!("CARD-{preset}.md"));
    replace_file(&card, text.as_bytes())?;
    Ok(Event::Done { card, curves, plots })
}

/// A score, the logarithm of a ratio, as a change in percent.
fn percent(score: f64) -> f64 {
    (score.exp() - 1.0) * 100.0
}

/// Divergence at equal bits over steps, a curve for each name; none where there is nothing to draw.
fn improvement(against: &str, curves: impl Iterator<Item = (String, Vec<(f64, f64)>)>) -> Option<LineChart> {
    let curves = curves.filter(|(_, points)| !points.is_empty()).zip(PALETTE.iter().cycle());
    let series: Vec<Series> =
        curves.map(|((name, points), colour)| Series::new(name, points).coloured(*colour)).collect();
    let (steps, change) = (Axis::linear("step"), Axis::linear("divergence at equal bits, change in %"));
    let chart = LineChart::new("Training curves, validation", steps, change);
    let chart = chart.subtitle(format!("against {against}; below 0 is better")).reference(0.0, against);
    (!series.is_empty()).then_some(LineChart { series, ..chart })
}

/// Mean over the gains of how storing changed the divergence, as a share, and its standard error.
pub(super) fn mean_change(pairs: &[Paired]) -> (f64, f64) {
    let count = pairs.len().max(1) as f64;
    let error = pairs.iter().map(|pair| pair.error.powi(2)).sum::<f64>().sqrt();
    (pairs.iter().map(|pair| pair.change).sum::<f64>() / count, error / count)
}

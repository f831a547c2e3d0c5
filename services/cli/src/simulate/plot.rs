//! Two plots: the first link over time with the operating point, and all strategies on all links.

use std::{fs, path::Path};

use anyhow::Context as _;
use autotiler_core::{OperatingPoint, Route};
use autotiler_plot::{Axis, Bars, Colour, LineChart, Plot, Series, ValueSeries};
use autotiler_simulator::{LinkReport, Trace, trace::BIN_S};

/// Bins that make one point of the link's curve: a second.
const SECOND: usize = 10;
/// A link that carries nothing is drawn here, in kbit/s.
const FLOOR_KBPS: f64 = 10.0;

/// Draws `FILE` and `FILE-links`.
pub(super) fn draw(file: &Path, links: &[Trace], reports: &[LinkReport]) -> anyhow::Result<()> {
    let stem = file.file_stem().context("--plot names no file")?.to_string_lossy().into_owned();
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let save = |plot: Plot, stem: &str| plot.save(dir, stem).with_context(|| format!("drawing {stem}"));
    if let (Some(link), Some(report)) = (links.first(), reports.first()) {
        save(timeline(link, report), &stem)?;
    }
    save(strategies(reports), &format!("{stem}-links"))?;
    Ok(())
}

/// The link above, and below it what was in force.
fn timeline(link: &Trace, report: &LinkReport) -> Plot {
    let seconds = link.bins().chunks(SECOND).enumerate().map(|(at, bins)| {
        let mean = bins.iter().sum::<f64>() / bins.len() as f64 / 1e3;
        (at as f64 * SECOND as f64 * BIN_S, mean.max(FLOOR_KBPS))
    });
    let points = ladder(report);
    let places: Vec<String> =
        points.iter().enumerate().map(|(at, point)| format!("{at} {}", short(point))).collect();
    let place = |point: &OperatingPoint| points.iter().position(|other| other == point).unwrap_or(0) as f64;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for (at, point) in &report.timeline {
        let now = place(point);
        if let Some(&(_, before)) = steps.last()
            && before != now
        {
            steps.push((*at, before));
        }
        steps.push((*at, now));
    }
    // The link has the upper half of the drawing, the points the lower one.
    let top = points.len().max(2) as f64;
    LineChart::new(
        format!("{} and its operating points", link.name()),
        Axis::linear("seconds"),
        Axis::log("link, kbit/s (means of a second)").covering(0.1, 1e5),
    )
    .subtitle(places.join("; "))
    .series(Series::new("link", seconds).coloured(Colour::SKY))
    .right(Axis::linear("operating point in force, by its number").covering(0.0, 2.4 * top))
    .series(Series::new("operating point", steps).coloured(Colour::VERMILION).on_right())
    .into()
}

/// The points that were in force, from the fewest bits to the most.
fn ladder(report: &LinkReport) -> Vec<OperatingPoint> {
    let mut points: Vec<OperatingPoint> = report.timeline.iter().map(|(_, point)| *point).collect();
    points.sort_by_key(|point| (point.bits(), *point));
    points.dedup();
    points
}

fn short(point: &OperatingPoint) -> String {
    let kbit = point.bits().map_or(0.0, |bits| f64::from(bits.get()) / 1e3);
    match point.route {
        Route::DeviceOnly => "device-only".to_owned(),
        Route::ServerOnly => format!("server-only {kbit} kbit"),
        Route::Split { layer, cr } => format!("layer {layer} CR{cr} {kbit} kbit"),
    }
}

fn strategies(reports: &[LinkReport]) -> Plot {
    let all = |of: &dyn Fn(&LinkReport) -> Option<f64>| -> Vec<Option<f64>> {
        reports.iter().map(|report| of(report).map(|seconds| seconds * 1e3)).collect()
    };
    let only = |route| all(&|report| report.only(route).map(|one| one.spread.mean_s));
    let best = all(&|report| report.best_static().map(|best| best.spread.mean_s));
    let names: Vec<String> = reports.iter().map(|report| report.figures.name.clone()).collect();
    Bars::new("Mean effective time", "link", names, Axis::linear("milliseconds").covering(0.0, 400.0))
        .subtitle("a dropped frame costs the wait for the next newer result, a second at most")
        .series(ValueSeries::new("policy", all(&|report| Some(report.policy.spread.mean_s))))
        .series(ValueSeries::new("best static point in hindsight", best))
        .series(ValueSeries::new("server-only", only(Route::ServerOnly)))
        .series(ValueSeries::new("device-only", only(Route::DeviceOnly)))
        .series(ValueSeries::new("clairvoyant, real queue", all(&|report| Some(report.clairvoyant.mean_s))))
        .series(ValueSeries::new("oracle, each frame alone", all(&|report| Some(report.oracle.mean_s))))
        .into()
}

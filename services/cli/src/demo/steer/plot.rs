//! Two drawings under each other: the link with the points in force, and how long all cameras' worlds stayed unknown.

use std::io::Cursor;

use anyhow::Context as _;
use autotiler_core::OperatingPoint;
use autotiler_plot::{Axis, Colour, LineChart, Plot, Series};
use autotiler_simulator::{Trace, trace::BIN_S};
use image::{ImageFormat, RgbImage, imageops};

use super::{
    figures::{Figures, Moment},
    summary::Steering,
};

/// A dead link is drawn here, in kbit/s.
const FLOOR_KBPS: f64 = 10.0;
/// Bins of the trace in one point of the drawing.
const SECOND: usize = 10;
/// Colours of cameras at fixed points; the one that follows its link has its own.
const FIXED: [Colour; 5] = [Colour::BLUE, Colour::GREEN, Colour::ORANGE, Colour::PURPLE, Colour::GREY];

/// The picture as a PNG file.
pub(super) fn draw(trace: &Trace, steering: &Steering) -> anyhow::Result<Vec<u8>> {
    let follows = steering.runs.first().context("no camera ran")?;
    let charts = [link(trace, follows), latency(steering)];
    let charts = charts.map(|chart| -> anyhow::Result<RgbImage> {
        Ok(image::load_from_memory_with_format(&chart.png()?, ImageFormat::Png)?.into_rgb8())
    });
    let [upper, lower] = charts;
    let (upper, lower) = (upper?, lower?);
    let mut both = RgbImage::new(upper.width().max(lower.width()), upper.height() + lower.height());
    imageops::replace(&mut both, &upper, 0, 0);
    imageops::replace(&mut both, &lower, 0, i64::from(upper.height()));
    let mut png = Cursor::new(Vec::new());
    both.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// The link above, and below it what was in force.
fn link(trace: &Trace, follows: &Figures) -> Plot {
    let seconds = trace.bins().chunks(SECOND).enumerate().flat_map(|(at, bins)| {
        let mean = bins.iter().sum::<f64>() / bins.len() as f64 / 1e3;
        let (from, to) = (at as f64, (at + 1) as f64);
        [from, to].map(|second| (second * SECOND as f64 * BIN_S, mean.max(FLOOR_KBPS)))
    });
    let points = ladder(&follows.course);
    let names: Vec<String> = points.iter().enumerate().map(|(at, point)| format!("{at}: {point}")).collect();
    let place = |point: &OperatingPoint| points.iter().position(|other| other == point).unwrap_or(0) as f64;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for Moment { at_s, point, .. } in &follows.course {
        if let Some(&(_, before)) = steps.last() {
            steps.push((*at_s, before));
        }
        steps.push((*at_s, place(point)));
    }
    let measured = follows.capacity.iter().map(|(at_s, bps)| (*at_s, (bps / 1e3).max(FLOOR_KBPS)));
    let measured = Series::new("measured by the device", measured).coloured(Colour::BLUE).unjoined();
    let chart = LineChart::new(
        "A camera that follows its link",
        Axis::linear("seconds"),
        Axis::log("link, kbit/s").covering(0.1, 1e4),
    )
    .subtitle(names.join(";  "))
    .series(Series::new("link (means of a second)", seconds).coloured(Colour::SKY));
    // A series without points cannot be drawn.
    let chart = if follows.capacity.is_empty() { chart } else { chart.series(measured) };
    let top = points.len().max(2) as f64;
    chart
        .right(Axis::linear("point in force, by its number").covering(0.0, 2.4 * top))
        .series(Series::new("operating point", steps).coloured(Colour::VERMILION).on_right())
        .into()
}

/// The points that were in force, from the fewest bits to the most.
fn ladder(course: &[Moment]) -> Vec<OperatingPoint> {
    let mut points: Vec<OperatingPoint> = course.iter().map(|moment| moment.point).collect();
    points.sort_by_key(|point| (point.bits(), *point));
    points.dedup();
    points
}

/// The effective times of all cameras, as means of a second.
fn latency(steering: &Steering) -> Plot {
    let chart = LineChart::new(
        "Until a frame's result or a newer one is there, a second at most",
        Axis::linear("seconds"),
        Axis::log("effective time, ms (means of a second)").covering(20.0, 1_000.0),
    )
    .subtitle(steering.title());
    let colours = std::iter::once(Colour::VERMILION).chain(FIXED.into_iter().cycle());
    let best = steering.best_static().map(|best| &best.name);
    steering
        .runs
        .iter()
        .zip(colours)
        .fold(chart, |chart, (run, colour)| {
            let seconds = run.course.chunk_by(|a, b| a.at_s.floor() == b.at_s.floor()).map(|moments| {
                let mean =
                    moments.iter().map(|moment| moment.effective_s).sum::<f64>() / moments.len() as f64;
                (moments.first().map_or(0.0, |moment| moment.at_s.floor() + 0.5), (mean * 1e3).max(1.0))
            });
            let mark = if Some(&run.name) == best { ", best static" } else { "" };
            let name = format!("{}{mark}: {:.0} ms", run.name, run.effective_ms.mean);
            chart.series(Series::new(name, seconds).coloured(colour))
        })
        .into()
}

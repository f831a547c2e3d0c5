//! Figure 10: how much of a plane's structure the codec leaves, at each rate and point.

use autotiler_plot::{Axis, LineChart, Series};
use serde::Serialize;

use super::{
    FigureError, RATES_KBIT, Study,
    derived::{Line, mean},
    sheet::Sheet,
    study::PointLines,
};

/// A row of `fig10.csv`.
#[derive(Serialize)]
struct Row {
    layer: u16,
    method: String,
    setting: String,
    kbit: f64,
    ssim: f64,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let points = study.all_lines()?;
    let chart_of_means = mean_chart(study, &points);
    if !chart_of_means.series.is_empty() {
        sheet.plot("", chart_of_means)?;
    }
    for point in &points {
        sheet.plot(&format!("-layer{}", point.layer), chart(study, point))?;
    }
    claim(sheet, &points);
    sheet.note(
        "SSIM as ffmpeg's filter counts it, of the decoded plane (gain undone) against the plane itself; of FPC \
         the mean over maps. The first plot is the mean over the points that have the method, at rates that all of them reach.",
    );
    sheet.table("", points.iter().flat_map(rows))
}

/// Lines of a point that the paper compares, and lite.
fn compared(point: &PointLines) -> Vec<(&'static str, &Line)> {
    let mut all: Vec<(&'static str, &Line)> = vec![
        ("Auto-tiler fine", &point.fine),
        ("Auto-tiler coarse", &point.coarse),
        ("Tiling", &point.tiling),
        ("FPC", &point.frames),
    ];
    all.extend(point.beside.iter().map(|(kind, line)| (kind.name(), line.as_ref())));
    all
}

fn rows(point: &PointLines) -> Vec<Row> {
    let row = |(_, line): (&'static str, &Line)| {
        let method = line.label.clone();
        line.steps()
            .iter()
            .filter_map(|step| {
                let (setting, ssim) = (step.setting.to_string(), step.ssim?);
                Some(Row { layer: point.layer.0, method: method.clone(), setting, kbit: step.kbit, ssim })
            })
            .collect::<Vec<_>>()
    };
    compared(point).into_iter().flat_map(row).collect()
}

fn empty_chart(study: &Study<'_>, title: String) -> LineChart {
    let axis = Axis::linear("structural similarity").covering(0.0, 1.0);
    LineChart::new(title, Axis::log("kbit per image"), axis).subtitle(study.subtitle())
}

fn chart(study: &Study<'_>, point: &PointLines) -> LineChart {
    let mut chart = empty_chart(study, format!("Structural similarity, layer {}", point.layer));
    for (_, line) in compared(point) {
        let points: Vec<(f64, f64)> =
            line.steps().iter().filter_map(|step| Some((step.kbit, step.ssim?))).collect();
        if !points.is_empty() {
            chart = chart.series(Series::new(line.label.as_str(), points));
        }
    }
    chart
}

fn mean_chart(study: &Study<'_>, points: &[PointLines]) -> LineChart {
    let mut chart = empty_chart(study, "Structural similarity, mean of the points".to_owned());
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in points.iter().flat_map(compared) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let there = || points.iter().flat_map(compared).filter(|(own, _)| *own == name);
        let at = |&kbit: &f64| {
            let lines: Vec<&Line> = there().map(|(_, line)| line).collect();
            let values: Vec<f64> = lines.iter().filter_map(|line| line.ssim_at(kbit)).collect();
            // A mean over some points only would jump.
            mean(&values).filter(|_| values.len() == lines.len()).map(|ssim| (kbit, ssim))
        };
        let values: Vec<(f64, f64)> = RATES_KBIT.iter().filter_map(at).collect();
        if !values.is_empty() {
            chart = chart.series(Series::new(name, values));
        }
    }
    chart
}

/// The better of the two ratios against Tiling and FPC, wherever they can be compared.
fn claim(sheet: &mut Sheet, points: &[PointLines]) {
    let (mut won, mut all) = (0, 0);
    let mut leads = Vec::new();
    for point in points {
        for &kbit in &RATES_KBIT {
            let Some(own) = best([&point.fine, &point.coarse], kbit) else { continue };
            let Some(other) = best([&point.tiling, &point.frames], kbit) else { continue };
            all += 1;
            won += usize::from(own > other);
            leads.push(own - other);
        }
    }
    let lead = mean(&leads).map_or_else(String::new, |lead| format!(", by {lead:+.3} on average"));
    sheet.claim(
        "the auto-tiler has the highest SSIM at every rate and layer",
        format!("at {won} of {all} pairs of layer and rate that Tiling or FPC reaches too{lead}"),
        (all > 0).then_some(won == all),
    );
}

fn best(lines: [&Line; 2], kbit: f64) -> Option<f64> {
    lines.into_iter().filter_map(|line| line.ssim_at(kbit)).reduce(f64::max)
}

//! Figure 11: accuracy and rate of every method at the deepest point.

use std::rc::Rc;

use autotiler_graph::tiler::Grade;
use autotiler_model::TilerKind;
use autotiler_plot::{Axis, LineChart, Series};
use serde::Serialize;

use super::{EFFECTIVE_SHARE, FigureError, MIDDLE_KBIT, RATES_KBIT, Study, derived::Line, sheet::Sheet};
use crate::{method::Coding, table::cell};

/// Accuracies this near count as similar.
const SIMILAR: f64 = 0.03;

/// A row of `fig11.csv`.
#[derive(Serialize)]
struct Row {
    layer: u16,
    method: String,
    setting: String,
    kbit: f64,
    map50: f64,
    map50_cut: f64,
    kl_nats: f64,
}

/// The paper's methods at the deepest point.
struct Rivals {
    fine: Rc<Line>,
    coarse: Rc<Line>,
    autoencoders: Vec<Rc<Line>>,
    tiling: Rc<Line>,
    frames: Rc<Line>,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let point = study.deepest()?;
    let layer = point.layer;
    let autoencoders = study.stored(layer, TilerKind::Ae);
    if autoencoders.is_empty() {
        return Err(FigureError::NoTiler { kind: TilerKind::Ae, layer, cr: point.spec(Grade::Fine).cr });
    }
    let (fine, coarse) = (
        study.auto_tiler(&point, Grade::Fine, TilerKind::Paper)?,
        study.auto_tiler(&point, Grade::Coarse, TilerKind::Paper)?,
    );
    let (tiling, frames) =
        (study.tiling(layer, Coding::Plane)?, study.tiling(layer, Coding::FramePerChannel)?);
    let rivals = Rivals {
        fine: study.line(fine)?,
        coarse: study.line(coarse)?,
        autoencoders: autoencoders.iter().map(|&method| study.line(method)).collect::<Result<_, _>>()?,
        tiling: study.line(tiling)?,
        frames: study.line(frames)?,
    };
    let mut lines = vec![&rivals.fine, &rivals.coarse];
    lines.extend(&rivals.autoencoders);
    lines.extend([&rivals.tiling, &rivals.frames]);
    let beside = [TilerKind::Lite, TilerKind::Omni, TilerKind::Klt];
    let beside = beside.iter().flat_map(|&kind| study.stored(layer, kind));
    let beside = beside.map(|method| study.line(method)).collect::<Result<Vec<_>, _>>()?;
    lines.extend(&beside);

    let uncut = study.uncut().map50_cut;
    let mut chart = LineChart::new(
        format!("Accuracy and rate, layer {layer}"),
        Axis::log("kbit per image"),
        Axis::linear("mAP@0.5, scores above 0.5").covering(0.0, uncut * 1.05),
    )
    .subtitle(study.subtitle())
    .reference(uncut, "uncut")
    .reference(EFFECTIVE_SHARE * uncut, "85 % of uncut");
    for line in &lines {
        let points = line.steps().iter().map(|step| (step.kbit, step.accuracy.map50_cut));
        chart = chart.series(Series::new(line.label.as_str(), points));
    }
    sheet.plot("", chart)?;
    claims(sheet, &rivals);
    sheet.note(
        "The last point of each curve on the right is lossless HEVC. lite, omni and KLT are not the paper's.",
    );
    let row = |line: &Rc<Line>| {
        let method = line.label.clone();
        let row = |step: &super::derived::Step| Row {
            layer: layer.0,
            method: method.clone(),
            setting: step.setting.to_string(),
            kbit: step.kbit,
            map50: step.accuracy.map50,
            map50_cut: step.accuracy.map50_cut,
            kl_nats: step.kl,
        };
        line.steps().iter().map(row).collect::<Vec<_>>()
    };
    sheet.table("", lines.iter().flat_map(|line| row(line)))
}

fn claims(sheet: &mut Sheet, rivals: &Rivals) {
    let best = |lines: &[&Line]| lines.iter().filter_map(|line| line.lossless_map()).reduce(f64::max);
    let autoencoders: Vec<&Line> = rivals.autoencoders.iter().map(AsRef::as_ref).collect();
    let pair = best(&[&rivals.fine, &rivals.coarse]).zip(best(&autoencoders));
    sheet.claim(
        "auto-tiler and autoencoder have a similar maximum accuracy",
        pair.map_or_else(String::new, |(own, other)| format!("{own:.3} and {other:.3} at lossless coding")),
        pair.map(|(own, other)| (own - other).abs() <= SIMILAR),
    );
    let fallen = |line: &Line| Some(100.0 * (line.lossless_map()? - line.map_at(MIDDLE_KBIT)?));
    let pair = fallen(&rivals.fine).zip(autoencoders.first().and_then(|line| fallen(line)));
    sheet.claim(
        "the auto-tiler loses less from coding than the autoencoder",
        pair.map_or_else(
            || format!("one of them is not coded to {MIDDLE_KBIT} kbit"),
            |(own, other)| {
                format!("{own:.1} against {other:.1} points from lossless to {MIDDLE_KBIT} kbit, fine ratio")
            },
        ),
        pair.map(|(own, other)| own < other),
    );
    for kbit in &RATES_KBIT[..3] {
        let own = rivals.fine.map_at(*kbit).into_iter().chain(rivals.coarse.map_at(*kbit)).reduce(f64::max);
        let (tiling, frames) = (rivals.tiling.map_at(*kbit), rivals.frames.map_at(*kbit));
        let ordered =
            own.map(|own| own > tiling.unwrap_or(0.0) && tiling.unwrap_or(0.0) >= frames.unwrap_or(0.0));
        sheet.claim(
            format!("auto-tiler above Tiling above FPC at low rates: {kbit} kbit"),
            format!("{}, {}, {} (-: not coded so small)", cell(own, 3), cell(tiling, 3), cell(frames, 3)),
            ordered,
        );
    }
}

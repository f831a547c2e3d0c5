//! Figure 7: how far the nominal compression ratio can go before accuracy is too low, without loss of the codec.

use std::rc::Rc;

use autotiler_graph::tiler::{Grade, PaperPoint};
use autotiler_model::TilerKind;
use autotiler_plot::{Axis, LineChart, Series};
use serde::Serialize;

use super::{EFFECTIVE_SHARE, FigureError, Study, derived::Line, sheet::Sheet};
use crate::method::Method;

/// The paper's ratios are 1, 4, 16 and 64 times its least; those up to here are effective.
const LARGEST_EFFECTIVE: u16 = 16;

/// A row of `fig7.csv`.
#[derive(Serialize)]
struct Row {
    layer: u16,
    method: String,
    cr: u16,
    kbit: f64,
    map50: f64,
    map50_cut: f64,
    of_uncut_cut: f64,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let point = study.deepest()?;
    // The figure is about these; the ratio that every model has must be there.
    study.auto_tiler(&point, Grade::Fine, TilerKind::PaperSolo)?;
    let series = [
        ("Auto-tiler (independent)", TilerKind::PaperSolo),
        ("lite", TilerKind::Lite),
        ("KLT", TilerKind::Klt),
    ];
    let uncut = study.uncut().map50_cut;
    let mut chart = LineChart::new(
        format!("Nominal compression ratio and accuracy, layer {}", point.layer),
        Axis::log("nominal compression ratio"),
        Axis::linear("mAP@0.5, scores above 0.5").covering(0.0, uncut * 1.05),
    )
    .subtitle(format!("{}; HEVC lossless", study.subtitle()))
    .reference(uncut, "uncut")
    .reference(EFFECTIVE_SHARE * uncut, "85 % of uncut");
    let mut rows = Vec::new();
    for (name, kind) in series {
        let methods = study.stored(point.layer, kind);
        let found =
            methods.iter().map(|&method| row(study, &point, method)).collect::<Result<Vec<_>, _>>()?;
        if !found.is_empty() {
            let points = found.iter().map(|row| (f64::from(row.cr), row.map50_cut));
            chart = chart.series(Series::new(name, points));
        }
        rows.extend(found);
    }
    sheet.plot("", chart)?;
    claims(sheet, &point, &rows);
    sheet.note("One model for each ratio, at the deepest point; the bits are those of lossless HEVC.");
    sheet.table("", rows)
}

fn claims(sheet: &mut Sheet, point: &PaperPoint, rows: &[Row]) {
    let fine = point.spec(Grade::Fine).cr.get();
    let simple: Vec<&Row> = rows.iter().filter(|row| row.method.starts_with("Independent")).collect();
    let share = |row: &&Row| format!("CR {}: {:.1} %", row.cr, 100.0 * row.of_uncut_cut);
    let here = format!("{} of uncut", simple.iter().map(share).collect::<Vec<_>>().join(", "));
    let (usual, far): (Vec<&Row>, Vec<&Row>) =
        simple.iter().copied().partition(|row| row.cr <= LARGEST_EFFECTIVE * fine);
    let is_effective = |row: &&Row| row.of_uncut_cut >= EFFECTIVE_SHARE;
    sheet.claim(
        "ratios of 4 to 64 (here 1 to 16 times the fine one) keep 85 % of the uncut mAP",
        here.clone(),
        Some(usual.iter().all(is_effective)),
    );
    let too_far = (!far.is_empty()).then(|| !far.iter().any(is_effective));
    sheet.claim("256 (here 64 times the fine one) does not", here, too_far);
}

fn row(study: &Study<'_>, point: &PaperPoint, method: Method) -> Result<Row, FigureError> {
    let Method::Tiler { layer, cr, kind, .. } = method else { return Err(FigureError::NoPicture) };
    // Those that other figures measure at all settings need not be measured again.
    let everywhere = kind == TilerKind::PaperSolo
        && [Grade::Fine, Grade::Coarse].iter().any(|&grade| point.spec(grade).cr == cr);
    let line: Rc<Line> = if everywhere || kind != TilerKind::PaperSolo {
        study.line(method)?
    } else {
        study.lossless(method)?
    };
    let not_measured =
        || FigureError::NotMeasured { method: method.to_string(), setting: "lossless".to_owned() };
    let step = line.lossless().ok_or_else(not_measured)?;
    let uncut = study.uncut().map50_cut;
    Ok(Row {
        layer: layer.0,
        method: line.label.clone(),
        cr: cr.get(),
        kbit: step.kbit,
        map50: step.accuracy.map50,
        map50_cut: step.accuracy.map50_cut,
        of_uncut_cut: if uncut > 0.0 { step.accuracy.map50_cut / uncut } else { 0.0 },
    })
}

//! Figure 14: time of each stage at the paper's shapes: YOLOv3-416 at width 1, whose weights are random, for time
//! hangs on shapes alone; real pictures.

mod path;
mod tiles;
mod way;

use autotiler_model::{files, sha256};
use autotiler_plot::StackedBars;
use serde::{Deserialize, Serialize};

use super::{Extent, FigureError, Study, derived::mean, sheet::Sheet, table1::paper_plan};
use crate::{error::EvalError, table::cell};

/// Kilobits of a picture, as in the paper.
const TARGET_KBIT: f64 = 60.0;
/// Pictures that are timed, after one to warm up.
const PICTURES: usize = 5;
/// The same in a quick look.
const QUICK_PICTURES: usize = 2;
/// Shallowest layer of the core, at which the goal of lite is stated.
const CORE_LAYER: u16 = 15;
/// Share of Tiling's time that lite should not exceed there.
const GOAL: f64 = 0.1;
/// The stages, in the paper's words, from the bottom up.
const STAGES: [&str; 6] = [
    "network part 1 (and encoder)",
    "tiling, normalisation",
    "HEVC encoding",
    "HEVC decoding",
    "de-tiling, denormalisation",
    "network part 2 (and decoder)",
];

/// A row of `fig14.csv`: medians in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    layer: u16,
    method: String,
    cr: u16,
    /// Height and width of what is coded, and how many of them.
    coded_height: usize,
    coded_width: usize,
    coded_frames: usize,
    part1_ms: f64,
    tiler_ms: f64,
    tiling_ms: f64,
    encode_ms: f64,
    decode_ms: f64,
    untiling_ms: f64,
    untiler_ms: f64,
    part2_ms: f64,
    /// Mean kilobits of a picture.
    kbit: f64,
    pictures: usize,
}

impl Row {
    /// As in the paper's stages.
    fn stages(&self) -> [f64; 6] {
        [
            self.part1_ms + self.tiler_ms,
            self.tiling_ms,
            self.encode_ms,
            self.decode_ms,
            self.untiling_ms,
            self.part2_ms + self.untiler_ms,
        ]
    }

    fn total_ms(&self) -> f64 {
        self.stages().iter().sum()
    }

    /// All but the network.
    fn path_ms(&self) -> f64 {
        self.total_ms() - self.part1_ms - self.part2_ms
    }
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let pictures = match study.extent() {
        Extent::Full => PICTURES,
        Extent::Quick => QUICK_PICTURES,
    };
    show(sheet, kept_or_measured(study, pictures)?, pictures)
}

fn show(sheet: &mut Sheet, rows: Vec<Row>, pictures: usize) -> Result<(), FigureError> {
    let mut chart = StackedBars::new("Time of each stage at the paper's shapes", "milliseconds per image", STAGES)
        .subtitle(format!(
            "YOLOv3-416, width 1, random weights; medians of {pictures} pictures, {TARGET_KBIT} kbit where possible"
        ));
    for row in &rows {
        // Short, for there are thirty of them; the auto-tilers as in the paper.
        let name = match row.method.as_str() {
            path::FINE | path::COARSE => format!("CR{}", row.cr),
            other => other.to_owned(),
        };
        chart = chart.bar(format!("layer {}", row.layer), name, row.stages());
    }
    sheet.plot("", chart)?;
    claims(sheet, &rows);
    sheet.note(
        "One engine thread, stages one after another; part 1 and 2 of the bare network are timed once for each \
         layer and are the same in all bars. Tiling and FPC normalise by minimum and maximum of each feature map, \
         in optimised code: the paper's took most of their time there, and its networks ran on a GPU. The \
         reconstruction's encoder takes 7 to 16 GMAC, as Table 1 makes it, more than part 1 itself.",
    );
    let missed: Vec<String> = rows
        .iter()
        .filter(|row| row.kbit > TARGET_KBIT * 1.25)
        .map(|row| format!("{} at layer {}: {:.0}", row.method, row.layer, row.kbit))
        .collect();
    if !missed.is_empty() {
        sheet.note(format!("Frames that cannot be coded to {TARGET_KBIT} kbit: {} kbit.", missed.join("; ")));
    }
    sheet.table("", rows)
}

fn claims(sheet: &mut Sheet, rows: &[Row]) {
    for (name, paper) in [
        (path::FINE, "CR4 takes 73.2 % less time than the existing methods on average"),
        (path::COARSE, "CR16 takes 81.3 % less time than the existing methods on average"),
    ] {
        let (total, net) = (savings(rows, name, Row::total_ms), savings(rows, name, Row::path_ms));
        sheet.claim(
            paper,
            format!("{:+.1} % in all, {:+.1} % without the network", 100.0 * total, 100.0 * net),
            total.is_finite().then_some(total < 0.0),
        );
    }
    for name in [path::LITE, path::KLT, path::FINE, path::COARSE] {
        let worst = |other: &str| core_shares(rows, name, other).into_iter().reduce(f64::max);
        let (tiling, frames) = (worst(path::TILING), worst(path::FRAMES));
        let words = if name == path::LITE { "at most 10 % is the goal" } else { "for comparison" };
        let percent = |share: Option<f64>| cell(share.map(|share| 100.0 * share), 1);
        sheet.claim(
            format!("(not the paper's) {name}: tiler, codec and inverse at layers 15 to 36 against Tiling's, {words}"),
            format!("{} % of Tiling's at worst, {} % of FPC's", percent(tiling), percent(frames)),
            tiling.filter(|_| name == path::LITE).map(|share| share <= GOAL),
        );
    }
}

/// Mean over layers of what `name` takes more than Tiling and FPC, as share of theirs.
fn savings(rows: &[Row], name: &str, of: fn(&Row) -> f64) -> f64 {
    let mut shares = Vec::new();
    for own in rows.iter().filter(|row| row.method == name) {
        let others = rows.iter().filter(|row| row.layer == own.layer);
        let others = others.filter(|row| row.method == path::TILING || row.method == path::FRAMES);
        shares.extend(others.map(|other| of(own) / of(other) - 1.0));
    }
    mean(&shares).unwrap_or(f64::NAN)
}

/// What `name` takes beside the network, as shares of what `other` takes, at the core's layers.
fn core_shares(rows: &[Row], name: &str, other: &str) -> Vec<f64> {
    let own = rows.iter().filter(|row| row.method == name && row.layer >= CORE_LAYER);
    own.filter_map(|own| {
        let other = rows.iter().find(|row| row.layer == own.layer && row.method == other)?;
        Some(own.path_ms() / other.path_ms())
    })
    .collect()
}

/// Layer by layer, so that a run that was stopped goes on. Times hang on the machine: what is kept is this one's.
fn kept_or_measured(study: &Study<'_>, pictures: usize) -> Result<Vec<Row>, FigureError> {
    let names: Vec<&str> =
        study.bench().samples().take(pictures + 1).map(|sample| sample.name.as_str()).collect();
    let encoder = study.bench().workshop().encoder;
    let digest = sha256(&[
        env!("CARGO_PKG_VERSION").as_bytes(),
        study.bench().set().as_bytes(),
        names.join("\n").as_bytes(),
        format!("{:?} {} {pictures}", encoder.preset, encoder.base_qp).as_bytes(),
    ]);
    let digest = &digest.to_string()[..16];
    // Built when the first layer is not kept.
    let mut rig: Option<path::Rig> = None;
    let mut rows = Vec::new();
    for (number, point) in paper_plan()?.points().iter().enumerate() {
        let file =
            study.kept().map(|folder| folder.join(format!("fig14-layer{}-{digest}.json", point.layer)));
        if let Some(kept) = file.as_deref().filter(|file| file.exists()) {
            let damaged = |source| EvalError::Damaged { path: kept.to_owned(), source };
            let kept: Vec<Row> = serde_json::from_slice(&files::read(kept)?).map_err(damaged)?;
            rows.extend(kept);
            continue;
        }
        let rig = match &mut rig {
            Some(rig) => rig,
            none => none.insert(path::Rig::new(study, pictures)?),
        };
        let measured = rig.measure(study, number)?;
        if let Some(file) = file {
            let damaged = |source| EvalError::Damaged { path: file.clone(), source };
            files::write(&file, &serde_json::to_vec(&measured).map_err(damaged)?)?;
        }
        rows.extend(measured);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: u16, method: &str, encode_ms: f64) -> Row {
        Row {
            layer,
            method: method.to_owned(),
            cr: 1,
            coded_height: 8,
            coded_width: 8,
            coded_frames: 1,
            part1_ms: 30.0,
            tiler_ms: 1.0,
            tiling_ms: 0.0,
            encode_ms,
            decode_ms: 2.0,
            untiling_ms: 0.0,
            untiler_ms: 1.0,
            part2_ms: 10.0,
            kbit: 60.0,
            pictures: 5,
        }
    }

    #[test]
    fn the_table_has_its_columns_and_the_plot_is_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        let mut sheet = Sheet::new(crate::figures::FigureId::Fig14, dir.path());
        show(&mut sheet, vec![row(15, path::TILING, 96.0), row(15, path::LITE, 6.0)], 5).unwrap();
        let table = std::fs::read_to_string(dir.path().join("fig14.csv")).unwrap();
        let columns = "layer,method,cr,coded_height,coded_width,coded_frames,part1_ms,tiler_ms,tiling_ms,encode_ms,\
                       decode_ms,untiling_ms,untiler_ms,part2_ms,kbit,pictures\n";
        assert!(table.starts_with(columns), "{table}");
        assert!(std::fs::read_to_string(dir.path().join("fig14.svg")).unwrap().contains("lite"));
        let claims = sheet.finish().claims;
        assert!(
            claims.iter().any(|claim| claim.here == "10.0 % of Tiling's at worst, - % of FPC's"),
            "{claims:?}"
        );
    }

    #[test]
    fn shares_of_tiling_leave_the_network_out() {
        let rows = [row(15, path::TILING, 96.0), row(15, path::LITE, 6.0), row(4, path::LITE, 6.0)];
        assert_eq!(core_shares(&rows, path::LITE, path::TILING), [0.1]);
    }

    #[test]
    fn savings_are_against_both_existing_methods() {
        let rows = [row(15, path::TILING, 56.0), row(15, path::FRAMES, 156.0), row(15, path::FINE, 6.0)];
        // 50 ms against 100 and 200.
        assert!((savings(&rows, path::FINE, Row::total_ms) + 0.625).abs() < 1e-12);
        assert!(savings(&rows, "none", Row::total_ms).is_nan());
    }
}

//! Table 1: bytes of independent and variable auto-tilers, and what lite takes for the same.

use autotiler_core::{CompressionRatio, LayerIndex, Shape};
use autotiler_graph::{
    macs,
    tiler::{
        AutoTiler, Grade, Klt, Lite, LiteShape, PaperPlan, TilerSpec,
        paper::{StorageRow, storage},
    },
};
use autotiler_model::{Precision, TilerKind, weights};
use autotiler_plot::{Axis, Bars, ValueSeries};
use serde::Serialize;

use super::{FigureError, Study, sheet::Sheet};

const KIB: f64 = 1024.0;
/// Encoder, decoder, total: independent and variable, in the paper's KB, and the reduction in percent.
const PAPER: [(&str, f64, f64, f64); 3] = [
    ("encoder", 71_002.0, 18_479.0, 73.973),
    ("decoder", 68_592.0, 34_656.0, 49.475),
    ("total", 139_594.0, 53_135.0, 61.936),
];
/// Deviation from the paper's sums that is still called the same, in percent.
const TOLERANCE: f64 = 0.5;
/// What lite's encoders shall not exceed.
const LITE_MIB: f64 = 1.0;
const LITE_GMAC: f64 = 0.2;

/// A row of `table1.csv`.
#[derive(Serialize)]
struct Row {
    network: String,
    side: &'static str,
    independent_kib: f64,
    variable_kib: f64,
    reduction_percent: f64,
    paper_independent_kb: Option<f64>,
    paper_variable_kb: Option<f64>,
    paper_reduction_percent: Option<f64>,
    independent_deviation_percent: Option<f64>,
    variable_deviation_percent: Option<f64>,
}

/// A row of `table1-lite.csv`.
#[derive(Serialize)]
struct LiteRow {
    network: String,
    layer: u16,
    cr: u16,
    encoder_kib_int8: f64,
    encoder_mmac: f64,
    paper_encoder_mmac: Option<f64>,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let yolov3 = paper_plan()?;
    let mut rows = rows("YOLOv3-416, width 1", &yolov3, true);
    let mut lite = lite_rows("YOLOv3-416, width 1", &yolov3)?;
    if let Ok(plan) = study.plan() {
        rows.extend(self::rows(&study.model().manifest.name, plan, false));
    }
    lite.extend(stored_lite(study));
    let own: Vec<&LiteRow> = lite.iter().filter(|row| row.paper_encoder_mmac.is_some()).collect();
    let lite_kib: f64 = own.iter().map(|row| row.encoder_kib_int8).sum();
    sheet.plot("", chart(&rows, lite_kib))?;
    claims(sheet, &rows, &own, lite_kib);
    sheet.note(
        "A reconstruction consistent with Table 1, not the paper's network, whose layers are nowhere given; its KB \
         are taken as 1,024 bytes. Weights as 32-bit floats; lite's encoders in 8 bits, as a device stores them.",
    );
    sheet.table("-lite", lite)?;
    sheet.table("", rows)
}

/// The plan of the paper's network.
pub(super) fn paper_plan() -> Result<PaperPlan, FigureError> {
    let point = |layer, c, side| (LayerIndex(layer), Shape::new(c, side, side));
    let points =
        [point(4, 64, 208), point(11, 128, 104), point(15, 256, 52), point(24, 256, 52), point(36, 256, 52)];
    Ok(PaperPlan::new(&points)?)
}

fn rows(network: &str, plan: &PaperPlan, is_papers: bool) -> Vec<Row> {
    let table = storage(plan);
    let sides = [table.encoder, table.decoder, table.total()];
    let row = |(storage, paper): (StorageRow, (&'static str, f64, f64, f64))| {
        let (side, independent, variable, reduction) = paper;
        let (independent_kib, variable_kib) =
            (storage.independent_bytes as f64 / KIB, storage.variable_bytes as f64 / KIB);
        let papers = |value: f64| is_papers.then_some(value);
        Row {
            network: network.to_owned(),
            side,
            independent_kib,
            variable_kib,
            reduction_percent: storage.reduction_percent(),
            paper_independent_kb: papers(independent),
            paper_variable_kb: papers(variable),
            paper_reduction_percent: papers(reduction),
            independent_deviation_percent: papers(100.0 * (independent_kib / independent - 1.0)),
            variable_deviation_percent: papers(100.0 * (variable_kib / variable - 1.0)),
        }
    };
    sides.into_iter().zip(PAPER).map(row).collect()
}

/// lite at the ten points and ratios of the paper's tilers.
fn lite_rows(network: &str, plan: &PaperPlan) -> Result<Vec<LiteRow>, FigureError> {
    let mut rows = Vec::new();
    for (at, point) in plan.points().iter().enumerate() {
        for grade in [Grade::Fine, Grade::Coarse] {
            let cr = point.spec(grade).cr;
            let (bytes, macs) = lite_cost(TilerSpec::new(point.layer, point.feature(), cr)?)?;
            let paper = autotiler_graph::tiler::Paper::new(plan, at, grade, || 0.0);
            let paper_macs =
                paper.map(|tiler| Ok::<_, FigureError>(macs::total(&tiler.encoder()?))).transpose()?;
            let mega = |macs: u64| macs as f64 / 1e6;
            let row = lite_row(network, (point.layer, cr), bytes, mega(macs));
            rows.push(LiteRow { paper_encoder_mmac: paper_macs.map(mega), ..row });
        }
    }
    Ok(rows)
}

/// Bytes in 8 bits and multiply-accumulates of a lite encoder. Its weights' values change neither.
fn lite_cost(spec: TilerSpec) -> Result<(usize, u64), FigureError> {
    let (maps, folded) = (spec.maps, spec.folded());
    let klt = Klt {
        spec,
        forward: vec![0.0; maps * folded],
        forward_bias: vec![0.0; maps],
        inverse: vec![0.0; maps * folded],
        mean: vec![0.0; folded],
        sigma: vec![0.0; folded],
    };
    let lite = Lite::from_klt(&klt, LiteShape::default(), || 0.0)?;
    let file = weights::encode(&lite.weights(), Precision::I8)?;
    Ok((weights::encoder_bytes(&file)?, macs::total(&lite.encoder()?)))
}

/// The lite tilers that this model has.
fn stored_lite(study: &Study<'_>) -> impl Iterator<Item = LiteRow> {
    let model = study.model();
    model.tilers.iter().filter(|tiler| tiler.kind == TilerKind::Lite).map(|tiler| {
        let mmac = tiler.encoder_macs() as f64 / 1e6;
        lite_row(&model.manifest.name, (tiler.layer(), tiler.spec().cr), tiler.encoder_bytes(), mmac)
    })
}

fn lite_row(network: &str, (layer, cr): (LayerIndex, CompressionRatio), bytes: usize, mmac: f64) -> LiteRow {
    LiteRow {
        network: network.to_owned(),
        layer: layer.0,
        cr: cr.get(),
        encoder_kib_int8: bytes as f64 / KIB,
        encoder_mmac: mmac,
        paper_encoder_mmac: None,
    }
}

fn chart(rows: &[Row], lite_kib: f64) -> Bars {
    let of = |value: fn(&Row) -> Option<f64>| rows.iter().take(PAPER.len()).map(value).collect::<Vec<_>>();
    let groups = PAPER.iter().map(|(side, ..)| *side);
    let series = |name: &str, values: Vec<Option<f64>>| ValueSeries::new(name, values);
    let here = series("Variable, here", of(|row| Some(row.variable_kib)));
    let independent = series("Independent, here", of(|row| Some(row.independent_kib)));
    let (pale, pale_independent) = (here.colour.tint(0.5), independent.colour.tint(0.5));
    Bars::new("Storage of all five points and both ratios", "", groups, Axis::log("KiB"))
        .subtitle("YOLOv3-416 at width 1")
        .series(series("Independent, paper", of(|row| row.paper_independent_kb)).coloured(pale_independent))
        .series(independent)
        .series(series("Variable, paper", of(|row| row.paper_variable_kb)).coloured(pale))
        .series(here)
        .series(series("lite, int8 (device)", vec![Some(lite_kib), None, None]))
}

fn claims(sheet: &mut Sheet, rows: &[Row], lite: &[&LiteRow], lite_kib: f64) {
    for (row, (side, independent, variable, reduction)) in rows.iter().zip(PAPER) {
        let deviations = [row.independent_deviation_percent, row.variable_deviation_percent];
        let within = deviations.iter().flatten().all(|percent| percent.abs() <= TOLERANCE);
        let signed = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:+.2} %"));
        sheet.claim(
            format!("{side}: {independent:.0} to {variable:.0} KB (-{reduction} %)"),
            format!(
                "{:.0} to {:.0} KiB (-{:.3} %); off by {} and {}",
                row.independent_kib,
                row.variable_kib,
                row.reduction_percent,
                signed(deviations[0]),
                signed(deviations[1])
            ),
            Some(within),
        );
    }
    let most = lite.iter().map(|row| row.encoder_mmac).fold(0.0, f64::max) / 1e3;
    let paper = lite.iter().filter_map(|row| row.paper_encoder_mmac).fold(0.0, f64::max) / 1e3;
    sheet.claim(
        format!(
            "(not the paper's) lite's encoders: at most {LITE_GMAC} GMAC each, {LITE_MIB} MB together, in 8 bits"
        ),
        format!("at most {most:.3} GMAC (the paper's: {paper:.1}), {lite_kib:.0} KiB together"),
        Some(most <= LITE_GMAC && lite_kib <= LITE_MIB * KIB),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_paper() {
        for row in rows("x", &paper_plan().unwrap(), true) {
            assert!(row.independent_deviation_percent.unwrap().abs() < TOLERANCE);
            assert!(row.variable_deviation_percent.unwrap().abs() < TOLERANCE);
        }
    }

    #[test]
    fn lite_fits_a_device_at_the_papers_shapes() {
        let rows = lite_rows("x", &paper_plan().unwrap()).unwrap();
        assert_eq!(rows.len(), 10);
        assert!(rows.iter().all(|row| row.encoder_mmac < LITE_GMAC * 1e3));
        assert!(rows.iter().map(|row| row.encoder_kib_int8).sum::<f64>() < LITE_MIB * KIB);
    }
}

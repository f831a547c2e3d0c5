//! `autotiler inspect`: what is in a model directory.

use std::path::PathBuf;

use autotiler_graph::partition;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use crate::common::{load_model, print_json};

/// List a model's layers, shapes, MACs, partition points and tilers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Print JSON: name, digest, input, macs, layers[] (layer, section, shape [H, W, C], macs),
    /// points[] (layer, shape, head_macs, tail_macs), tilers[] (layer, cr, kind, digest, plane [H, W]).
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    name: String,
    digest: String,
    input: [usize; 3],
    macs: u64,
    layers: Vec<LayerRow>,
    points: Vec<PointRow>,
    tilers: Vec<TilerRow>,
}

#[derive(Serialize)]
struct LayerRow {
    layer: u16,
    section: String,
    shape: [usize; 3],
    macs: u64,
}

#[derive(Serialize)]
struct PointRow {
    layer: u16,
    shape: [usize; 3],
    head_macs: u64,
    tail_macs: u64,
}

#[derive(Serialize)]
struct TilerRow {
    layer: u16,
    cr: u16,
    kind: String,
    digest: String,
    plane: [usize; 2],
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let model = load_model(&args.model)?;
    let hwc = |shape: autotiler_core::Shape| [shape.h, shape.w, shape.c];
    let report = Report {
        name: model.manifest.name.clone(),
        digest: model.manifest.digest.to_string(),
        input: hwc(model.network.input),
        macs: model.network.macs(),
        layers: model
            .network
            .layers
            .iter()
            .map(|layer| LayerRow {
                layer: layer.index.0,
                section: layer.section.clone(),
                shape: hwc(layer.shape),
                macs: layer.macs,
            })
            .collect(),
        points: partition::points(&model.network)
            .into_iter()
            .map(|point| PointRow {
                layer: point.layer.0,
                shape: hwc(point.shape),
                head_macs: point.head_macs,
                tail_macs: point.tail_macs,
            })
            .collect(),
        tilers: model
            .tilers
            .iter()
            .map(|tiler| TilerRow {
                layer: tiler.layer().0,
                cr: tiler.spec().cr.get(),
                kind: tiler.kind.to_string(),
                digest: tiler.digest.to_string(),
                plane: [tiler.spec().plane().h, tiler.spec().plane().w],
            })
            .collect(),
    };
    if args.json { print_json(&report) } else { print_tables(&report) }
}

fn print_tables(report: &Report) -> anyhow::Result<()> {
    let size = |[h, w, c]: [usize; 3]| format!("{h}x{w}x{c}");
    let mmac = |macs: u64| format!("{:.2}", macs as f64 / 1e6);
    println!(
        "{}  input {}  {} MMAC\ndigest {}",
        report.name,
        size(report.input),
        mmac(report.macs),
        report.digest
    );

    let mut layers = table(&["layer", "section", "shape", "MMAC", "cut here"]);
    for row in &report.layers {
        let cut = if report.points.iter().any(|p| p.layer == row.layer) { "yes" } else { "" };
        layers.add_row([
            row.layer.to_string(),
            row.section.clone(),
            size(row.shape),
            mmac(row.macs),
            cut.into(),
        ]);
    }
    println!("\nLayers\n{layers}");

    let mut points = table(&["layer", "feature map", "values", "head MMAC", "tail MMAC", "head share"]);
    for row in &report.points {
        let values: usize = row.shape.iter().product();
        let share = row.head_macs as f64 / (row.head_macs + row.tail_macs).max(1) as f64;
        points.add_row([
            row.layer.to_string(),
            size(row.shape),
            values.to_string(),
            mmac(row.head_macs),
            mmac(row.tail_macs),
            format!("{:.0} %", share * 100.0),
        ]);
    }
    println!("\nPartition points: layers after which one tensor alone is alive\n{points}");

    let mut tilers = table(&["layer", "CR", "tiler", "plane", "digest"]);
    for row in &report.tilers {
        let [h, w] = row.plane;
        let short = row.digest.get(..16).unwrap_or_default().to_owned();
        tilers.add_row([
            row.layer.to_string(),
            row.cr.to_string(),
            row.kind.clone(),
            format!("{h}x{w}"),
            short,
        ]);
    }
    println!("\nTilers\n{tilers}");
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(header);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

//! `autotiler bench`: what the project promises, measured against its bounds in one run.

mod codec;
mod network;
mod service;

use std::path::PathBuf;

use autotiler_core::{CompressionRatio, LayerIndex};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use crate::{
    common::{CodecArgs, EngineArgs, load_model, print_json},
    set::SetArgs,
};

/// Measure network, codec path, rate control, services and memory on this machine, each beside its bound.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Figures are medians unless they say otherwise. Nothing fails when a bound is missed: the last column says so.
For the peers of the whole network (ONNX Runtime from Python, OpenCV DNN) see tests/peers.

JSON: rows[] with what, measured, unit, bound, met.")]
pub(crate) struct Args {
    /// Model directory.
    #[arg(long, default_value = "models/street", value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    set: SetArgs,
    /// Partition points whose codec path and services are measured; each needs a tiler in the model.
    #[arg(long, required = true, value_delimiter = ',', value_name = "LAYER")]
    layer: Vec<u16>,
    /// Compression ratio of the tilers.
    #[arg(long, default_value = "1", value_name = "CR")]
    cr: CompressionRatio,
    /// Parts to run: network, codec, rate, service, memory.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "network,codec,rate,service,memory",
        value_name = "PART"
    )]
    only: Vec<Part>,
    /// Frames of the memory run.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    soak_frames: u32,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    codec: CodecArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The whole network, per image.
    Network,
    /// Tiler, HEVC and their inverses in lockstep.
    Codec,
    /// Mean bits against the target; frames above a cap.
    Rate,
    /// Edge, decoder and nats-server as processes.
    Service,
    /// The edge's memory and start.
    Memory,
}

/// One measured figure and its bound.
#[derive(Debug, Clone, Serialize)]
struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    bound: Option<Bound>,
    met: Option<bool>,
}

/// What a figure must not pass.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    fn new(what: impl Into<String>, measured: f64, unit: &'static str, bound: Option<Bound>) -> Self {
        let met = bound.map(|bound| match bound {
            Bound::AtMost(limit) => measured <= limit,
            Bound::AtLeast(limit) => measured >= limit,
        });
        Self { what: what.into(), measured, unit, bound, met }
    }
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let model = load_model(&args.model)?;
    let layers: Vec<LayerIndex> = args.layer.iter().map(|&layer| LayerIndex(layer)).collect();
    let mut rows = Vec::new();
    for part in &args.only {
        eprintln!("bench: {part:?} ...");
        match part {
            Part::Network => rows.extend(network::measure(args, &model)?),
            Part::Codec => rows.extend(codec::path(args, &model, &layers)?),
            Part::Rate => rows.extend(codec::rate(args, &model, &layers)?),
            Part::Service => rows.extend(service::service(args, &layers)?),
            Part::Memory => rows.extend(service::memory(args, &layers)?),
        }
    }
    if args.json {
        return print_json(&Report { rows });
    }
    println!("{}", table(&rows));
    Ok(())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["what", "measured", "unit", "bound", "met"]);
    for row in rows {
        let bound = match row.bound {
            Some(Bound::AtMost(limit)) => format!("<= {limit}"),
            Some(Bound::AtLeast(limit)) => format!(">= {limit}"),
            None => String::new(),
        };
        let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
        table.add_row([row.what.clone(), format!("{:.2}", row.measured), row.unit.into(), bound, met.into()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The middle of some figures; 0 of none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

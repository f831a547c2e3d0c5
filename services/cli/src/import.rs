//! `autotiler import`: a Darknet network becomes a model directory.

use std::path::PathBuf;

use anyhow::Context as _;
use autotiler_graph::darknet::{Cfg, Weights};
use autotiler_model::{Model, Precision, files};
use serde::Serialize;

use crate::common::print_json;

/// Turn a Darknet network into a model directory: topology, folded weights, digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Darknet topology.
    #[arg(long, value_name = "FILE")]
    cfg: PathBuf,
    /// Darknet weights of that topology.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Class names, one a line.
    #[arg(long, value_name = "FILE")]
    names: PathBuf,
    /// Directory to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the network; by default that of the cfg file.
    #[arg(long)]
    name: Option<String>,
    /// Store weights in 16 bits: half the size, and as good for every detector measured so far.
    #[arg(long)]
    half: bool,
    /// Replace a model that is already there, with its tilers.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON: name, digest, layers, parameters, macs, classes.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    name: String,
    digest: String,
    layers: usize,
    parameters: usize,
    macs: u64,
    classes: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let manifest = args.out.join(autotiler_model::manifest::MANIFEST);
    if manifest.exists() && !args.force {
        anyhow::bail!("{} exists; give --force to replace it with its tilers", manifest.display());
    }
    let text = |path: &PathBuf| -> anyhow::Result<String> {
        let bytes = files::read(path)?;
        String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", path.display()))
    };
    let cfg = Cfg::parse(&text(&args.cfg)?).with_context(|| format!("reading {}", args.cfg.display()))?;
    let weights = Weights::read(&cfg, &files::read(&args.weights)?)
        .with_context(|| format!("reading {} for {}", args.weights.display(), args.cfg.display()))?;
    let names = text(&args.names)?;
    let names: Vec<String> = names.lines().map(str::trim).filter(|n| !n.is_empty()).map(Into::into).collect();
    let stem = args.cfg.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_else(|| "network".to_owned());
    let precision = if args.half { Precision::F16 } else { Precision::F32 };
    let model = Model::create(&args.out, &name, &cfg, &weights, names, precision)
        .with_context(|| format!("importing {}", args.cfg.display()))?;

    let report = Report {
        name,
        digest: model.manifest.digest.to_string(),
        layers: model.network.layers.len(),
        parameters: model.network.graph.weights.iter().map(|w| w.values.len()).sum(),
        macs: model.network.macs(),
        classes: model.manifest.classes.len(),
    };
    if args.json {
        return print_json(&report);
    }
    println!(
        "{}: {} layers, {} parameters, {:.1} MMAC, {} classes\ndigest {}\nwritten to {}",
        report.name,
        report.layers,
        report.parameters,
        report.macs as f64 / 1e6,
        report.classes,
        report.digest,
        args.out.display()
    );
    println!("next: autotiler inspect {}", args.out.display());
    Ok(())
}

//! `autotiler fit`: tilers that need no training.

use std::path::PathBuf;

use anyhow::Context as _;
use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_graph::{
    Tensor, partition,
    tiler::{AutoTiler, KltFit, PlainFit},
};
use autotiler_model::{Precision, TilerKind};
use autotiler_pipeline::input_tensor;
use serde::Serialize;

use crate::{
    common::{EngineArgs, load_model, print_json, progress},
    eval::pictures::{PictureSet, SetArgs},
};

/// Fit tilers without training to feature maps of a few dozen pictures, and store them in the model.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory; the tiler is added to it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    set: SetArgs,
    /// Partition points.
    #[arg(long, required = true, value_delimiter = ',', value_name = "LAYER")]
    layer: Vec<u16>,
    /// Compression ratios: values of the feature map per value of the plane.
    #[arg(long, default_value = "1", value_delimiter = ',', value_name = "CR")]
    cr: Vec<CompressionRatio>,
    /// klt: transform by covariance; plain: maps side by side (the baseline; CR 1 only).
    #[arg(long, default_value = "klt")]
    kind: TilerKind,
    /// Pictures to fit to.
    #[arg(long, default_value_t = 96, value_name = "N")]
    pictures: usize,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print the result as JSON: tilers[] (layer, cr, kind, digest, plane [H, W], pictures).
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    tilers: Vec<Fitted>,
}

#[derive(Serialize)]
struct Fitted {
    layer: u16,
    cr: u16,
    kind: String,
    digest: String,
    plane: [usize; 2],
    pictures: usize,
}

/// The two fits behind one face.
enum Fit {
    Klt(KltFit),
    Plain(PlainFit),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fitted = matches!(args.kind, TilerKind::Plain | TilerKind::Klt);
    anyhow::ensure!(fitted, "{} is learned: use `autotiler train`", args.kind);
    let mut model = load_model(&args.model)?;
    let engine = args.engine.engine()?;
    let set = PictureSet::open(&args.set, &model.manifest.classes)?;
    let mut report = Report { tilers: Vec::new() };
    for &layer in &args.layer {
        let layer = LayerIndex(layer);
        let specs = args.cr.iter().map(|&cr| model.tiler_spec(layer, cr)).collect::<Result<Vec<_>, _>>()?;
        let mut fits: Vec<Fit> = specs
            .iter()
            .map(|&spec| match args.kind {
                TilerKind::Plain => Fit::Plain(PlainFit::new(spec)),
                _ => Fit::Klt(KltFit::new(spec)),
            })
            .collect();
        let (head, _) = partition::split(&model.network, layer)?;
        let mut session = engine.load(&head)?;
        let input = model.network.input;
        let total = args.pictures.min(set.len());
        let bar = progress(total, &format!("fitting layer {layer}"));
        let mut seen = 0;
        // Spread over the set: neighbours in a list are often alike.
        for index in (0..total).map(|i| i * set.len() / total.max(1)) {
            let Some(sample) = set.load(index) else { continue };
            let features = session.run(&[input_tensor(&sample.picture, input)])?;
            let feature = features.first().and_then(Tensor::as_f32).context("the head yielded no floats")?;
            for fit in &mut fits {
                match fit {
                    Fit::Klt(fit) => fit.add(feature)?,
                    Fit::Plain(fit) => fit.add(feature)?,
                }
            }
            seen += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        for fit in fits {
            let tiler: Box<dyn AutoTiler> = match fit {
                Fit::Klt(fit) => Box::new(fit.finish(None)?),
                Fit::Plain(fit) => Box::new(fit.finish()?),
            };
            let stored = model.store_tiler(args.kind, tiler.as_ref(), Precision::F32)?;
            let plane = stored.spec().plane();
            report.tilers.push(Fitted {
                layer: layer.0,
                cr: stored.spec().cr.get(),
                kind: args.kind.to_string(),
                digest: stored.digest.to_string(),
                plane: [plane.h, plane.w],
                pictures: seen,
            });
        }
    }
    if args.json {
        return print_json(&report);
    }
    for t in &report.tilers {
        let [h, w] = t.plane;
        println!(
            "layer={} cr={} {}: plane {h}x{w}, fitted to {} pictures",
            t.layer, t.cr, t.kind, t.pictures
        );
    }
    Ok(())
}

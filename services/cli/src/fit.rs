//! `autotiler fit`: tilers that need no training.

use std::path::PathBuf;

use anyhow::Context as _;
use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_eval::PictureSet;
use autotiler_graph::{
    Tensor, partition,
    tiler::{AutoTiler, KltFit, Omni, PlainFit, TilerError, TilerSpec},
};
use autotiler_model::{Precision, TilerKind, restorer};
use autotiler_pipeline::input_tensor;
use serde::Serialize;

use crate::common::{EngineArgs, load_model, print_json, progress};

/// The generated world, by the name that `--data` takes.
const GENERATED: &str = "generated";

/// Fit tilers without training to feature maps of a few dozen pictures, and store them in the model.
///
/// `omni` needs no pictures: it is fitted to generated ones, for any network. Example:
/// autotiler fit --kind omni --model out/nano --layer 35,46 --cr 1
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory; the tiler is added to it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// VOC devkit (JPEGImages, Annotations, ImageSets/Main), or `generated` for the built-in world. Not for
    /// omni, which always takes the latter.
    #[arg(long, value_name = "VOCDIR")]
    data: Option<PathBuf>,
    /// Lists of ImageSets/Main, joined by commas. For the generated world train, val or test.
    #[arg(long, default_value = "train", value_name = "SET")]
    set: String,
    /// Use only the first so many pictures.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Partition points.
    #[arg(long, required = true, value_delimiter = ',', value_name = "LAYER")]
    layer: Vec<u16>,
    /// Compression ratios: values of the feature map per value of the plane.
    #[arg(long, default_value = "1", value_delimiter = ',', value_name = "CR")]
    cr: Vec<CompressionRatio>,
    /// klt: transform by covariance; plain: maps side by side (the baseline; CR 1 only); omni: a klt of
    /// generated pictures with the shipped restorer.
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
    Omni(KltFit),
}

impl Fit {
    fn new(kind: TilerKind, spec: TilerSpec) -> Self {
        match kind {
            TilerKind::Plain => Self::Plain(PlainFit::new(spec)),
            TilerKind::Omni => Self::Omni(KltFit::new(spec)),
            _ => Self::Klt(KltFit::new(spec)),
        }
    }

    fn add(&mut self, feature: &[f32]) -> Result<(), TilerError> {
        match self {
            Self::Klt(fit) | Self::Omni(fit) => fit.add(feature),
            Self::Plain(fit) => fit.add(feature),
        }
    }

    fn finish(self) -> anyhow::Result<Box<dyn AutoTiler>> {
        Ok(match self {
            Self::Klt(fit) => Box::new(fit.finish(None)?),
            Self::Plain(fit) => Box::new(fit.finish()?),
            Self::Omni(fit) => {
                let restorer = restorer::shipped().context("reading the shipped restorer")?;
                Box::new(Omni::from_fit(&fit, restorer)?)
            }
        })
    }
}

/// The pictures that are fitted to.
fn pictures(args: &Args, classes: &[String]) -> anyhow::Result<PictureSet> {
    let (data, set) = match (args.kind, &args.data) {
        (TilerKind::Omni, None) => (PathBuf::from(GENERATED), "train"),
        (TilerKind::Omni, Some(_)) => anyhow::bail!("omni is fitted without data: leave --data out"),
        (kind, None) => anyhow::bail!("{kind} is fitted to pictures: name them with --data"),
        (_, Some(data)) => (data.clone(), args.set.as_str()),
    };
    let opened = PictureSet::open(&data, set, args.limit, classes);
    opened.with_context(|| format!("opening the pictures of {}", data.display()))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fitted = matches!(args.kind, TilerKind::Plain | TilerKind::Klt | TilerKind::Omni);
    anyhow::ensure!(fitted, "{} is learned: use `autotiler train`", args.kind);
    let mut model = load_model(&args.model)?;
    let engine = args.engine.engine()?;
    let set = pictures(args, &model.manifest.classes)?;
    let mut report = Report { tilers: Vec::new() };
    for &layer in &args.layer {
        let layer = LayerIndex(layer);
        let specs = args.cr.iter().map(|&cr| model.tiler_spec(layer, cr)).collect::<Result<Vec<_>, _>>()?;
        let mut fits: Vec<Fit> = specs.iter().map(|&spec| Fit::new(args.kind, spec)).collect();
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
            fits.iter_mut().try_for_each(|fit| fit.add(feature))?;
            seen += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        for fit in fits {
            let tiler = fit.finish()?;
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

//! `autotiler-train detector`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use autotiler_core::average_precision::Score;
use autotiler_graph::darknet::{Anchor, WidthMultiplier};
use autotiler_scene::world;
use autotiler_torch::{
    set_threads,
    train::{
        detector::{self, Progress, Recipe, Surroundings},
        street::{self, StreetDetector, Streets, View},
    },
};
use indicatif::{ProgressBar, ProgressStyle};

/// Train a YOLOv3 of reduced width on the generated street world.
///
/// Writes NAME.cfg, NAME.weights (Darknet format, averaged weights with the best validation score so far,
/// so a usable detector is there at any time) and NAME.names into the output directory; `autotiler import`
/// makes a model directory of them. Training, validation and test scenes come from worlds of different
/// seeds. Stop it at any time: the same command goes on from the last checkpoint.
///
/// Example: autotiler-train detector --out out/street --steps 3000
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory for the detector and the checkpoint.
    #[arg(long, env = "AUTOTILER_TRAIN_OUT")]
    out: PathBuf,
    /// Stem of the files.
    #[arg(long, default_value = "street")]
    name: String,
    /// Share of YOLOv3's maps.
    #[arg(long, default_value_t = 0.125)]
    width: f32,
    /// Width and height of the pictures, a multiple of 32.
    #[arg(long, default_value_t = 256)]
    side: usize,
    /// Steps at the start on pictures of --small-side; cheaper, and enough to learn most of it.
    #[arg(long, default_value_t = 2500)]
    small_steps: u64,
    /// Side of the pictures at the start.
    #[arg(long, default_value_t = 160)]
    small_side: usize,
    /// Steps of the whole run; raise it to make a run longer.
    #[arg(long, default_value_t = 3500)]
    steps: u64,
    /// Pictures in a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Weight decay of kernels.
    #[arg(long, default_value_t = 0.02)]
    weight_decay: f64,
    /// Steps between validations, exports and checkpoints.
    #[arg(long, default_value_t = 250)]
    validate_every: u64,
    /// Pictures of a validation.
    #[arg(long, default_value_t = 128)]
    validation_pictures: usize,
    /// Pictures of the test at the end.
    #[arg(long, default_value_t = 500)]
    test_pictures: usize,
    /// Begin with the weights of this Darknet file, of the same width and classes, in place of random ones;
    /// the anchors of the cfg beside it are kept.
    #[arg(long, value_name = "FILE.weights")]
    start: Option<PathBuf>,
    /// Seed of the first weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads of libtorch.
    #[arg(long, default_value_t = 2, env = "AUTOTILER_THREADS")]
    threads: u16,
    /// One JSON object a line on standard output instead of a progress bar: events `step` (`step`, `loss`,
    /// `parts`, `images_per_s`, `waiting`), `validated` (`step`, `map50`, `per_class`, `best`) and `done`
    /// (`map50_validation`, `map50_test`, `per_class`, `test_pictures`).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    set_threads(args.threads);
    let recipe = Recipe {
        steps: args.steps,
        batch: args.batch,
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay,
        warm_up_steps: (args.steps / 20).clamp(1, 200),
        average_keep: 0.998,
        small_start: (args.small_steps > 0).then_some((args.small_steps, args.small_side)),
        side: args.side,
        validate_every: args.validate_every.max(1),
        validation_pictures: args.validation_pictures,
    };
    let training = Streets { seed: world::TRAINING_SEED, view: View::Mixed };
    let start = args.start.as_deref().map(Start::read).transpose()?;
    let anchors = match &start {
        Some(start) => start.anchors,
        None => street::fit_anchors(&training).context("fitting anchors to the training world")?,
    };
    let first = start.as_ref().map(|start| start.weights.as_slice());
    let plan = StreetDetector { width: WidthMultiplier::try_new(args.width)?, seed: args.seed };
    let cfg = plan.cfg(args.side, &anchors)?;
    let network = plan.network(&cfg, first)?;
    let small = recipe
        .small_start
        .map(|(_, side)| plan.network(&plan.cfg(side, &anchors)?, first))
        .transpose()
        .context("laying out the network for small pictures")?;

    let bar = bar(args);
    let mut say = |progress: &Progress| show(&bar, args.json, progress);
    let mut export = |graph: &autotiler_graph::Graph| {
        let seen = recipe.steps * recipe.batch as u64;
        street::export(&args.out, &args.name, &cfg, graph, seen).map_err(Into::into)
    };
    let best = detector::train(
        &recipe,
        &network,
        small.as_ref(),
        &mut Surroundings {
            training: Arc::new(training),
            validation: Arc::new(Streets { seed: world::VALIDATION_SEED, view: View::Squashed }),
            checkpoint: &args.out.join(format!("{}.checkpoint", args.name)),
            report: &mut say,
            export: &mut export,
        },
    )
    .context("training the detector")?;
    bar.finish_and_clear();
    let weights = args.out.join(format!("{}.weights", args.name));
    let test = Streets { seed: world::TEST_SEED, view: View::Squashed };
    let Score { map50, per_class, .. } =
        street::score(&weights, &cfg, &test, args.test_pictures).context("testing the detector")?;
    if args.json {
        let done = serde_json::json!({
            "event": "done", "map50_validation": best, "map50_test": map50,
            "per_class": per_class, "test_pictures": args.test_pictures,
        });
        println!("{done}");
    } else {
        println!(
            "mAP@0.5 {best:.3} on validation scenes, {map50:.3} on {} unseen test scenes",
            args.test_pictures
        );
    }
    Ok(())
}

/// A detector to begin with.
struct Start {
    weights: Vec<u8>,
    /// In shares of the picture.
    anchors: [Anchor; 9],
}

impl Start {
    fn read(path: &Path) -> Result<Self> {
        let reading = |path: &Path| format!("reading {}", path.display());
        let weights = std::fs::read(path).with_context(|| reading(path))?;
        let cfg = path.with_extension("cfg");
        let text = std::fs::read_to_string(&cfg).with_context(|| reading(&cfg))?;
        let anchors = street::anchors_of(&text).with_context(|| reading(&cfg))?;
        Ok(Self { weights, anchors })
    }
}

fn bar(args: &Args) -> ProgressBar {
    if args.json {
        return ProgressBar::hidden();
    }
    let style = "{elapsed_precise} {wide_bar} {pos}/{len} steps, {eta} left  {msg}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(args.steps).with_style(style)
}

fn show(bar: &ProgressBar, json: bool, progress: &Progress) {
    if json {
        if let Ok(line) = serde_json::to_string(progress) {
            println!("{line}");
        }
        return;
    }
    match progress {
        Progress::Step { step, loss, images_per_s, .. } => {
            bar.set_position(*step);
            bar.set_message(format!("loss {loss:.3}, {images_per_s:.1} pictures/s"));
        }
        Progress::Validated { step, map50, best, .. } => {
            let mark = if *best { ", best so far: exported" } else { "" };
            bar.println(format!("step {step}: validation mAP@0.5 {map50:.3}{mark}"));
        }
    }
}

//! `autotiler-train tiler`.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use anyhow::{Context, Result, ensure};
use autotiler_core::{CompressionRatio, Gain, LayerIndex};
use autotiler_graph::tiler::LiteShape;
use autotiler_hevc::{EncoderOptions, Preset};
use autotiler_model::{Model, Precision, TilerKind};
use autotiler_scene::Picture;
use autotiler_torch::{
    set_threads,
    train::{
        recipe::VALIDATION_GAINS,
        tiler::{
            self, Course, Progress, Recipe,
            lesson::{Lessons, Teacher},
            picture_batch, start,
        },
        tilers::Pictures,
    },
};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// Pictures that the detector looks at together.
const LOOK_AT: usize = 8;

/// Train the tiler of one partition point and compression ratio.
///
/// The detector's feature maps and outputs for all pictures of `train`, plain and mirrored, are computed
/// once and kept in memory (about 0.3 MB a picture at 320x320). The transform (KLT, weighted by where the
/// detector is sensitive) is fitted and stored as kind `klt`; from it the learned tiler (`lite`) is trained
/// through the real codec at random gains, to keep what the detector sees. It is stored in the model when it
/// validates best. Run it again to resume; add --fresh to begin anew.
///
/// Example: autotiler-train tiler --model out/nano --data VOCdevkit --layer 35 --preset quality
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory; the tilers are added to it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// VOC devkit with ImageSets/Main/train.txt and val.txt, or `generated` for the built-in world.
    #[arg(long, value_name = "VOCDIR")]
    data: PathBuf,
    /// Partition point.
    #[arg(long, value_name = "LAYER")]
    layer: u16,
    /// Compression ratio: values of the feature map per value of the plane.
    #[arg(long, default_value = "1")]
    cr: CompressionRatio,
    /// Only fit and store the transform (`klt`), or train on to `lite`.
    #[arg(long, default_value = "lite")]
    kind: TilerKind,
    /// Optimiser steps, at most; 400 reach most of what there is to gain.
    #[arg(long, default_value_t = 600)]
    steps: u64,
    /// Pictures in a step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Steps of the linear rise of the learning rate.
    #[arg(long, default_value_t = 50)]
    warm_up: u64,
    /// Finest gain that is trained, in steps of 1/24 halving.
    #[arg(long, default_value_t = 16)]
    finest_gain: u8,
    /// Coarsest gain that is trained.
    #[arg(long, default_value_t = 72)]
    coarsest_gain: u8,
    /// Settings of the codec in the loop.
    #[arg(long, value_enum, default_value_t = PresetArg::Fast)]
    preset: PresetArg,
    /// Steps between validations and checkpoints.
    #[arg(long, default_value_t = 100)]
    validate_every: u64,
    /// Validations without a new best after which training ends.
    #[arg(long, default_value_t = 4)]
    patience: u32,
    /// Use only the first so many pictures of each set.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Maps inside the decoder's branch.
    #[arg(long, default_value_t = 32)]
    decoder_width: usize,
    /// Residual blocks in the decoder's branch.
    #[arg(long, default_value_t = 3)]
    decoder_blocks: usize,
    /// Learn two masks over the plane's maps.
    #[arg(long)]
    gate: bool,
    /// How the weights are stored.
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
    /// Seed of first weights, order of pictures and gains.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin anew, whatever checkpoint is there.
    #[arg(long)]
    fresh: bool,
    /// Where the state of the run is kept [default: MODEL/../NAME-layerL-crN.checkpoint].
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The ffmpeg program, with libx265.
    #[arg(long, default_value = "ffmpeg", env = "AUTOTILER_FFMPEG")]
    ffmpeg: PathBuf,
    /// Threads of libtorch.
    #[arg(long, default_value_t = 2, env = "AUTOTILER_THREADS")]
    threads: u16,
    /// One JSON object a line on standard output: events `step` (`step`, `divergence`, `feature_error`,
    /// `bits`), `validated` (`step`, `points[]` of `gain`, `bits`, `divergence`, `feature_error`; `score`,
    /// `best`) and `stored` (`kind`, `layer`, `cr`, `digest`).
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetArg {
    /// x265 ultrafast.
    Fast,
    /// Superfast with rate-distortion optimised quantisation: fewer bits for twice the time.
    Quality,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    F32,
    F16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.kind != TilerKind::Plain, "plain tiling is not trained: use `autotiler fit --kind plain`");
    ensure!(args.finest_gain <= args.coarsest_gain, "--finest-gain must not be above --coarsest-gain");
    set_threads(args.threads);
    let mut model = Model::load(&args.model).context("loading the model")?;
    let layer = LayerIndex(args.layer);
    let spec = model.tiler_spec(layer, args.cr)?;
    let teacher = Teacher::try_new(&model.network, layer, tch::Device::Cpu)?;

    let training = lessons(args, &model, &teacher, "train", true)?;
    let transform =
        start::fit(spec, &teacher, &training, args.seed as i64).context("fitting the transform")?;
    store(args, &mut model, TilerKind::Klt, &transform)?;
    if args.kind == TilerKind::Klt {
        return Ok(());
    }
    let validation = lessons(args, &model, &teacher, "val", false)?;
    let checkpoint = args.checkpoint.clone().unwrap_or_else(|| default_checkpoint(&args.model, args));
    if args.fresh && checkpoint.exists() {
        std::fs::remove_file(&checkpoint).with_context(|| format!("removing {}", checkpoint.display()))?;
    }
    let bar = bar(args.json, args.steps, "steps");
    let shape = LiteShape {
        decoder_width: args.decoder_width,
        decoder_blocks: args.decoder_blocks,
        gate: args.gate,
        ..LiteShape::default()
    };
    let lite = tiler::train(
        &recipe(args),
        &transform,
        shape,
        &mut Course {
            teacher: &teacher,
            training: &training,
            validation: &validation,
            codec: encoder_options(args),
            checkpoint: &checkpoint,
            origin: &model.manifest.digest.to_string(),
            stop: &AtomicBool::new(false),
            report: &mut |progress| show(&bar, args.json, progress),
        },
    )
    .context("training the tiler")?;
    bar.finish_and_clear();
    store(args, &mut model, TilerKind::Lite, &lite)
}

fn recipe(args: &Args) -> Recipe {
    Recipe {
        steps: args.steps,
        batch: args.batch.max(1),
        learning_rate: args.learning_rate,
        warm_up_steps: args.warm_up,
        gains: (Gain(args.finest_gain), Gain(args.coarsest_gain)),
        validation_gains: VALIDATION_GAINS.to_vec(),
        validate_every: args.validate_every.max(1),
        patience: args.patience,
        seed: args.seed,
    }
}

fn encoder_options(args: &Args) -> EncoderOptions {
    let preset = match args.preset {
        PresetArg::Fast => Preset::Fast,
        PresetArg::Quality => Preset::Quality,
    };
    EncoderOptions { ffmpeg: args.ffmpeg.clone(), preset, ..EncoderOptions::default() }
}

fn default_checkpoint(model: &Path, args: &Args) -> PathBuf {
    let name = model.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
    model.with_file_name(format!("{name}-layer{}-cr{}.checkpoint", args.layer, args.cr))
}

/// What the detector says to all pictures of a set.
fn lessons(args: &Args, model: &Model, teacher: &Teacher, set: &str, mirrored: bool) -> Result<Lessons> {
    let pictures = Pictures::open(&args.data, set, &model.manifest.classes)
        .with_context(|| format!("opening the set {set}"))?;
    let count = args.limit.map_or(pictures.len(), |limit| limit.min(pictures.len()));
    let bar = bar(args.json, count as u64, &format!("pictures of {set}"));
    let mut lessons = Lessons::default();
    let mut waiting: Vec<Picture> = Vec::new();
    for index in 0..count {
        match pictures.load(index) {
            Some(Ok(picture)) => {
                if mirrored {
                    waiting.push(picture.flipped());
                }
                waiting.push(picture);
            }
            Some(Err(error)) => eprintln!("skipped: {:#}", anyhow::Error::from(error)),
            None => {}
        }
        if waiting.len() >= LOOK_AT || index + 1 == count && !waiting.is_empty() {
            lessons.add(teacher, &picture_batch(&waiting, model.network.input)?)?;
            waiting.clear();
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(lessons)
}

fn store(
    args: &Args,
    model: &mut Model,
    kind: TilerKind,
    tiler: &dyn autotiler_graph::tiler::AutoTiler,
) -> Result<()> {
    let precision = match args.precision {
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::F16 => Precision::F16,
    };
    let stored = model.store_tiler(kind, tiler, precision).context("storing the tiler")?;
    if args.json {
        let line = serde_json::json!({
            "event": "stored", "kind": kind.to_string(), "layer": args.layer, "cr": args.cr.get(),
            "digest": stored.digest.to_string(),
        });
        println!("{line}");
    } else {
        println!("stored {kind} for layer {} at compression ratio {}", args.layer, args.cr);
    }
    Ok(())
}

fn bar(json: bool, len: u64, what: &str) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    let style = format!("{{elapsed_precise}} {{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(len).with_style(style)
}

fn show(bar: &ProgressBar, json: bool, progress: &Progress) {
    if json {
        if let Ok(line) = serde_json::to_string(progress) {
            println!("{line}");
        }
        return;
    }
    match progress {
        Progress::Step { step, divergence, bits, .. } => {
            bar.set_position(*step);
            bar.set_message(format!("divergence {divergence:.1} nats at {:.1} kbit", bits / 1e3));
        }
        Progress::Validated { step, points, score, best } => {
            let of = |p: &tiler::Scored| format!("{:.1} kbit {:.1}", p.bits / 1e3, p.divergence);
            let points = points.iter().map(of).collect::<Vec<_>>().join(", ");
            let mark = if *best { ", best so far" } else { "" };
            bar.println(format!(
                "step {step}: divergence at equal bits {:+.1} % of the start's ({points}){mark}",
                (score.exp() - 1.0) * 100.0
            ));
        }
    }
}

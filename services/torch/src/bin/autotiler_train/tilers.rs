//! `autotiler-train tilers`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result};
use autotiler_model::Model;
use autotiler_torch::{
    set_threads,
    train::{
        paper::PaperTrainingError,
        recipe::{Point, RecipeError, RecipeFile, TilerPreset},
        tiler::TilerTrainingError,
        tilers::{self, Job, JobError, is_out_of_memory},
    },
};

use super::{device::DeviceArg, display::Display};

/// Train all tilers of a network by one command.
///
/// What is trained and how stands in a recipe; without --recipe it is MODEL/../recipes/NAME.PRESET.yaml, else
/// the one that comes with the program for a network of this name, else one whose partition points are chosen
/// from the network. Presets:
///
/// lite: at each point the transform (`klt`, weighted by where the detector is sensitive), and from it the
/// learned tiler, through the real codec, to keep what the detector sees.
///
/// paper: the paper's variable auto-tiler, the independent one and the simple autoencoder, for five points.
///
/// omni: tilers that need no pictures of yours, and the restorer that all of them share, where the recipe has a
/// training for it; it is written to MODEL/../omni.safetensors.
///
/// Each tiler is stored in the model when it is finished, with a card and the training curves beside it
/// (MODEL/tilers/CARD-PRESET.md, CURVES-PRESET.csv, .svg and .png). Stop it at any time (ctrl-C): the same
/// command goes on where it was. What is finished is not done again unless recipe, network or pictures have
/// changed. Run one such command on a model at a time.
///
/// Example: autotiler-train tilers --model models/nano --data VOCdevkit --preset lite
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory; the tilers are added to it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// VOC devkit with the lists of the recipe's sets in ImageSets/Main, or `generated` for the built-in world.
    #[arg(long, value_name = "VOCDIR")]
    data: PathBuf,
    /// Family: lite, paper or omni.
    #[arg(long, default_value = "lite")]
    preset: TilerPreset,
    /// Recipe.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Seed, in place of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Optimiser steps, or epochs of each run for preset paper, in place of the recipe's.
    #[arg(long)]
    steps: Option<u64>,
    /// Use only the first so many pictures of each set, in place of the recipe's limit.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Where tensors live: cpu or cuda.
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    device: DeviceArg,
    /// Only these points, in the recipe or not, as LAYER:CR.
    #[arg(long, value_name = "LAYER:CR", value_delimiter = ',')]
    only: Vec<Point>,
    /// Forget checkpoints and marks, and begin anew.
    #[arg(long)]
    fresh: bool,
    /// Where checkpoints and marks of finished points lie [default: MODEL/../NAME-tilers].
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// The ffmpeg program, with libx265.
    #[arg(long, default_value = "ffmpeg", env = "AUTOTILER_FFMPEG")]
    ffmpeg: PathBuf,
    /// Threads of libtorch.
    #[arg(long, default_value_t = 2, env = "AUTOTILER_THREADS")]
    threads: u16,
    /// Print the recipe that would be followed, and end.
    #[arg(long)]
    show_recipe: bool,
    /// One JSON object a line on standard output: events `planned` (`points`, `done`), `pictures` (`set`,
    /// `seen`, `of`), `skipped` (`reason`), `point` (`point`, `number`, `of`, `steps`), `training` (`point`,
    /// `progress`: events `step` and `validated`), `paper` and `omni` (`progress`), `stored` (`point`, `kind`,
    /// `digest`, `rounding`, `seconds`) and `done` (`card`, `curves`, `plots`).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    set_threads(args.threads);
    let device = args.device.open()?;
    let mut model = Model::load(&args.model).context("loading the model")?;
    let recipe = recipe(args, &model)?;
    if args.show_recipe {
        print!("{}", recipe.to_yaml());
        return Ok(());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("listening for signals")?;
    }
    let work = args.work.clone().unwrap_or_else(|| beside(&args.model));
    let job = Job {
        recipe: &recipe,
        data: &args.data,
        work: &work,
        only: &args.only,
        fresh: args.fresh,
        ffmpeg: args.ffmpeg.clone(),
        device,
        stop: &stop,
    };
    let mut display = Display::new(args.json);
    let ended = tilers::run(&mut model, &job, &mut |event| display.show(event));
    display.finish();
    ended.map_err(|error| explain(error, &work))
}

/// The recipe, with what the command line says in place of it.
fn recipe(args: &Args, model: &Model) -> Result<RecipeFile> {
    let mut recipe = match &args.recipe {
        Some(path) => RecipeFile::read(path)?,
        None => RecipeFile::find(&args.model, &model.manifest.name, args.preset)?,
    };
    if recipe.preset != args.preset {
        return Err(RecipeError::Preset { found: recipe.preset, asked: args.preset }.into());
    }
    recipe.pictures.limit = args.limit.or(recipe.pictures.limit);
    if recipe.preset == TilerPreset::Paper {
        recipe.paper = Some(recipe.paper_for(&model.network)?);
    }
    args.seed.into_iter().for_each(|seed| recipe.set_seed(seed));
    args.steps.into_iter().for_each(|length| recipe.set_length(length));
    recipe.check()?;
    Ok(recipe)
}

fn beside(model: &Path) -> PathBuf {
    let name = model.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
    model.with_file_name(format!("{name}-tilers"))
}

/// Says what to do about it.
fn explain(error: JobError, work: &Path) -> anyhow::Error {
    let stopped = matches!(
        error,
        JobError::Stopped
            | JobError::Paper(PaperTrainingError::Stopped)
            | JobError::Omni(TilerTrainingError::Stopped { .. })
            | JobError::Training {
                source: TilerTrainingError::Stopped { .. } | TilerTrainingError::Interrupted,
                ..
            }
    );
    let full = is_out_of_memory(&error);
    let error = anyhow::Error::from(error);
    if stopped {
        return error.context(format!("stopped; the same command goes on from {}", work.display()));
    }
    if full {
        return error.context("the device's memory is full: lower `batch` in the recipe's `training`");
    }
    error
}

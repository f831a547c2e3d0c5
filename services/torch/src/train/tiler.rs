//! Trains a `lite` tiler: from the KLT, through the real codec, on what the detector makes of the result.

pub mod codec;
pub mod distillation;
mod draw;
mod importance;
pub mod lesson;
pub mod measure;
mod rounding;
mod run;
pub mod start;
pub mod trial;

pub use lesson::picture_batch;
pub use measure::Scored;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use autotiler_core::Gain;
use autotiler_graph::{
    GraphError,
    tiler::{Lite, LiteShape, TilerError},
};
use autotiler_hevc::EncoderOptions;
use autotiler_model::{Precision, WeightsError};
use serde::{Deserialize, Serialize};
use tch::TchError;

use self::{
    codec::CodecError,
    lesson::{LessonError, Lessons, Teacher},
    run::Run,
    start::Start,
};
use super::checkpoint::CheckpointError;
use crate::executor::ExecutorError;

/// Steps are told of in groups of this many.
const REPORT_EVERY: u64 = 10;

/// Numbers of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Optimiser steps, at most.
    pub steps: u64,
    /// Pictures per step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of the linear rise of the learning rate.
    pub warm_up_steps: u64,
    /// Gains are drawn from this range, ends included.
    pub gains: (Gain, Gain),
    /// Gains that are validated at.
    pub validation_gains: Vec<Gain>,
    /// Steps between validations and checkpoints.
    pub validate_every: u64,
    /// Validations without a new best after which the run ends.
    pub patience: u32,
    /// Steps of what the device learns first, where the tiler's shape has it.
    pub importance_steps: u64,
    /// Seed of first weights, order of pictures and gains.
    pub seed: u64,
    /// How the weights will be stored: what is trained and validated is rounded like that in every step, and
    /// gradients pass it.
    pub precision: Precision,
}

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// The device learns what the detector is sensitive to.
    Importance {
        /// Steps made; 0 while the sensitivity is measured.
        step: u64,
        /// Of so many.
        of: u64,
        /// Noise and rate, in nats; 1 is what it costs to expect the same of all pixels.
        loss: f64,
    },
    /// Some steps are made.
    Step {
        /// Steps made.
        step: u64,
        /// Mean divergence of a picture, nats.
        divergence: f64,
        /// Relative error of the feature map.
        feature_error: f64,
        /// Mean bits of a plane.
        bits: f64,
    },
    /// The tiler is scored on pictures that it does not learn from.
    Validated {
        /// Steps made; at 0 it is the untrained start.
        step: u64,
        /// By gain.
        points: Vec<Scored>,
        /// Mean over the gains of the logarithm of the divergence at equal bits: what is minimised.
        score: f64,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum TilerTrainingError {
    /// The loss is no number any more.
    #[error(
        "step {step}: the loss is {loss}; lower learningRate (or the batch's share of coarse gains: coarsestGain)"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// Somebody asked to stop; the checkpoint holds the step.
    #[error("stopped at step {step}; its state is in {}", checkpoint.display())]
    Stopped {
        /// Steps made.
        step: u64,
        /// Where the state is.
        checkpoint: PathBuf,
    },
    /// Somebody asked to stop before there was anything to keep.
    #[error("stopped")]
    Interrupted,
    /// Nothing to learn from.
    #[error("no pictures to {0}")]
    NoPictures(&'static str),
    /// No such tiler.
    #[error("laying out the tiler")]
    Tiler(#[from] TilerError),
    /// No such graph.
    #[error("laying out the tiler's graph")]
    Graph(#[from] GraphError),
    /// The tiler or the detector did not run.
    #[error("running the tiler")]
    Network(#[from] ExecutorError),
    /// The detector could not be asked.
    #[error("asking the detector")]
    Lesson(#[from] LessonError),
    /// The detector's sensitivity could not be measured.
    #[error(transparent)]
    Sensitivity(#[from] start::StartError),
    /// The codec.
    #[error("codec")]
    Codec(#[from] CodecError),
    /// libtorch refused.
    #[error("training step")]
    Torch(#[from] TchError),
    /// Weights that cannot be stored.
    #[error("rounding the weights as they will be stored")]
    Rounding(#[from] WeightsError),
    /// The checkpoint.
    #[error("checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another recipe, network, data set or tiler.
    #[error("{} belongs to another run (recipe, network, pictures or tiler differ): repeat that run's options, or begin anew with --fresh", path.display())]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
}

/// What a run works with.
pub struct Course<'a> {
    /// The detector.
    pub teacher: &'a Teacher,
    /// To learn from.
    pub training: &'a Lessons,
    /// To choose with.
    pub validation: &'a Lessons,
    /// Settings of the codec in the loop.
    pub codec: EncoderOptions,
    /// Where to keep the state of the run.
    pub checkpoint: &'a Path,
    /// What else the run depends on (network, pictures): a checkpoint of another origin is refused.
    pub origin: &'a str,
    /// Set from elsewhere to stop at the next step, state saved.
    pub stop: &'a AtomicBool,
    /// Told what happens.
    pub report: &'a mut dyn FnMut(&Progress),
}

/// Trains from `start` to the end of the recipe, or until validation gets no better, resuming from the
/// checkpoint where there is one. Returns the tiler that validated best; it is the start itself where nothing
/// was better.
///
/// # Errors
/// [`TilerTrainingError`].
pub fn train(
    recipe: &Recipe,
    start: &Start,
    shape: LiteShape,
    course: &mut Course<'_>,
) -> Result<Lite, TilerTrainingError> {
    if course.training.is_empty() {
        return Err(TilerTrainingError::NoPictures("learn from"));
    }
    if course.validation.is_empty() {
        return Err(TilerTrainingError::NoPictures("validate with"));
    }
    let mut run = Run::start(recipe, start, shape, course)?;
    let mut sums = [0.0; 3];
    while !run.is_finished() {
        let told = run.learn(course)?;
        sums.iter_mut().zip(told).for_each(|(sum, value)| *sum += value / REPORT_EVERY as f64);
        let step = run.step();
        if step.is_multiple_of(REPORT_EVERY) {
            let [divergence, feature_error, bits] = std::mem::take(&mut sums);
            (course.report)(&Progress::Step { step, divergence, feature_error, bits });
        }
        if step.is_multiple_of(recipe.validate_every) || step == recipe.steps {
            run.validate(course)?;
            run.save(course.checkpoint)?;
        }
        if course.stop.load(Ordering::Relaxed) {
            run.save(course.checkpoint)?;
            return Err(TilerTrainingError::Stopped { step, checkpoint: course.checkpoint.to_owned() });
        }
    }
    run.best_tiler()
}

//! Trains a YOLO detector on a stream of samples.

mod report;
mod run;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use autotiler_core::{average_precision::Score, yolo::DecodeError};
use autotiler_graph::Graph;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    checkpoint::CheckpointError,
    loader::{self, Batch, Source},
    score::DetectorScorer,
    yolo::{self, HeadLayout},
};
use crate::{
    engine::load_weight,
    executor::{Executor, ExecutorError, Mode},
};
use report::Meter;
pub use report::Progress;
use run::Run;

/// Batches made ahead of the training.
const BATCHES_AHEAD: usize = 4;
/// Pictures scored at once.
const VALIDATION_BATCH: usize = 16;

/// A detector in training at one input size.
#[derive(Debug, Clone)]
pub struct Network {
    /// With batch norms; one input (a square picture, 0 to 1), one output for each head, before sigmoids.
    pub graph: Arc<Graph>,
    /// In the order of the outputs.
    pub heads: Vec<HeadLayout>,
    /// Number of classes.
    pub classes: usize,
}

/// Numbers of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Optimiser steps.
    pub steps: u64,
    /// Pictures per step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Weight decay of kernels, per unit of learning rate.
    pub weight_decay: f64,
    /// Steps of the linear rise of the learning rate.
    pub warm_up_steps: u64,
    /// Share of the average over steps that is kept at each step.
    pub average_keep: f64,
    /// Steps on smaller pictures at the start, and their side.
    pub small_start: Option<(u64, usize)>,
    /// Width and height of the pictures.
    pub side: usize,
    /// Steps between validations, exports and checkpoints.
    pub validate_every: u64,
    /// Pictures of a validation.
    pub validation_pictures: usize,
}

impl Recipe {
    /// Side of the pictures of a step.
    pub fn side_at(&self, step: u64) -> usize {
        match self.small_start {
            Some((steps, side)) if step < steps => side,
            _ => self.side,
        }
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The loss is no number any more: the learning rate is too high or a sample is broken.
    #[error("step {step}: the loss is {loss}; the last checkpoint is from before, lower the learning rate")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// The loader ended before the run.
    #[error("step {step}: the thread that makes samples ended")]
    Loader {
        /// The step.
        step: u64,
    },
    /// No thread for the loader.
    #[error("starting the thread that makes samples")]
    Thread(#[source] std::io::Error),
    /// The network did not run.
    #[error("running the network")]
    Network(#[from] ExecutorError),
    /// libtorch refused.
    #[error("training step")]
    Torch(#[from] TchError),
    /// Its heads are not as laid out.
    #[error("reading the network's heads")]
    Heads(#[from] DecodeError),
    /// The checkpoint.
    #[error("checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another recipe.
    #[error("{path} belongs to a run with another recipe; remove it or repeat its options")]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The export of the averaged weights failed.
    #[error("exporting the detector")]
    Export(#[source] ExportFault),
}

/// Why the caller could not write the weights that it was given.
pub type ExportFault = Box<dyn std::error::Error + Send + Sync>;

/// What a run needs beside its recipe.
pub struct Surroundings<'a> {
    /// Samples to learn from.
    pub training: Arc<dyn Source>,
    /// Samples to score with: none of the training's.
    pub validation: Arc<dyn Source>,
    /// Where to keep the state of the run.
    pub checkpoint: &'a Path,
    /// Told what happens.
    pub report: &'a mut dyn FnMut(&Progress),
    /// Given the averaged weights after each validation that is the best so far.
    pub export: &'a mut dyn FnMut(&Graph) -> Result<(), ExportFault>,
}

/// Trains to the end of the recipe, resuming from the checkpoint where there is one. Returns the best score.
///
/// `network` and `small` differ in their input size only; `small` is for the recipe's small start.
///
/// # Errors
/// [`DetectorError`].
pub fn train(
    recipe: &Recipe,
    network: &Network,
    small: Option<&Network>,
    around: &mut Surroundings<'_>,
) -> Result<f64, DetectorError> {
    let mut run = Run::start(recipe, &network.graph, around.checkpoint)?;
    let full = Executor::try_new(network.graph.clone())?;
    let reduced = small.map(|net| Executor::try_new(net.graph.clone())).transpose()?;
    let truth_batches = batches(around.validation.as_ref(), recipe.validation_pictures, recipe.side);

    let sides = recipe.clone();
    let batches = loader::spawn(
        around.training.clone(),
        (run.step, recipe.steps),
        recipe.batch,
        BATCHES_AHEAD,
        move |step| sides.side_at(step),
    )
    .map_err(DetectorError::Thread)?;
    let mut meter = Meter::new();
    while run.step < recipe.steps {
        let waited = Instant::now();
        let batch = batches.recv().map_err(|_| DetectorError::Loader { step: run.step })?;
        let waited = waited.elapsed().as_secs_f64();
        let (executor, net) = match (&reduced, small) {
            (Some(executor), Some(net)) if batch.side != recipe.side => (executor, net),
            _ => (&full, network),
        };
        let parts = run.learn(executor, net, &batch)?;
        meter.add(parts, recipe.batch, waited);
        if run.step.is_multiple_of(20) || run.step == recipe.steps {
            (around.report)(&meter.take(run.step));
        }
        if run.step.is_multiple_of(recipe.validate_every) || run.step == recipe.steps {
            run.validate(&full, network, &truth_batches, around)?;
            run.save(around.checkpoint)?;
            meter = Meter::new();
        }
    }
    Ok(run.best_map50)
}

/// The first `count` samples of `source`, in batches for scoring.
pub fn batches(source: &dyn Source, count: usize, side: usize) -> Vec<Batch> {
    let starts = (0..count).step_by(VALIDATION_BATCH);
    starts
        .map(|first| loader::batch(source, first as u64, VALIDATION_BATCH.min(count - first), side))
        .collect()
}

/// Scores a finished network.
///
/// # Errors
/// [`DetectorError`] when the network does not run.
pub fn score(network: &Network, batches: &[Batch]) -> Result<Score, DetectorError> {
    let weights = network.graph.weights.iter().map(|w| load_weight(w, Device::Cpu, Kind::Float));
    let weights = weights.collect::<Result<Vec<_>, TchError>>()?;
    evaluate(&Executor::try_new(network.graph.clone())?, network, &weights, batches)
}

/// Pictures as an input of the network, 0 to 1, channels last in memory.
pub fn pictures(batch: &Batch) -> Result<Tensor, TchError> {
    let (n, side) = (batch.truth.len() as i64, batch.side as i64);
    let bytes = Tensor::f_from_slice(&batch.rgb)?.f_reshape([n, side, side, 3])?.f_permute([0, 3, 1, 2])?;
    bytes.f_to_kind(Kind::Float)?.f_div_scalar(255.0)
}

fn evaluate(
    executor: &Executor,
    network: &Network,
    weights: &[Tensor],
    batches: &[Batch],
) -> Result<Score, DetectorError> {
    let _no_grad = tch::no_grad_guard();
    let mut scorer = DetectorScorer::new(&network.heads, network.classes);
    for batch in batches {
        let outputs = executor.run(weights, &[pictures(batch)?], Mode::default())?;
        let outputs: Vec<Vec<f32>> = outputs.iter().map(yolo::floats).collect::<Result<_, _>>()?;
        for (picture, truth) in batch.truth.iter().enumerate() {
            let own = |output: &'_ Vec<f32>| {
                let len = output.len() / batch.truth.len();
                picture * len..(picture + 1) * len
            };
            let raw: Vec<&[f32]> = outputs.iter().map(|output| &output[own(output)]).collect();
            scorer.add(&raw, truth)?;
        }
    }
    Ok(scorer.score())
}

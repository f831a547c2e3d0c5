//! Trains a YOLO detector on a stream of samples.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use autotiler_core::{average_precision::Score, yolo::DecodeError};
use autotiler_graph::{Graph, Weight};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    checkpoint::{self, CheckpointError},
    loader::{self, Batch, Source},
    optimizer::{AdamW, Average, RunningClip, Schedule},
    score::DetectorScorer,
    yolo::{self, HeadLayout},
};
use crate::{
    engine::load_weight,
    executor::{Executor, ExecutorError, Mode},
    parameters::Parameters,
};

/// Weight of the newest batch in the running statistics.
const BATCH_NORM_MOMENTUM: f64 = 0.03;
/// Batches made ahead of the training.
const BATCHES_AHEAD: usize = 4;
/// Pictures scored at once.
const VALIDATION_BATCH: usize = 16;
/// Tensors of a checkpoint.
const TENSORS: [&str; 6] =
    ["flat", "statistics", "average.flat", "average.statistics", "adam.first", "adam.second"];

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

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// One step is made.
    Step {
        /// Steps made.
        step: u64,
        /// Loss per object, mean since the last report.
        loss: f64,
        /// Objectness, class and box parts of it.
        parts: [f64; 3],
        /// Pictures trained on per second since the last report.
        images_per_s: f64,
        /// Share of the time spent waiting for pictures.
        waiting: f64,
    },
    /// The averaged weights are scored.
    Validated {
        /// Steps made.
        step: u64,
        /// Mean average precision at IoU 0.5, score threshold 0.005.
        map50: f64,
        /// Of each class; `None` where no object was.
        per_class: Vec<Option<f64>>,
        /// Whether it is the best so far.
        best: bool,
    },
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

#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    step: u64,
    best_map50: f64,
    mean_norm: f64,
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

/// A run in memory.
struct Run {
    recipe: Recipe,
    parameters: Parameters,
    adam: AdamW,
    clip: RunningClip,
    average: Average,
    average_statistics: Average,
    step: u64,
    best_map50: f64,
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

impl Run {
    fn start(recipe: &Recipe, graph: &Graph, checkpoint: &Path) -> Result<Self, DetectorError> {
        let parameters = Parameters::try_new(graph, Device::Cpu, |_| true)?;
        let is_kernel = |weight: &Weight| weight.dims.len() == 4;
        let decay = |weight: &Weight| if is_kernel(weight) { recipe.weight_decay } else { 0.0 };
        let decay = parameters.per_weight(graph, decay)?;
        let mut run = Self {
            recipe: recipe.clone(),
            adam: AdamW::try_new(parameters.flat(), (0.9, 0.99), Some(decay))?,
            clip: RunningClip::new(2.0),
            average: Average::try_new(parameters.flat(), recipe.average_keep)?,
            average_statistics: Average::try_new(parameters.statistics(), recipe.average_keep)?,
            parameters,
            step: 0,
            best_map50: 0.0,
        };
        if checkpoint.exists() {
            run.resume(checkpoint)?;
        }
        Ok(run)
    }

    fn resume(&mut self, path: &Path) -> Result<(), DetectorError> {
        let (state, tensors): (State, _) = checkpoint::load(path, &TENSORS, Device::Cpu)?;
        // A run may be made longer: the schedule goes on from where its new length has it.
        let longer = Recipe {
            steps: state.recipe.steps.max(self.recipe.steps),
            warm_up_steps: self.recipe.warm_up_steps,
            ..state.recipe.clone()
        };
        if longer != self.recipe {
            return Err(DetectorError::OtherRun { path: path.to_owned() });
        }
        let _no_grad = tch::no_grad_guard();
        for (mut held, read) in self.tensors().into_iter().zip(&tensors) {
            held.f_copy_(read)?;
        }
        (self.step, self.adam.steps) = (state.step, state.step);
        (self.best_map50, self.clip.mean_norm) = (state.best_map50, state.mean_norm);
        Ok(())
    }

    /// In the order of [`TENSORS`].
    fn tensors(&self) -> [Tensor; 6] {
        [
            self.parameters.flat(),
            self.parameters.statistics(),
            &self.average.values,
            &self.average_statistics.values,
            &self.adam.first,
            &self.adam.second,
        ]
        .map(Tensor::shallow_clone)
    }

    fn save(&self, path: &Path) -> Result<(), DetectorError> {
        let tensors = self.tensors();
        let named: Vec<(&str, &Tensor)> = TENSORS.into_iter().zip(&tensors).collect();
        let state = State {
            recipe: self.recipe.clone(),
            step: self.step,
            best_map50: self.best_map50,
            mean_norm: self.clip.mean_norm,
        };
        Ok(checkpoint::save(path, &named, &state)?)
    }

    /// One step; the parts of the loss.
    fn learn(
        &mut self,
        executor: &Executor,
        network: &Network,
        batch: &Batch,
    ) -> Result<[f64; 3], DetectorError> {
        let mode = Mode { batch_norm_momentum: Some(BATCH_NORM_MOMENTUM), straight_through: true };
        let outputs = executor.run(&self.parameters.weights()?, &[pictures(batch)?], mode)?;
        let loss = yolo::loss(&outputs, &network.heads, network.classes, &batch.truth)?;
        let total = loss.total.f_double_value(&[])?;
        if !total.is_finite() {
            return Err(DetectorError::Diverged { step: self.step, loss: total });
        }
        let flat = self.parameters.flat();
        let gradient = Tensor::f_run_backward(&[&loss.total], &[flat], false, false)?;
        let Some(gradient) = gradient.first() else {
            return Err(DetectorError::Diverged { step: self.step, loss: f64::NAN });
        };
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        if !norm.is_finite() {
            return Err(DetectorError::Diverged { step: self.step, loss: norm });
        }
        let gradient = gradient.f_mul_scalar(self.clip.scale(norm))?;
        let schedule = Schedule {
            peak: self.recipe.learning_rate,
            warm_up_steps: self.recipe.warm_up_steps,
            steps: self.recipe.steps,
            final_share: 0.02,
        };
        self.adam.step(flat, &gradient, schedule.rate(self.step))?;
        self.step += 1;
        self.average.follow(self.parameters.flat(), self.step)?;
        self.average_statistics.follow(self.parameters.statistics(), self.step)?;
        let [objectness, class, boxes] = &loss.parts;
        Ok([objectness.f_double_value(&[])?, class.f_double_value(&[])?, boxes.f_double_value(&[])?])
    }

    fn validate(
        &mut self,
        executor: &Executor,
        network: &Network,
        batches: &[Batch],
        around: &mut Surroundings<'_>,
    ) -> Result<(), DetectorError> {
        let (flat, statistics) = (&self.average.values, &self.average_statistics.values);
        let weights = tch::no_grad(|| self.parameters.views(flat, statistics))?;
        let Score { map50, per_class, .. } = evaluate(executor, network, &weights, batches)?;
        let best = map50 >= self.best_map50;
        if best {
            self.best_map50 = map50;
            let averaged = self.parameters.write_into(&network.graph, flat, statistics)?;
            (around.export)(&averaged).map_err(DetectorError::Export)?;
        }
        (around.report)(&Progress::Validated { step: self.step, map50, per_class, best });
        Ok(())
    }
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

/// Sums between two reports.
struct Meter {
    since: Instant,
    parts: [f64; 3],
    steps: f64,
    images: f64,
    waited: f64,
}

impl Meter {
    fn new() -> Self {
        Self { since: Instant::now(), parts: [0.0; 3], steps: 0.0, images: 0.0, waited: 0.0 }
    }

    fn add(&mut self, parts: [f64; 3], images: usize, waited: f64) {
        for (sum, part) in self.parts.iter_mut().zip(parts) {
            *sum += part;
        }
        self.steps += 1.0;
        self.images += images as f64;
        self.waited += waited;
    }

    fn take(&mut self, step: u64) -> Progress {
        let span = self.since.elapsed().as_secs_f64().max(1e-9);
        let parts = self.parts.map(|sum| sum / self.steps.max(1.0));
        let report = Progress::Step {
            step,
            loss: parts.iter().sum(),
            parts,
            images_per_s: self.images / span,
            waiting: self.waited / span,
        };
        *self = Self::new();
        report
    }
}

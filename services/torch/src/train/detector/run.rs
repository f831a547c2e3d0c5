//! A training run in memory: its steps, its validations, and its checkpoint.

use std::path::Path;

use autotiler_core::average_precision::Score;
use autotiler_graph::{Graph, Weight};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{DetectorError, Network, Progress, Recipe, Surroundings, evaluate, pictures};
use crate::{
    executor::{Executor, Mode},
    parameters::Parameters,
    train::{
        checkpoint,
        loader::Batch,
        optimizer::{AdamW, Average, RunningClip, Schedule},
        yolo,
    },
};

/// Weight of the newest batch in the running statistics.
const BATCH_NORM_MOMENTUM: f64 = 0.03;
/// Tensors of a checkpoint.
const TENSORS: [&str; 6] =
    ["flat", "statistics", "average.flat", "average.statistics", "adam.first", "adam.second"];

#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    step: u64,
    best_map50: f64,
    mean_norm: f64,
}

/// A run in memory.
pub(super) struct Run {
    recipe: Recipe,
    parameters: Parameters,
    adam: AdamW,
    clip: RunningClip,
    average: Average,
    average_statistics: Average,
    pub(super) step: u64,
    pub(super) best_map50: f64,
}

impl Run {
    pub(super) fn start(recipe: &Recipe, graph: &Graph, checkpoint: &Path) -> Result<Self, DetectorError> {
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

    pub(super) fn save(&self, path: &Path) -> Result<(), DetectorError> {
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
    pub(super) fn learn(
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

    pub(super) fn validate(
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

//! What learns in a run that validates and can be resumed: flat weights, their optimiser, and the best so far.

use std::path::Path;

use autotiler_graph::Graph;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tch::{Device, TchError, Tensor};

use super::{
    checkpoint,
    optimizer::{AdamW, RunningClip, Schedule},
    tiler::TilerTrainingError,
};
use crate::parameters::Parameters;

/// Share of the highest learning rate at the end.
pub(super) const FINAL_SHARE: f64 = 0.02;
/// Means of gradients and of their squares forget at these rates.
const BETAS: (f64, f64) = (0.9, 0.99);
/// Gradients longer than this multiple of the usual are shortened to it.
const LONGEST: f64 = 1.5;
/// Tensors of a checkpoint.
const TENSORS: [&str; 4] = ["flat", "best", "adam.first", "adam.second"];

/// See the module.
pub(super) struct Learner {
    pub(super) parameters: Parameters,
    adam: AdamW,
    clip: RunningClip,
    schedule: Schedule,
    best: Tensor,
    reached: Reached,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reached {
    step: u64,
    mean_norm: f64,
    best_score: f64,
    best_step: u64,
}

/// What a checkpoint says beside the tensors: the run's own words, and how far it is.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<S> {
    #[serde(flatten)]
    own: S,
    #[serde(flatten)]
    reached: Reached,
}

impl Learner {
    /// Starts at the values of `parameters`; `pace` is each value's factor on the learning rate.
    pub(super) fn try_new(
        parameters: Parameters,
        pace: Option<Tensor>,
        schedule: Schedule,
    ) -> Result<Self, TchError> {
        let adam = AdamW::try_new(parameters.flat(), BETAS, None)?;
        let adam = match pace {
            Some(pace) => adam.with_pace(pace),
            None => adam,
        };
        let best = parameters.flat().f_detach()?.f_detach_copy()?;
        let reached = Reached { step: 0, mean_norm: 0.0, best_score: f64::INFINITY, best_step: 0 };
        Ok(Self { parameters, adam, clip: RunningClip::new(LONGEST), schedule, best, reached })
    }

    /// Steps made.
    pub(super) fn step(&self) -> u64 {
        self.reached.step
    }

    /// Whether all steps are made, or validation got no better for `patience` steps.
    pub(super) fn is_finished(&self, patience: u64) -> bool {
        let stuck = self.reached.step.saturating_sub(self.reached.best_step) >= patience.max(1);
        stuck || self.reached.step >= self.schedule.steps
    }

    /// The error of a loss that is no number any more.
    pub(super) fn diverged(&self, loss: f64) -> TilerTrainingError {
        TilerTrainingError::Diverged { step: self.reached.step, loss }
    }

    fn finite(&self, value: f64) -> Result<f64, TilerTrainingError> {
        if value.is_finite() { Ok(value) } else { Err(self.diverged(value)) }
    }

    /// One step of the optimiser against the gradient of `loss`.
    pub(super) fn descend(&mut self, loss: &Tensor) -> Result<(), TilerTrainingError> {
        self.finite(loss.f_double_value(&[])?)?;
        let flat = self.parameters.flat();
        let gradient = Tensor::f_run_backward(&[loss], &[flat], false, false)?.swap_remove(0);
        let norm = self.finite(gradient.f_norm()?.f_double_value(&[])?)?;
        let gradient = gradient.f_mul_scalar(self.clip.scale(norm))?;
        self.adam.step(flat, &gradient, self.schedule.rate(self.reached.step))?;
        self.reached.step += 1;
        Ok(())
    }

    /// Takes the validation score of the weights as they are, of which less is better, and remembers them if it
    /// is the best; whether it is.
    pub(super) fn judge(&mut self, score: f64) -> Result<bool, TilerTrainingError> {
        self.finite(score)?;
        let best = score < self.reached.best_score;
        if best {
            (self.reached.best_score, self.reached.best_step) = (score, self.reached.step);
            self.best = self.parameters.flat().f_detach()?.f_detach_copy()?;
        }
        Ok(best)
    }

    /// `graph` with the weights that validated best.
    pub(super) fn best_into(&self, graph: &Graph) -> Result<Graph, TchError> {
        self.parameters.write_into(graph, &self.best, self.parameters.statistics())
    }

    fn tensors(&self) -> [Tensor; 4] {
        [self.parameters.flat(), &self.best, &self.adam.first, &self.adam.second].map(Tensor::shallow_clone)
    }

    /// Writes the checkpoint, with what the run itself says.
    pub(super) fn save<S: Serialize>(&mut self, path: &Path, own: &S) -> Result<(), TilerTrainingError> {
        self.reached.mean_norm = self.clip.mean_norm;
        let tensors = self.tensors();
        let named: Vec<(&str, &Tensor)> = TENSORS.into_iter().zip(&tensors).collect();
        Ok(checkpoint::save(path, &named, &Kept { own, reached: self.reached })?)
    }

    /// Goes on from the checkpoint if it is of the `same` run; what the run itself said.
    pub(super) fn resume<S: DeserializeOwned>(
        &mut self,
        path: &Path,
        same: impl FnOnce(&S) -> bool,
    ) -> Result<S, TilerTrainingError> {
        let (kept, tensors): (Kept<S>, _) = checkpoint::load(path, &TENSORS, Device::Cpu)?;
        let held = self.tensors();
        let fits = held.iter().zip(&tensors).all(|(held, read)| held.size() == read.size());
        if !fits || !same(&kept.own) {
            return Err(TilerTrainingError::OtherRun { path: path.to_owned() });
        }
        let _no_grad = tch::no_grad_guard();
        for (mut held, read) in held.into_iter().zip(&tensors) {
            held.f_copy_(read)?;
        }
        self.reached = kept.reached;
        (self.clip.mean_norm, self.adam.steps) = (self.reached.mean_norm, self.reached.step);
        Ok(kept.own)
    }
}

/// Numbers of mean 0 and variance 1: sums of twelve uniform ones, near enough to normal.
pub(super) fn normal(mut rng: ChaCha8Rng) -> impl FnMut() -> f32 {
    move || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
}

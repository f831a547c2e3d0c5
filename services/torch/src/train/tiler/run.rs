//! One tiler in training: its weights, the optimiser, and what a checkpoint keeps of them.

use std::path::Path;

use autotiler_core::Gain;
use autotiler_graph::{
    Graph, Weight,
    tiler::{Lite, LiteShape, is_constant},
};
use autotiler_model::{WeightsError, restorer};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    Course, Progress, Recipe, Scored, TilerTrainingError, draw,
    measure::{emphasis, relative_score},
    rounding::as_stored,
    start::Start,
    trial::Trial,
};
use crate::{
    parameters::Parameters,
    train::{
        checkpoint,
        optimizer::{AdamW, RunningClip, Schedule},
    },
};

/// Weight of the feature map's relative error beside the divergence of the heads.
const FEATURE_WEIGHT: f64 = 5.0;
/// Share of the highest learning rate at the end.
const FINAL_SHARE: f64 = 0.02;
/// Typical size of a weight that the learning rate is meant for; the linear paths have others.
const USUAL_WEIGHT: f64 = 0.25;
/// How fast linear paths learn beside the branches, relative to their weights.
const LINEAR_PACE: f64 = 0.3;
/// Tensors of a checkpoint.
const TENSORS: [&str; 4] = ["flat", "best", "adam.first", "adam.second"];

/// What a checkpoint says beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    layer: u16,
    cr: u16,
    #[serde(default)]
    origin: String,
    step: u64,
    mean_norm: f64,
    start: Vec<Scored>,
    best_score: f64,
    best_step: u64,
}

/// A tiler in training.
pub(super) struct Run {
    recipe: Recipe,
    lite: Lite,
    all: Graph,
    trial: Trial,
    parameters: Parameters,
    adam: AdamW,
    clip: RunningClip,
    best: Tensor,
    state: State,
}

impl Run {
    /// A new run, or the one in the checkpoint.
    pub(super) fn start(
        recipe: &Recipe,
        start: &Start,
        shape: LiteShape,
        course: &mut Course<'_>,
    ) -> Result<Self, TilerTrainingError> {
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        // Sum of twelve uniform numbers: near enough to a normal one.
        let lite =
            Lite::from_klt(&start.klt, shape, || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0)?;
        let lite = lite.with_restorer(&start.deviation, &restorer::shipped()?);
        let trial = Trial::try_new(&lite, course.codec.clone())?;
        let all = trial.all_weights();
        let device = course.teacher.tail.device();
        // Without a branch the device runs the transform as it was fitted.
        let fixed = |name: &str| is_constant(name) || shape.encoder_width == 0 && name.starts_with("tiler.");
        let parameters = Parameters::try_new(&all, device, |w| !fixed(&w.name))?;
        let pace = parameters.per_weight(&all, pace)?;
        let state = State {
            recipe: recipe.clone(),
            layer: lite.spec.layer.0,
            cr: lite.spec.cr.get(),
            origin: course.origin.to_owned(),
            step: 0,
            mean_norm: 0.0,
            start: Vec::new(),
            best_score: f64::INFINITY,
            best_step: 0,
        };
        let mut run = Self {
            recipe: recipe.clone(),
            adam: AdamW::try_new(parameters.flat(), (0.9, 0.99), None)?.with_pace(pace),
            clip: RunningClip::new(1.5),
            best: parameters.flat().f_detach()?.f_detach_copy()?,
            parameters,
            trial,
            lite,
            all,
            state,
        };
        if course.checkpoint.exists() {
            run.resume(course.checkpoint)?;
        } else {
            run.validate(course)?;
        }
        Ok(run)
    }

    /// Steps made.
    pub(super) fn step(&self) -> u64 {
        self.state.step
    }

    /// Whether all steps are made, or validation got no better for too long.
    pub(super) fn is_finished(&self) -> bool {
        let patience = u64::from(self.recipe.patience) * self.recipe.validate_every;
        let stuck = self.state.step.saturating_sub(self.state.best_step) >= patience.max(1);
        stuck || self.state.step >= self.recipe.steps
    }

    /// One step: mean divergence, feature error and bits.
    pub(super) fn learn(&mut self, course: &Course<'_>) -> Result<[f64; 3], TilerTrainingError> {
        let numbers = draw::numbers(&self.recipe, self.state.step, course.training.len());
        let gains = draw::gains(&self.recipe, self.state.step);
        let device = course.teacher.tail.device();
        let batch = course.training.batch(&numbers)?.to_device(device)?;
        let weights = self.as_stored()?;
        let heard = self.trial.listen(&weights, course.teacher, &batch, &gains)?;
        let emphasis = Tensor::f_from_slice(&emphasis(&gains, &self.state.start))?.f_to_device(device)?;
        let loss = heard.divergence.f_mul(&emphasis)?.f_mean(Kind::Float)?;
        let loss = loss.f_add(&heard.feature_error.f_mul_scalar(FEATURE_WEIGHT)?)?;
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            return Err(self.diverged(value));
        }
        let flat = self.parameters.flat();
        let gradient = Tensor::f_run_backward(&[&loss], &[flat], false, false)?.swap_remove(0);
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        if !norm.is_finite() {
            return Err(self.diverged(norm));
        }
        let gradient = gradient.f_mul_scalar(self.clip.scale(norm))?;
        self.adam.step(flat, &gradient, self.schedule().rate(self.state.step))?;
        self.state.step += 1;
        Ok([
            heard.divergence.f_mean(Kind::Float)?.f_double_value(&[])?,
            heard.feature_error.f_double_value(&[])?,
            heard.mean_bits(),
        ])
    }

    fn diverged(&self, loss: f64) -> TilerTrainingError {
        TilerTrainingError::Diverged { step: self.state.step, loss }
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.recipe.learning_rate,
            warm_up_steps: self.recipe.warm_up_steps,
            steps: self.recipe.steps,
            final_share: FINAL_SHARE,
        }
    }

    /// The weights as they would be if they were stored now; gradients pass the rounding.
    fn as_stored(&self) -> Result<Vec<Tensor>, TilerTrainingError> {
        as_stored(&self.parameters, &self.all, self.recipe.precision).map_err(|error| match error {
            TilerTrainingError::Rounding(WeightsError::NotFinite(_)) => self.diverged(f64::NAN),
            other => other,
        })
    }

    /// Scores the weights as they are now, and remembers them if they are the best.
    pub(super) fn validate(&mut self, course: &mut Course<'_>) -> Result<(), TilerTrainingError> {
        let weights = self.as_stored()?;
        let (teacher, lessons) = (course.teacher, course.validation);
        let score = |&gain: &Gain| self.trial.score(&weights, teacher, lessons, gain, self.recipe.batch);
        let points = self.recipe.validation_gains.iter().map(score).collect::<Result<Vec<_>, _>>()?;
        if self.state.start.is_empty() {
            self.state.start.clone_from(&points);
        }
        let score = relative_score(&points, &self.state.start);
        if !score.is_finite() {
            return Err(self.diverged(score));
        }
        let best = score < self.state.best_score;
        if best {
            (self.state.best_score, self.state.best_step) = (score, self.state.step);
            self.best = self.parameters.flat().f_detach()?.f_detach_copy()?;
        }
        (course.report)(&Progress::Validated { step: self.state.step, points, score, best });
        Ok(())
    }

    /// The tiler that validated best.
    pub(super) fn best_tiler(&self) -> Result<Lite, TilerTrainingError> {
        let written = self.parameters.write_into(&self.all, &self.best, self.parameters.statistics())?;
        let learned = |weight: &Weight| {
            let found = written.weights.iter().find(|w| w.name == weight.name);
            found.cloned().unwrap_or_else(|| weight.clone())
        };
        let weights = self.lite.weights.iter().map(learned).collect();
        Ok(Lite { weights, ..self.lite.clone() })
    }

    fn tensors(&self) -> [Tensor; 4] {
        [self.parameters.flat(), &self.best, &self.adam.first, &self.adam.second].map(Tensor::shallow_clone)
    }

    /// Writes the checkpoint.
    pub(super) fn save(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        self.state.mean_norm = self.clip.mean_norm;
        let tensors = self.tensors();
        let named: Vec<(&str, &Tensor)> = TENSORS.into_iter().zip(&tensors).collect();
        Ok(checkpoint::save(path, &named, &self.state)?)
    }

    fn resume(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        let (state, tensors): (State, _) = checkpoint::load(path, &TENSORS, Device::Cpu)?;
        let of = |s: &State| (s.recipe.clone(), s.layer, s.cr, s.origin.clone());
        let held = self.tensors();
        let fits = held.iter().zip(&tensors).all(|(held, read)| held.size() == read.size());
        if of(&state) != of(&self.state) || !fits {
            return Err(TilerTrainingError::OtherRun { path: path.to_owned() });
        }
        let _no_grad = tch::no_grad_guard();
        for (mut held, read) in held.into_iter().zip(&tensors) {
            held.f_copy_(read)?;
        }
        (self.clip.mean_norm, self.adam.steps) = (state.mean_norm, state.step);
        self.state = state;
        Ok(())
    }
}

/// How fast a weight learns beside the usual ones, so that each changes by a like share of itself.
fn pace(weight: &Weight) -> f64 {
    if !weight.name.contains(".linear.") || weight.values.is_empty() {
        return 1.0;
    }
    let squares: f64 = weight.values.iter().map(|&v| f64::from(v).powi(2)).sum();
    LINEAR_PACE * (squares / weight.values.len() as f64).sqrt() / USUAL_WEIGHT
}

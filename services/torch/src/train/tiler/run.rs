//! One tiler in training: its weights, the optimiser, and what a checkpoint keeps of them.

use std::path::Path;

use autotiler_core::Gain;
use autotiler_graph::{
    Graph, Weight,
    tiler::{Lite, LiteShape, is_constant, renewed},
};
use autotiler_model::{WeightsError, restorer};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    Course, Progress, Recipe, Scored, TilerTrainingError, draw, importance,
    measure::{emphasis, relative_score},
    rounding::as_stored,
    start::Start,
    trial::Trial,
};
use crate::{
    parameters::Parameters,
    train::{
        learner::{FINAL_SHARE, Learner, normal},
        optimizer::Schedule,
    },
};

/// Weight of the feature map's relative error beside the divergence of the heads.
const FEATURE_WEIGHT: f64 = 5.0;
/// Typical size of a weight that the learning rate is meant for; the linear paths have others.
const USUAL_WEIGHT: f64 = 0.25;
/// How fast linear paths learn beside the branches, relative to their weights.
const LINEAR_PACE: f64 = 0.3;

/// What a checkpoint says beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    layer: u16,
    cr: u16,
    #[serde(default)]
    origin: String,
    start: Vec<Scored>,
}

/// A tiler in training.
pub(super) struct Run {
    recipe: Recipe,
    lite: Lite,
    all: Graph,
    trial: Trial,
    learner: Learner,
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
        let mut lite = Lite::from_klt(&start.klt, shape, normal(ChaCha8Rng::seed_from_u64(recipe.seed)))?;
        if let Some(shape) = lite.shape.importance {
            let report = &mut *course.report;
            let learned = importance::learn(
                &start.klt,
                shape,
                (recipe.importance_steps, recipe.seed),
                (course.teacher, course.training),
                course.stop,
                &mut |step, of, loss| report(&Progress::Importance { step, of, loss }),
            )?;
            lite = lite.with_importance(&learned);
        }
        let lite = lite.with_restorer(&start.deviation, &restorer::shipped()?);
        let trial = Trial::try_new(&lite, course.codec.clone())?;
        let all = trial.all_weights();
        let device = course.teacher.tail.device();
        // The device has learned already what it is to know.
        let fixed = |name: &str| is_constant(name) || name.starts_with("tiler.");
        let parameters = Parameters::try_new(&all, device, |w| !fixed(&w.name))?;
        let pace = parameters.per_weight(&all, pace)?;
        let state = State {
            recipe: recipe.clone(),
            layer: lite.spec.layer.0,
            cr: lite.spec.cr.get(),
            origin: course.origin.to_owned(),
            start: Vec::new(),
        };
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warm_up_steps: recipe.warm_up_steps,
            steps: recipe.steps,
            final_share: FINAL_SHARE,
        };
        let mut run = Self {
            recipe: recipe.clone(),
            learner: Learner::try_new(parameters, Some(pace), schedule)?,
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
        self.learner.step()
    }

    /// Whether all steps are made, or validation got no better for too long.
    pub(super) fn is_finished(&self) -> bool {
        let patience = u64::from(self.recipe.patience) * self.recipe.validate_every;
        self.learner.is_finished(patience)
    }

    /// One step: mean divergence, feature error and bits.
    pub(super) fn learn(&mut self, course: &Course<'_>) -> Result<[f64; 3], TilerTrainingError> {
        let numbers = draw::numbers(&self.recipe, self.learner.step(), course.training.len());
        let gains = draw::gains(&self.recipe, self.learner.step());
        let device = course.teacher.tail.device();
        let batch = course.training.batch(&numbers)?.to_device(device)?;
        let weights = self.as_stored()?;
        let heard = self.trial.listen(&weights, course.teacher, &batch, &gains)?;
        let emphasis = Tensor::f_from_slice(&emphasis(&gains, &self.state.start))?.f_to_device(device)?;
        let loss = heard.divergence.f_mul(&emphasis)?.f_mean(Kind::Float)?;
        let loss = loss.f_add(&heard.feature_error.f_mul_scalar(FEATURE_WEIGHT)?)?;
        self.learner.descend(&loss)?;
        Ok([
            heard.divergence.f_mean(Kind::Float)?.f_double_value(&[])?,
            heard.feature_error.f_double_value(&[])?,
            heard.mean_bits(),
        ])
    }

    /// The weights as they would be if they were stored now; gradients pass the rounding.
    fn as_stored(&self) -> Result<Vec<Tensor>, TilerTrainingError> {
        as_stored(&self.learner.parameters, &self.all, self.recipe.precision).map_err(|error| match error {
            TilerTrainingError::Rounding(WeightsError::NotFinite(_)) => self.learner.diverged(f64::NAN),
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
        let best = self.learner.judge(score)?;
        (course.report)(&Progress::Validated { step: self.learner.step(), points, score, best });
        Ok(())
    }

    /// The tiler that validated best.
    pub(super) fn best_tiler(&self) -> Result<Lite, TilerTrainingError> {
        let written = self.learner.best_into(&self.all)?;
        Ok(Lite { weights: renewed(&self.lite.weights, &written.weights), ..self.lite.clone() })
    }

    /// Writes the checkpoint.
    pub(super) fn save(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        self.learner.save(path, &self.state)
    }

    fn resume(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        let of = |s: &State| (s.recipe.clone(), s.layer, s.cr, s.origin.clone());
        let own = of(&self.state);
        self.state = self.learner.resume(path, |state| of(state) == own)?;
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

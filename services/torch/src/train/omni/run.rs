//! The restorer in training: its weights, the optimiser, and what a checkpoint keeps of them.

use std::path::Path;

use autotiler_core::Gain;
use autotiler_graph::{
    Graph,
    tiler::{AutoTiler as _, Restorer},
};
use rand::{Rng as _, SeedableRng as _, seq::index};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{OmniCourse, OmniProgress, OmniTraining, SubjectScore, subject::Desk};
use crate::{
    parameters::Parameters,
    train::{
        learner::{FINAL_SHARE, Learner, normal},
        optimizer::Schedule,
        tiler::{
            Scored, TilerTrainingError,
            measure::{interpolate, relative_score},
        },
    },
};

/// What a checkpoint says beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: OmniTraining,
    /// Names of all subjects, and what the caller says.
    origin: String,
    /// Of all subjects, without a restorer.
    start: Vec<Vec<Scored>>,
}

/// A restorer in training.
pub(super) struct Run<'a> {
    recipe: OmniTraining,
    /// Subjects that are learned from, then those that are not.
    desks: Vec<Desk<'a>>,
    learned: usize,
    all: Graph,
    learner: Learner,
    state: State,
}

impl<'a> Run<'a> {
    /// A new run, or the one in the checkpoint.
    pub(super) fn start(
        recipe: &OmniTraining,
        course: &mut OmniCourse<'a>,
    ) -> Result<Self, TilerTrainingError> {
        let restorer = Restorer::untrained(recipe.width, normal(ChaCha8Rng::seed_from_u64(recipe.seed)));
        let subjects = || course.subjects.iter().chain(course.unseen);
        let desks = subjects().map(|subject| Desk::try_new(subject, &restorer, course.codec.clone()));
        let desks = desks.collect::<Result<Vec<_>, _>>()?;
        let device = desks.first().map_or(Device::Cpu, Desk::device);
        let all = Graph { weights: restorer.weights().to_vec(), ..Graph::default() };
        let parameters = Parameters::try_new(&all, device, |_| true)?;
        let origin =
            subjects().map(|subject| format!("{}; ", subject.name)).collect::<String>() + course.origin;
        let state = State { recipe: recipe.clone(), origin, start: Vec::new() };
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warm_up_steps: recipe.warm_up,
            steps: recipe.steps,
            final_share: FINAL_SHARE,
        };
        let mut run = Self {
            recipe: recipe.clone(),
            learned: course.subjects.len(),
            desks,
            learner: Learner::try_new(parameters, None, schedule)?,
            all,
            state,
        };
        if course.checkpoint.exists() {
            run.resume(course.checkpoint)?;
        } else {
            run.validate(course.report)?;
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

    /// One step on one subject: divergence and feature error in shares of those without the restorer.
    pub(super) fn learn(&mut self) -> Result<[f64; 2], TilerTrainingError> {
        let step = self.learner.step();
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed ^ ((step + 1) << 16));
        let shared = self.learner.parameters.weights()?;
        let turn = (step % self.learned.max(1) as u64) as usize;
        let desk = &mut self.desks[turn];
        let len = desk.subject.training.len();
        let numbers = index::sample(&mut rng, len, self.recipe.batch.clamp(1, len)).into_vec();
        let (Gain(low), Gain(high)) = self.recipe.gains;
        let gains: Vec<Gain> = numbers.iter().map(|_| Gain(rng.random_range(low..=high.max(low)))).collect();
        let mut normal = normal(ChaCha8Rng::seed_from_u64(rng.random()));
        let octaves = self.recipe.deviation_jitter as f32;
        let jitter: Vec<f32> = (0..desk.subject.omni.spec().maps).map(|_| octaves * normal()).collect();

        let heard = desk.listen(&shared, &numbers, &gains, &jitter)?;
        let device = desk.device();
        let shares = expected(&desk.start, &gains, |scored| scored.divergence);
        let shares = Tensor::f_from_slice(&shares)?.f_to_device(device)?;
        let divergence = heard.divergence.f_div(&shares)?.f_mean(Kind::Float)?;
        let errors = expected(&desk.start, &gains, |scored| scored.feature_error);
        let error = errors.iter().map(|&e| f64::from(e)).sum::<f64>() / errors.len().max(1) as f64;
        let feature_error = heard.feature_error.f_div_scalar(error.max(1e-9))?;
        let loss = divergence.f_add(&feature_error.f_mul_scalar(self.recipe.feature_weight)?)?;
        self.learner.descend(&loss)?;
        Ok([divergence.f_double_value(&[])?, feature_error.f_double_value(&[])?])
    }

    /// Scores the weights as they are now on all subjects, and remembers them if they are the best.
    pub(super) fn validate(
        &mut self,
        report: &mut dyn FnMut(&OmniProgress),
    ) -> Result<(), TilerTrainingError> {
        let shared = self.learner.parameters.weights()?;
        let mut subjects = Vec::new();
        for (number, desk) in self.desks.iter_mut().enumerate() {
            let points = desk.score(&shared, &self.recipe.validation_gains, self.recipe.batch)?;
            if desk.start.is_empty() {
                desk.start.clone_from(&points);
            }
            let score = relative_score(&points, &desk.start);
            let (subject, unseen) = (desk.subject.name.clone(), number >= self.learned);
            subjects.push(SubjectScore { subject, unseen, points, score });
        }
        self.state.start = self.desks.iter().map(|desk| desk.start.clone()).collect();
        let seen = subjects.iter().filter(|subject| !subject.unseen);
        let score = seen.map(|subject| subject.score).sum::<f64>() / self.learned.max(1) as f64;
        let best = self.learner.judge(score)?;
        report(&OmniProgress::Validated { step: self.learner.step(), subjects, score, best });
        Ok(())
    }

    /// The restorer that validated best.
    pub(super) fn best_restorer(&self) -> Result<Restorer, TilerTrainingError> {
        let written = self.learner.best_into(&self.all)?;
        Ok(Restorer::from_weights(&written.weights))
    }

    /// Writes the checkpoint.
    pub(super) fn save(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        self.learner.save(path, &self.state)
    }

    fn resume(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        let (recipe, origin, desks) = (&self.recipe, &self.state.origin, self.desks.len());
        let same =
            |state: &State| state.recipe == *recipe && state.origin == *origin && state.start.len() == desks;
        let state = self.learner.resume(path, same)?;
        self.desks.iter_mut().zip(&state.start).for_each(|(desk, start)| desk.start.clone_from(start));
        self.state = state;
        Ok(())
    }
}

/// What is to be expected without the restorer at each gain.
fn expected(start: &[Scored], gains: &[Gain], of: fn(&Scored) -> f64) -> Vec<f32> {
    let mut curve: Vec<(f64, f64)> =
        start.iter().map(|point| (f64::from(point.gain.0), of(point).max(1e-9).ln())).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    gains.iter().map(|gain| interpolate(&curve, f64::from(gain.0)).exp() as f32).collect()
}

//! Trains the restorer that all `omni` tilers share: through the real codec, on what several detectors make of
//! the result at several partition points.

mod gather;
mod recipe;
mod run;
mod subject;

pub use gather::{gather, without_data};
pub use recipe::{OmniRecipe, OmniTraining, TeacherRecipe};
pub use subject::Subject;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use autotiler_graph::tiler::Restorer;
use autotiler_hevc::EncoderOptions;
use serde::{Deserialize, Serialize};

use self::run::Run;
use super::tiler::{Scored, TilerTrainingError};

/// Steps are told of in groups of this many.
const REPORT_EVERY: u64 = 10;

/// How one subject fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectScore {
    /// Its name.
    pub subject: String,
    /// Whether it is never learned from.
    pub unseen: bool,
    /// By gain.
    pub points: Vec<Scored>,
    /// Mean over the gains of the logarithm of the divergence against that without the restorer, at the same
    /// bits: below 0 the restorer helps.
    pub score: f64,
}

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OmniProgress {
    /// Some steps are made.
    Step {
        /// Steps made.
        step: u64,
        /// Mean divergence in shares of that without the restorer.
        divergence: f64,
        /// Feature error in shares of that without the restorer.
        feature_error: f64,
    },
    /// All subjects are scored on pictures that are not learned from.
    Validated {
        /// Steps made; at 0 the restorer does nothing.
        step: u64,
        /// Subjects, those that are learned from first.
        subjects: Vec<SubjectScore>,
        /// Mean score of those that are learned from: what is minimised.
        score: f64,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// What a run works with.
pub struct OmniCourse<'a> {
    /// What is learned from, in turns.
    pub subjects: &'a [Subject],
    /// What is only tried on.
    pub unseen: &'a [Subject],
    /// Settings of the codec in the loop.
    pub codec: EncoderOptions,
    /// Where to keep the state of the run.
    pub checkpoint: &'a Path,
    /// What else the run depends on (networks, pictures): a checkpoint of another origin is refused.
    pub origin: &'a str,
    /// Set from elsewhere to stop at the next step, state saved.
    pub stop: &'a AtomicBool,
    /// Told what happens.
    pub report: &'a mut dyn FnMut(&OmniProgress),
}

/// Trains to the end of the recipe, or until validation gets no better, resuming from the checkpoint where there
/// is one. Returns the restorer that validated best; it does nothing where nothing was better than that.
///
/// # Errors
/// [`TilerTrainingError`].
pub fn train(recipe: &OmniTraining, course: &mut OmniCourse<'_>) -> Result<Restorer, TilerTrainingError> {
    let empty = |pick: fn(&Subject) -> bool| course.subjects.is_empty() || course.subjects.iter().any(pick);
    if empty(|subject| subject.training.is_empty()) {
        return Err(TilerTrainingError::NoPictures("learn from"));
    }
    if empty(|subject| subject.validation.is_empty()) {
        return Err(TilerTrainingError::NoPictures("validate with"));
    }
    let mut run = Run::start(recipe, course)?;
    let mut sums = [0.0; 2];
    while !run.is_finished() {
        let told = run.learn()?;
        sums.iter_mut().zip(told).for_each(|(sum, value)| *sum += value / REPORT_EVERY as f64);
        let step = run.step();
        if step.is_multiple_of(REPORT_EVERY) {
            let [divergence, feature_error] = std::mem::take(&mut sums);
            (course.report)(&OmniProgress::Step { step, divergence, feature_error });
        }
        if step.is_multiple_of(recipe.validate_every.max(1)) || step == recipe.steps {
            run.validate(course.report)?;
            run.save(course.checkpoint)?;
        }
        if course.stop.load(Ordering::Relaxed) {
            run.save(course.checkpoint)?;
            return Err(TilerTrainingError::Stopped { step, checkpoint: course.checkpoint.to_owned() });
        }
    }
    run.best_restorer()
}

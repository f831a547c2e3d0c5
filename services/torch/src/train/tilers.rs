//! Trains all tilers of a network by one recipe: point after point, each skipped when it is done already.

pub mod card;
pub mod done;
mod lite;
pub mod pictures;
pub mod plan;
pub mod school;

pub use done::Done;
pub use pictures::Pictures;
pub use plan::Planned;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use autotiler_core::Digest;
use autotiler_model::{Model, ModelError, TilerKind};
use serde::Serialize;
use tch::Device;

use super::{
    checkpoint::CheckpointError,
    recipe::{Point, RecipeError, RecipeFile, TilerPreset},
    tiler::{Progress, TilerTrainingError, lesson::LessonError, start::StartError},
};

/// What is to be done, and with what.
#[derive(Debug)]
pub struct Job<'a> {
    /// The recipe.
    pub recipe: &'a RecipeFile,
    /// VOC devkit, or `generated`.
    pub data: &'a Path,
    /// Where checkpoints and marks of what is done lie.
    pub work: &'a Path,
    /// Only these points; none means all.
    pub only: &'a [Point],
    /// Forget checkpoints and marks of the points.
    pub fresh: bool,
    /// The ffmpeg program, with libx265.
    pub ffmpeg: PathBuf,
    /// Where tensors live.
    pub device: Device,
    /// Set from elsewhere to stop at the next step.
    pub stop: &'a AtomicBool,
}

/// What a job says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The points, before anything is done.
    Planned {
        /// All points of the job.
        points: Vec<String>,
        /// Those of them that are done already.
        done: Vec<String>,
    },
    /// The detector looks at pictures.
    Pictures {
        /// The set.
        set: String,
        /// Looked at.
        seen: usize,
        /// Of so many.
        of: usize,
    },
    /// A picture that cannot be read, and why.
    Skipped {
        /// All that is known.
        reason: String,
    },
    /// A point begins.
    Point {
        /// Which.
        point: String,
        /// Its place among those that are not done, from 1.
        number: usize,
        /// How many are not done.
        of: usize,
        /// Steps, at most.
        steps: u64,
    },
    /// Something of the point in training.
    Training {
        /// Which.
        point: String,
        /// What.
        progress: Progress,
    },
    /// A tiler is in the model.
    Stored {
        /// Which point.
        point: String,
        /// Which member of the family.
        kind: TilerKind,
        /// Digest of the stored file.
        digest: String,
        /// Divergence of the stored weights against the trained ones, mean over the gains, as a share;
        /// none where nothing was measured.
        rounding: Option<f64>,
        /// Seconds of work in this process.
        seconds: f64,
    },
    /// All is done.
    Done {
        /// The model card.
        card: PathBuf,
        /// The training curves.
        curves: PathBuf,
    },
}

/// Why a job ended early. What was stored before stays.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A point was asked for that the recipe does not have.
    #[error("point {asked} is not in the recipe, which has {}", has.join(", "))]
    NotInRecipe {
        /// As asked for.
        asked: Point,
        /// What there is.
        has: Vec<String>,
    },
    /// The preset has no training here.
    #[error("preset {0} cannot be trained by this program yet")]
    Preset(TilerPreset),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data set.
    #[error("opening the set {set}")]
    Set {
        /// Its name.
        set: String,
        /// Why not.
        #[source]
        source: pictures::PicturesError,
    },
    /// No picture could be read.
    #[error("set {set}: none of its {of} pictures can be read{}", first.as_ref().map(|why| format!("; the first: {why}")).unwrap_or_default())]
    NoPictures {
        /// The set.
        set: String,
        /// How many it names.
        of: usize,
        /// What is wrong with the first.
        first: Option<String>,
    },
    /// The detector could not be asked.
    #[error("asking the detector")]
    Lesson(#[from] LessonError),
    /// The transform.
    #[error("point {point}")]
    Start {
        /// Which.
        point: Point,
        /// Why.
        #[source]
        source: StartError,
    },
    /// A run.
    #[error("point {point} (layer {}, compression ratio {})", point.layer, point.cr)]
    Training {
        /// Which.
        point: Point,
        /// Why.
        #[source]
        source: TilerTrainingError,
    },
    /// Somebody asked to stop while the detector looked at pictures: nothing is lost but that.
    #[error("stopped while looking at pictures")]
    Stopped,
    /// A file of the job.
    #[error("a file of the job")]
    File(#[from] CheckpointError),
    /// A mark of what is done that says nothing.
    #[error("{}: no mark of a finished point; remove it or begin anew with --fresh", path.display())]
    Mark {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        #[source]
        source: serde_json::Error,
    },
}

/// Hears what a job says.
pub type Listener<'a> = dyn FnMut(&Event) + 'a;

/// Trains what the recipe says and is not done yet, storing each tiler in `model` when it is finished.
///
/// # Errors
/// [`JobError`].
pub fn run(model: &mut Model, job: &Job<'_>, hear: &mut Listener<'_>) -> Result<(), JobError> {
    job.recipe.check()?;
    match job.recipe.preset {
        TilerPreset::Lite => lite::run(model, job, hear),
        preset => Err(JobError::Preset(preset)),
    }
}

/// Digest of all that decides what becomes of a point.
pub(super) fn digest(parts: &[&str]) -> Digest {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    autotiler_model::sha256(&parts)
}

/// Whether libtorch's own words, anywhere among the causes, say that the device's memory is full.
pub fn is_out_of_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.to_string().contains("out of memory") {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_is_found_among_the_causes() {
        let torch = tch::TchError::Torch("CUDA out of memory. Tried to allocate 2.00 GiB".to_owned());
        let point = "35:1".parse().unwrap();
        let error = JobError::Training { point, source: TilerTrainingError::Torch(torch) };
        assert!(is_out_of_memory(&error));
        assert!(!is_out_of_memory(&JobError::Stopped));
    }

    #[test]
    fn divergence_names_point_and_step_and_what_to_lower() {
        let source = TilerTrainingError::Diverged { step: 120, loss: f64::NAN };
        let error = JobError::Training { point: "35:1".parse().unwrap(), source };
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains("35:1"));
        assert!(cause.contains("step 120") && cause.contains("learningRate"), "{cause}");
    }
}

//! Why a job ended early.

use std::path::PathBuf;

use autotiler_model::{ModelError, WeightsError};
use autotiler_plot::PlotError;

use super::pictures::PicturesError;
use crate::train::{
    checkpoint::CheckpointError,
    paper::PaperTrainingError,
    recipe::{Point, RecipeError},
    tiler::{TilerTrainingError, lesson::LessonError, start::StartError},
};

/// Why a job ended early. What was stored before stays.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Single points of a preset that trains all of them as one.
    #[error("--only does not go with preset paper: its tilers share their parts and are trained together")]
    Together,
    /// The training of the restorer.
    #[error("the restorer")]
    Omni(#[source] TilerTrainingError),
    /// The paper's tilers.
    #[error("the paper's tilers")]
    Paper(#[from] PaperTrainingError),
    /// The restorer that comes with the program, or the file of a new one.
    #[error("the restorer's weights")]
    Restorer(#[from] WeightsError),
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
        source: PicturesError,
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
    /// A plot of the training curves.
    #[error("drawing the training curves")]
    Plot(#[from] PlotError),
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

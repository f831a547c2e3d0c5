//! What a job says while it goes on.

use std::path::PathBuf;

use autotiler_model::TilerKind;
use serde::Serialize;

use crate::train::{omni::OmniProgress, paper::PaperProgress, tiler::Progress};

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
    /// Something of the paper's tilers in training.
    Paper {
        /// What.
        progress: PaperProgress,
    },
    /// Something of the shared restorer in training.
    Omni {
        /// What.
        progress: OmniProgress,
    },
    /// A tiler is in the model.
    Stored {
        /// Which point.
        point: String,
        /// Which member of the family.
        kind: TilerKind,
        /// Digest of the stored file.
        digest: String,
        /// Divergence of the stored weights against the same in 32 bits, mean over the gains, as a share;
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
        /// Plots of them.
        plots: Vec<PathBuf>,
    },
}

/// Hears what a job says.
pub type Listener<'a> = dyn FnMut(&Event) + 'a;

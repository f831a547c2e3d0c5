//! Trains all tilers of a network by one recipe: point after point, each skipped when it is done already.

pub mod card;
pub mod done;
mod error;
mod event;
mod lite;
mod omni;
mod paper;
pub mod pictures;
pub mod plan;
pub mod school;

pub use done::Done;
pub use error::{JobError, is_out_of_memory};
pub use event::{Event, Listener};
pub use pictures::Pictures;
pub use plan::Planned;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use autotiler_core::Digest;
use autotiler_model::Model;
use tch::Device;

use super::recipe::{Point, RecipeFile, TilerPreset};

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

/// Trains what the recipe says and is not done yet, storing each tiler in `model` when it is finished.
///
/// # Errors
/// [`JobError`].
pub fn run(model: &mut Model, job: &Job<'_>, hear: &mut Listener<'_>) -> Result<(), JobError> {
    job.recipe.check()?;
    match job.recipe.preset {
        TilerPreset::Lite => lite::run(model, job, hear),
        TilerPreset::Paper => paper::run(model, job, hear),
        TilerPreset::Omni => omni::run(model, job, hear),
    }
}

/// Digest of all that decides what becomes of a point.
pub(super) fn digest(parts: &[&str]) -> Digest {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    autotiler_model::sha256(&parts)
}

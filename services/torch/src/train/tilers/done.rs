//! Marks of points that are finished: what was stored, and what became of it on the way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{JobError, Planned};
use crate::train::{
    checkpoint::{CheckpointError, replace_file},
    recipe::Point,
    tiler::{Progress, Scored, trial::Paired},
};

/// One validation of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps made.
    pub step: u64,
    /// By gain.
    pub points: Vec<Scored>,
    /// Mean logarithm of the divergence at equal bits against the start's.
    pub score: f64,
    /// Whether it was the best so far.
    pub best: bool,
}

impl Validation {
    /// The validation that `progress` tells of, if it does.
    pub fn of(progress: &Progress) -> Option<Self> {
        match progress {
            Progress::Validated { step, points, score, best } => {
                Some(Self { step: *step, points: points.clone(), score: *score, best: *best })
            }
            Progress::Importance { .. } | Progress::Step { .. } => None,
        }
    }
}

/// A finished point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Which.
    pub point: String,
    /// Digest of recipe, network and data.
    pub digest: String,
    /// Digest of the tiler in the model.
    pub stored: String,
    /// Bytes of the tiler's file, and of the encoder's weights in it.
    pub bytes: (u64, u64),
    /// Pictures learned from and validated with.
    pub pictures: (usize, usize),
    /// Pictures that could not be read.
    pub skipped: usize,
    /// Seconds of work, all processes together.
    pub seconds: f64,
    /// All validations, the start's first.
    pub curve: Vec<Validation>,
    /// The stored weights, read back, against the same in 32 bits: picture by picture, by gain.
    pub pairs: Vec<Paired>,
}

/// Names of a point's files in the folder of the job.
#[derive(Debug, Clone)]
pub struct Files {
    /// State of the run.
    pub checkpoint: PathBuf,
    /// The mark.
    pub mark: PathBuf,
    /// Validations so far, and seconds, of a run that is not finished.
    pub diary: PathBuf,
}

impl Files {
    /// Files of `point` in `work`.
    pub fn of(work: &Path, preset: &str, point: Point) -> Self {
        let file = |ending: &str| work.join(format!("{preset}-layer{}-cr{}.{ending}", point.layer, point.cr));
        Self { checkpoint: file("checkpoint"), mark: file("done"), diary: file("diary") }
    }

    /// Removes what is there.
    ///
    /// # Errors
    /// [`JobError::File`].
    pub fn clear(&self) -> Result<(), JobError> {
        [&self.checkpoint, &self.mark, &self.diary].into_iter().try_for_each(|path| remove(path))
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// [`JobError::File`].
pub fn remove(path: &Path) -> Result<(), JobError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(CheckpointError::Io { path: path.to_owned(), step: "removing", source }.into())
        }
        _ => Ok(()),
    }
}

/// What a run that is not finished has seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Diary {
    /// Digest of recipe, network and data.
    pub digest: String,
    /// Seconds of work before.
    pub seconds: f64,
    /// Validations.
    pub curve: Vec<Validation>,
}

/// What `path` holds, if it is there.
///
/// # Errors
/// [`JobError::Mark`] for what is no such file, [`JobError::File`] when it cannot be read.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, JobError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(CheckpointError::Io { path, step: "reading", source }.into());
        }
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| JobError::Mark { path: path.to_owned(), source })
}

/// Writes `path` as a whole.
///
/// # Errors
/// [`JobError::File`].
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), JobError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|source| JobError::Mark { path: path.to_owned(), source })?;
    text.push(b'\n');
    Ok(replace_file(path, &text)?)
}

/// The mark of a point, if it is done under its present digest and what was stored is still in the model.
///
/// # Errors
/// [`JobError`].
pub fn find(
    files: &Files,
    planned: &Planned,
    in_model: impl Fn(&str) -> bool,
) -> Result<Option<Done>, JobError> {
    let done: Option<Done> = read(&files.mark)?;
    Ok(done.filter(|done| done.digest == planned.digest && in_model(&done.stored)))
}

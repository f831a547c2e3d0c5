//! Results of earlier runs, so that a stopped evaluation goes on where it was.

use std::path::Path;

use autotiler_model::files;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::EvalError;

/// What was kept in `file`; none when there is no such file.
///
/// # Errors
/// [`EvalError::Damaged`] when it cannot be understood. Files are written as a whole, so a stopped run leaves
/// none of those.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, EvalError> {
    if !file.exists() {
        return Ok(None);
    }
    let bytes = files::read(file)?;
    let damaged = |source| EvalError::Damaged { path: file.to_owned(), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Keeps `measured` in `file`.
///
/// # Errors
/// [`EvalError::File`].
pub(crate) fn write(file: &Path, measured: &impl Serialize) -> Result<(), EvalError> {
    let damaged = |source| EvalError::Damaged { path: file.to_owned(), source };
    Ok(files::write(file, &serde_json::to_vec(measured).map_err(damaged)?)?)
}

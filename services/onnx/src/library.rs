//! Finds and opens the runtime's library.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use autotiler_graph::EngineError;
use ort::{environment::Environment, logging::LogLevel};

use crate::engine::ENGINE;

/// File names asked of the system's loader when no path is given: a development package's, then a plain one's.
const DEFAULT_NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];

/// What a user can do about a missing library.
const HINT: &str = "install ONNX Runtime 1.24 or newer (libonnxruntime.so lies in the PyPI wheel `onnxruntime` \
                    under onnxruntime/capi/) and give its path";

/// The process's only environment and the file that it came from.
///
/// A global against the house rule: the runtime allows one environment per process for ever, and its binding
/// refuses a second one even after the first is gone.
static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

struct Opened {
    path: PathBuf,
    environment: Environment,
}

/// The environment of the library at `path`, or of the system's library; opened once per process.
///
/// # Errors
/// [`EngineError::Unavailable`] when there is no such library, it is too old, or another file has been opened
/// before.
pub(crate) fn open(path: Option<&Path>) -> Result<Environment, EngineError> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = opened.as_ref() {
        return match path {
            Some(path) if path != first.path => {
                Err(unavailable(format!("this process already uses {}", first.path.display()), None))
            }
            _ => Ok(first.environment.clone()),
        };
    }
    let first = match path {
        Some(path) => open_file(path)?,
        None => open_default()?,
    };
    let environment = first.environment.clone();
    *opened = Some(first);
    Ok(environment)
}

fn open_default() -> Result<Opened, EngineError> {
    let mut result = Err(unavailable(HINT.to_owned(), None));
    for name in DEFAULT_NAMES {
        result = open_file(Path::new(name));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn open_file(path: &Path) -> Result<Opened, EngineError> {
    let builder = ort::init_from(path).map_err(|error| {
        let hint = format!("{} cannot be used; {HINT}", path.display());
        unavailable(hint, Some(Box::new(error)))
    })?;
    let environment = builder.with_name("autotiler").with_telemetry(false).build();
    let environment = environment
        .map_err(|error| unavailable(format!("{} does not start", path.display()), Some(Box::new(error))))?;
    // What goes wrong comes back as an error; the runtime need not write it to the process's log as well.
    environment.set_log_level(LogLevel::Fatal);
    Ok(Opened { path: path.to_owned(), environment })
}

fn unavailable(hint: String, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::Unavailable { engine: ENGINE, hint, source }
}

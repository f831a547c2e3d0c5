//! State of an unfinished run on disk: one safetensors file, replaced as a whole.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use tch::{Device, Kind, TchError, Tensor};

/// Key of the JSON text in the file's metadata.
const STATE: &str = "state";

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{path}: {step}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The file is no checkpoint of this kind of run.
    #[error("{path}: no checkpoint of this run: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// The file is no safetensors file.
    #[error("{path}: reading the checkpoint")]
    Format {
        /// The file.
        path: PathBuf,
        /// The reader's own words.
        #[source]
        source: SafeTensorError,
    },
    /// The state could not be written as JSON or read from it.
    #[error("the checkpoint's state")]
    State(#[from] serde_json::Error),
    /// libtorch refused.
    #[error("the checkpoint's tensors")]
    Torch(#[from] TchError),
}

/// Writes flat float tensors and `state` to `path`, by a temporary file beside it and a rename.
///
/// # Errors
/// [`CheckpointError`]; `path` then still holds what it held.
pub fn save<S: serde::Serialize>(
    path: &Path,
    tensors: &[(&str, &Tensor)],
    state: &S,
) -> Result<(), CheckpointError> {
    let mut values = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_flatten(0, -1)?;
        let mut floats = vec![0f32; flat.numel()];
        let len = floats.len();
        flat.f_copy_data(&mut floats, len)?;
        let bytes: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
        values.push((*name, len, bytes));
    }
    let format = |source| CheckpointError::Format { path: path.to_owned(), source };
    let views = values.iter().map(|(name, len, bytes)| {
        Ok((name.to_string(), TensorView::new(Dtype::F32, vec![*len], bytes).map_err(format)?))
    });
    let views: BTreeMap<_, _> = views.collect::<Result<_, CheckpointError>>()?;
    let metadata = HashMap::from([(STATE.to_owned(), serde_json::to_string(state)?)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(format)?;
    replace_file(path, &bytes)
}

/// Writes a file as a whole: a reader sees the old bytes or the new ones, never a part.
///
/// # Errors
/// [`CheckpointError::Io`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let io = |step| move |source| CheckpointError::Io { path: path.to_owned(), step, source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io("making its directory"))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    fs::write(&temporary, bytes).map_err(io("writing"))?;
    fs::rename(&temporary, path).map_err(io("renaming into place"))
}

/// Reads what [`save`] wrote: the state and the named tensors, in the order asked for.
///
/// # Errors
/// [`CheckpointError`] when the file is absent, damaged, or lacks a tensor.
pub fn load<S: serde::de::DeserializeOwned>(
    path: &Path,
    names: &[&str],
    device: Device,
) -> Result<(S, Vec<Tensor>), CheckpointError> {
    let bytes = fs::read(path).map_err(|source| CheckpointError::Io {
        path: path.to_owned(),
        step: "reading",
        source,
    })?;
    let format = |source| CheckpointError::Format { path: path.to_owned(), source };
    let content = |what: String| CheckpointError::Content { path: path.to_owned(), what };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE));
    let state = serde_json::from_str(state.ok_or_else(|| content("no state".to_owned()))?)?;
    let file = SafeTensors::deserialize(&bytes).map_err(format)?;
    let mut tensors = Vec::with_capacity(names.len());
    for name in names {
        let view = file.tensor(name).map_err(format)?;
        if view.dtype() != Dtype::F32 {
            return Err(content(format!("{name} is {:?}", view.dtype())));
        }
        let floats = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        tensors.push(Tensor::f_from_slice(&floats.collect::<Vec<f32>>())?.f_to_device(device)?);
    }
    Ok((state, tensors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/run.safetensors");
        let flat = Tensor::from_slice(&[1f32, -2.5, 3e-20]);
        save(&path, &[("flat", &flat)], &(7u64, "best".to_owned())).unwrap();
        let (state, tensors): ((u64, String), _) = load(&path, &["flat"], Device::Cpu).unwrap();
        assert_eq!(state, (7, "best".to_owned()));
        assert_eq!(tensors[0], flat);
        assert!(matches!(
            load::<(u64, String)>(&path, &["other"], Device::Cpu),
            Err(CheckpointError::Format { .. })
        ));
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.safetensors");
        save(&path, &[("flat", &Tensor::from_slice(&[1f32; 64]))], &1u8).unwrap();
        let bytes = fs::read(&path).unwrap();
        for len in [0, 7, 40, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert!(load::<u8>(&path, &["flat"], Device::Cpu).is_err(), "{len} bytes");
        }
    }
}

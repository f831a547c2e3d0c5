//! Weights as safetensors, in 32, 16 or 8 bits.

mod eight_bit;

use std::sync::Arc;

use autotiler_graph::Weight;
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

/// How weights lie on disk; in memory they are always 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: bit for bit what was trained.
    #[default]
    F32,
    /// 16-bit floats: half the size.
    F16,
    /// The kernels of a tiler's encoder as 8-bit numbers with a 32-bit scale for each map; its biases, which
    /// move whole planes, as 32-bit floats; all else as 16-bit floats.
    I8,
}

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file, or cut short.
    #[error("parsing safetensors")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor of another type.
    #[error("tensor {name} is {dtype:?}; weights must be F32, F16 or I8")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {0} holds NaN or infinity")]
    NotFinite(String),
    /// An 8-bit tensor without its scales.
    #[error("tensor {name} is I8 and has no scales: {name}.scale is missing")]
    NoScale {
        /// The 8-bit tensor.
        name: String,
    },
    /// Scales that are no 32-bit floats, or do not lie along one axis of their tensor.
    #[error("tensor {name}.scale is {dtype:?} of {scale:?}; it must be F32 along one axis of {dims:?}")]
    Scale {
        /// The 8-bit tensor.
        name: String,
        /// Type of its scales.
        dtype: Dtype,
        /// Dimensions of the tensor.
        dims: Vec<usize>,
        /// Dimensions of its scales.
        scale: Vec<usize>,
    },
}

/// A tensor on its way into a file.
struct Stored {
    name: String,
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

/// All `weights` as one safetensors file.
///
/// # Errors
/// [`WeightsError::Format`] for weights whose dimensions do not fit their values, [`WeightsError::NotFinite`]
/// for what 8 bits cannot say.
pub fn encode(weights: &[Weight], precision: Precision) -> Result<Vec<u8>, WeightsError> {
    let mut stored = Vec::new();
    for weight in weights {
        match precision {
            Precision::F32 => stored.push(floats(weight)),
            Precision::I8 if is_encoder(&weight.name) && weight.dims.len() > 1 => {
                stored.extend(eight_bit::quantised(weight, weights)?);
            }
            Precision::I8 if is_encoder(&weight.name) => stored.push(floats(weight)),
            Precision::F16 | Precision::I8 => stored.push(half_floats(weight)),
        }
    }
    let views = stored
        .iter()
        .map(|t| Ok((t.name.as_str(), TensorView::new(t.dtype, t.dims.clone(), &t.bytes)?)))
        .collect::<Result<Vec<_>, WeightsError>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// What `weights` are after they were stored and read again, in their order: training and measuring with these is
/// training and measuring what lies on disk.
///
/// # Errors
/// As [`encode`].
pub fn rounded(weights: &[Weight], precision: Precision) -> Result<Vec<Weight>, WeightsError> {
    let read = decode(&encode(weights, precision)?)?;
    let of = |weight: &Weight| {
        let found = read.binary_search_by(|other| other.name.cmp(&weight.name)).ok();
        found.and_then(|at| read.get(at)).unwrap_or(weight).clone()
    };
    Ok(weights.iter().map(of).collect())
}

/// Bytes that a device must load from a tiler's file: those of the encoder's tensors, scales included.
///
/// # Errors
/// [`WeightsError::Format`] when it is no safetensors file.
pub fn encoder_bytes(bytes: &[u8]) -> Result<usize, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    Ok(file.iter().filter(|(name, _)| is_encoder(name)).map(|(_, view)| view.data().len()).sum())
}

/// Whether a weight is of a tiler's encoder.
fn is_encoder(name: &str) -> bool {
    name.starts_with("tiler.")
}

fn floats(weight: &Weight) -> Stored {
    let bytes = weight.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Stored { name: weight.name.clone(), dtype: Dtype::F32, dims: weight.dims.clone(), bytes }
}

fn half_floats(weight: &Weight) -> Stored {
    let bytes = weight.values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    Stored { name: weight.name.clone(), dtype: Dtype::F16, dims: weight.dims.clone(), bytes }
}

/// The weights of a safetensors file, in the order of their names; scales are multiplied in and gone.
///
/// # Errors
/// [`WeightsError`] naming the tensor.
pub fn decode(bytes: &[u8]) -> Result<Vec<Weight>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let is_scale = |name: &str| {
        let scaled = name.strip_suffix(eight_bit::SCALE).and_then(|name| file.tensor(name).ok());
        scaled.is_some_and(|view| view.dtype() == Dtype::I8)
    };
    let mut weights = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| !is_scale(name))
        .map(|(name, view)| {
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
                Dtype::F16 => {
                    view.data().as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
                }
                Dtype::I8 => eight_bit::values(&name, &view, &file)?,
                dtype => return Err(WeightsError::Dtype { name, dtype }),
            };
            if values.iter().any(|v| !v.is_finite()) {
                return Err(WeightsError::NotFinite(name));
            }
            Ok(Weight { name, dims: view.shape().to_vec(), values: Arc::new(values) })
        })
        .collect::<Result<Vec<_>, _>>()?;
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(weights)
}

#[cfg(test)]
mod tests;

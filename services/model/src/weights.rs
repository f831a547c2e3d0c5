//! Weights as safetensors, in 32 or 16 bits.

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
}

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file, or cut short.
    #[error("parsing safetensors")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor that is neither f32 nor f16.
    #[error("tensor {name} is {dtype:?}; weights must be F32 or F16")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {0} holds NaN or infinity")]
    NotFinite(String),
}

/// All `weights` as one safetensors file.
///
/// # Errors
/// [`WeightsError::Format`] for weights whose dimensions do not fit their values.
pub fn encode(weights: &[Weight], precision: Precision) -> Result<Vec<u8>, WeightsError> {
    let bytes: Vec<Vec<u8>> = weights
        .iter()
        .map(|weight| match precision {
            Precision::F32 => weight.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Precision::F16 => weight.values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        })
        .collect();
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
    };
    let views = weights
        .iter()
        .zip(&bytes)
        .map(|(weight, bytes)| {
            Ok((weight.name.as_str(), TensorView::new(dtype, weight.dims.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, WeightsError>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// The weights of a safetensors file, in the order of their names.
///
/// # Errors
/// [`WeightsError`] naming the tensor.
pub fn decode(bytes: &[u8]) -> Result<Vec<Weight>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut weights = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
                Dtype::F16 => {
                    view.data().as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()
                }
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
mod tests {
    use super::*;

    fn weight(name: &str, values: Vec<f32>) -> Weight {
        Weight { name: name.to_owned(), dims: vec![values.len()], values: Arc::new(values) }
    }

    proptest::proptest! {
        #[test]
        fn f32_round_trips(values in proptest::collection::vec(-1e6f32..1e6, 1..50)) {
            let weights = vec![weight("a", values.clone()), weight("b", values)];
            let bytes = encode(&weights, Precision::F32).unwrap();
            proptest::prop_assert_eq!(decode(&bytes).unwrap(), weights);
        }

        #[test]
        fn f16_rounds_to_a_two_thousandth(value in -1000f32..1000.0) {
            let bytes = encode(&[weight("a", vec![value])], Precision::F16).unwrap();
            let got = decode(&bytes).unwrap()[0].values[0];
            proptest::prop_assert!((got - value).abs() <= value.abs() / 2000.0 + 1e-7);
        }
    }

    #[test]
    fn refuses_nan_by_name() {
        let bytes = encode(&[weight("x", vec![f32::NAN])], Precision::F32).unwrap();
        assert!(matches!(decode(&bytes), Err(WeightsError::NotFinite(name)) if name == "x"));
    }

    #[test]
    fn refuses_a_truncated_file() {
        let bytes = encode(&[weight("x", vec![1.0; 9])], Precision::F32).unwrap();
        assert!(matches!(decode(&bytes[..bytes.len() - 3]), Err(WeightsError::Format(_))));
    }
}

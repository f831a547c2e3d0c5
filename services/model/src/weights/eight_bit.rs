//! Kernels as 8-bit numbers: `value = number * scale of its map`.
//!
//! The scales of tensor `NAME` are `NAME.scale`, 32-bit floats of the same number of dimensions, all 1 but the
//! one of the output maps: the first for convolutions, the second for transposed ones.

use autotiler_graph::Weight;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Stored, WeightsError};

/// What the name of the scales adds to that of their tensor.
pub(super) const SCALE: &str = ".scale";
/// Largest 8-bit number that is used: the range is symmetrical.
const LARGEST: f32 = 127.0;

/// The tensor and its scales.
pub(super) fn quantised(weight: &Weight, all: &[Weight]) -> Result<[Stored; 2], WeightsError> {
    if weight.values.iter().any(|v| !v.is_finite()) {
        return Err(WeightsError::NotFinite(weight.name.clone()));
    }
    let axis = output_axis(weight, all);
    let mut dims = vec![1; weight.dims.len()];
    if let (Some(dim), Some(&maps)) = (dims.get_mut(axis), weight.dims.get(axis)) {
        *dim = maps;
    }
    let mut scales = vec![0.0_f32; dims.iter().product()];
    for (index, value) in weight.values.iter().enumerate() {
        if let Some(scale) = scales.get_mut(map_at(index, &weight.dims, axis)) {
            *scale = scale.max(value.abs() / LARGEST);
        }
    }
    let number = |(index, value): (usize, &f32)| {
        let scale = scales.get(map_at(index, &weight.dims, axis)).copied().unwrap_or(0.0);
        // A map of zeros has the scale 0.
        let steps = if scale > 0.0 { (value / scale).round().clamp(-LARGEST, LARGEST) } else { 0.0 };
        (steps as i8).to_le_bytes()
    };
    let bytes = weight.values.iter().enumerate().flat_map(number).collect();
    let numbers = Stored { name: weight.name.clone(), dtype: Dtype::I8, dims: weight.dims.clone(), bytes };
    let bytes = scales.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok([numbers, Stored { name: format!("{}{SCALE}", weight.name), dtype: Dtype::F32, dims, bytes }])
}

/// The values of an 8-bit tensor.
pub(super) fn values(
    name: &str,
    view: &TensorView<'_>,
    file: &SafeTensors<'_>,
) -> Result<Vec<f32>, WeightsError> {
    let scale = file
        .tensor(&format!("{name}{SCALE}"))
        .map_err(|_| WeightsError::NoScale { name: name.to_owned() })?;
    let dims = view.shape();
    let axis = axis_of(dims, &scale).ok_or_else(|| WeightsError::Scale {
        name: name.to_owned(),
        dtype: scale.dtype(),
        dims: dims.to_vec(),
        scale: scale.shape().to_vec(),
    })?;
    let scales: Vec<f32> = scale.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let value = |(index, byte): (usize, &u8)| {
        let scale = scales.get(map_at(index, dims, axis)).copied().unwrap_or(f32::NAN);
        f32::from(i8::from_le_bytes([*byte])) * scale
    };
    Ok(view.data().iter().enumerate().map(value).collect())
}

/// The axis along which the scales lie.
fn axis_of(dims: &[usize], scale: &TensorView<'_>) -> Option<usize> {
    if scale.dtype() != Dtype::F32 || scale.shape().len() != dims.len() {
        return None;
    }
    let expected = |axis: usize, at: usize, maps: usize| if at == axis { maps } else { 1 };
    let along = |axis: &usize| {
        let mut pairs = scale.shape().iter().zip(dims).enumerate();
        pairs.all(|(at, (&dim, &maps))| dim == expected(*axis, at, maps))
    };
    (0..dims.len()).find(along)
}

/// The axis of the output maps: the one that is as long as the bias; the first when both are or none is.
fn output_axis(weight: &Weight, all: &[Weight]) -> usize {
    let bias = weight.name.strip_suffix(".weight").map(|name| format!("{name}.bias"));
    let bias = bias.and_then(|name| all.iter().find(|w| w.name == name)).map(|bias| bias.values.len());
    let [first, second] = [0, 1].map(|axis| weight.dims.get(axis).copied());
    usize::from(bias.is_some() && bias != first && bias == second)
}

/// Position along `axis` of the value at `index`.
fn map_at(index: usize, dims: &[usize], axis: usize) -> usize {
    let inner: usize = dims.iter().skip(axis + 1).product();
    let maps = dims.get(axis).copied().unwrap_or(1);
    index / inner.max(1) % maps.max(1)
}

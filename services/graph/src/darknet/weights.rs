//! The numbers of a network: Darknet's weights file, and the same by names.

use std::sync::Arc;

use autotiler_core::LayerIndex;

use super::{
    cfg::Cfg,
    error::CfgError,
    plan::{ConvPlan, Kind, Plan},
};
use crate::{graph::Weight, op::BATCH_NORM_EPSILON};

/// First bytes of a weights file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version of the format; with `minor` it says whether `seen` has 4 or 8 bytes.
    pub major: i32,
    /// See `major`.
    pub minor: i32,
    /// Revision of the format.
    pub revision: i32,
    /// Pictures seen in training.
    pub seen: u64,
}

/// The weights of a network, in the order of its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Header of the file.
    pub header: Header,
    /// One entry for each convolutional layer.
    pub layers: Vec<ConvWeights>,
}

/// The weights of one convolutional layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// Which layer.
    pub layer: LayerIndex,
    /// Dimensions of the kernel, `[out, in / groups, size, size]`.
    pub dims: Vec<usize>,
    /// Kernel, row-major.
    pub kernel: Arc<Vec<f32>>,
    /// Bias, `[out]`; the shift of the batch normalisation where there is one.
    pub bias: Arc<Vec<f32>>,
    /// Batch normalisation, where the cfg asks for it.
    pub norm: Option<Normalization>,
}

/// Arrays of batch normalisation, `[out]` each; the shift is the layer's bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// Scale.
    pub scale: Arc<Vec<f32>>,
    /// Running mean.
    pub mean: Arc<Vec<f32>>,
    /// Running variance.
    pub variance: Arc<Vec<f32>>,
}

/// Why weights do not make a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The cfg that says what the weights are is wrong.
    #[error("reading the cfg of the weights")]
    Cfg(#[from] CfgError),
    /// The file ends within its header.
    #[error("weights file of {got} bytes ends within its header")]
    Header {
        /// Bytes found.
        got: usize,
    },
    /// The file has another length than the cfg asks for.
    #[error("weights file has {got} bytes, the cfg asks for {expected}")]
    Length {
        /// Header and four bytes for each value.
        expected: usize,
        /// Bytes found.
        got: usize,
    },
    /// A value that is not finite, or a variance below zero.
    #[error("layer {layer}: {array} has a value that is not finite, or a negative variance")]
    Value {
        /// The layer.
        layer: LayerIndex,
        /// Which array.
        array: &'static str,
    },
    /// A weight that is not there by its name.
    #[error("weight {0} is missing")]
    Missing(String),
    /// A weight with the wrong number of values.
    #[error("weight {name}: {expected} values expected, {got} found")]
    Count {
        /// The weight.
        name: String,
        /// What the cfg asks for.
        expected: usize,
        /// What was found.
        got: usize,
    },
}

impl Header {
    /// What Darknet writes today, for weights that have seen `seen` pictures.
    pub const fn current(seen: u64) -> Self {
        Self { major: 0, minor: 2, revision: 0, seen }
    }

    /// Whether `seen` has 8 bytes; 4 in files before version 0.2 (and where the version is nonsense).
    fn is_wide(&self) -> bool {
        let version = i64::from(self.major) * 10 + i64::from(self.minor);
        version >= 2 && self.major < 1000 && self.minor < 1000
    }

    /// Reads it from the start of `bytes`; yields its length too.
    fn read(bytes: &[u8]) -> Result<(Self, usize), WeightsError> {
        let short = || WeightsError::Header { got: bytes.len() };
        let word = |at: usize| -> Result<[u8; 4], WeightsError> {
            bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or_else(short)
        };
        let number = |at| word(at).map(i32::from_le_bytes);
        let narrow = u32::from_le_bytes(word(12)?);
        let header =
            Self { major: number(0)?, minor: number(4)?, revision: number(8)?, seen: u64::from(narrow) };
        if !header.is_wide() {
            return Ok((header, 16));
        }
        let high = u32::from_le_bytes(word(16)?);
        Ok((Self { seen: u64::from(high) << 32 | u64::from(narrow), ..header }, 20))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for number in [self.major, self.minor, self.revision] {
            bytes.extend(number.to_le_bytes());
        }
        let seen = self.seen.to_le_bytes();
        // An old file cannot count further than 32 bits.
        bytes.extend(if self.is_wide() { &seen[..] } else { &seen[..4] });
    }
}

impl Weights {
    /// Reads a weights file of the network that `cfg` describes.
    ///
    /// # Errors
    /// [`WeightsError`] for a wrong cfg, a file that is not exactly as long as the cfg asks for, or values
    /// that no network has.
    pub fn read(cfg: &Cfg, bytes: &[u8]) -> Result<Self, WeightsError> {
        let plan = Plan::new(cfg)?;
        let (header, start) = Header::read(bytes)?;
        let expected = start + 4 * plan.values;
        if bytes.len() != expected {
            return Err(WeightsError::Length { expected, got: bytes.len() });
        }
        let mut values = bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let layers =
            Self::fill(&plan, |_, dims| Ok(Arc::new(values.by_ref().take(product(dims)).collect())))?;
        Ok(Self { header, layers })
    }

    /// The weights file.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.header.write(&mut bytes);
        for layer in &self.layers {
            for (_, values) in layer.arrays() {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        bytes
    }

    /// Collects the weights by their [names](Self::named), like from a safetensors file or a trained graph.
    ///
    /// # Errors
    /// [`WeightsError`] for a wrong cfg, or a weight that is missing, of the wrong length, or has values
    /// that no network has.
    pub fn from_named(
        cfg: &Cfg,
        header: Header,
        mut find: impl FnMut(&str) -> Option<Arc<Vec<f32>>>,
    ) -> Result<Self, WeightsError> {
        let layers = Self::fill(&Plan::new(cfg)?, |name, dims| {
            let values = find(&name).ok_or_else(|| WeightsError::Missing(name.clone()))?;
            let (expected, got) = (product(dims), values.len());
            if expected == got { Ok(values) } else { Err(WeightsError::Count { name, expected, got }) }
        })?;
        Ok(Self { header, layers })
    }

    /// All weights with the names and dimensions that they have in graphs: `L.weight` and `L.bias`, or with
    /// batch normalisation `L.weight`, `L.scale`, `L.shift`, `L.mean` and `L.variance`.
    pub fn named(&self) -> Vec<Weight> {
        self.layers.iter().flat_map(ConvWeights::named).collect()
    }

    /// The same network with batch normalisation folded into kernels and biases, to go with
    /// [`Cfg::folded`]: `kernel * scale / sqrt(variance + epsilon)`, with [`BATCH_NORM_EPSILON`].
    #[must_use]
    pub fn fold(&self) -> Self {
        Self { header: self.header, layers: self.layers.iter().map(ConvWeights::fold).collect() }
    }

    /// Asks `next` for each array with its name and dimensions, in the order of a weights file.
    pub(super) fn fill(
        plan: &Plan,
        mut next: impl FnMut(String, &[usize]) -> Result<Arc<Vec<f32>>, WeightsError>,
    ) -> Result<Vec<ConvWeights>, WeightsError> {
        let mut layers = Vec::new();
        for (index, layer) in (0_u16..).zip(&plan.layers) {
            if let Kind::Conv(conv) = &layer.kind {
                let layer = ConvWeights::fill(LayerIndex(index), conv, &mut next)?;
                layer.check()?;
                layers.push(layer);
            }
        }
        Ok(layers)
    }
}

impl ConvWeights {
    fn fill(
        layer: LayerIndex,
        conv: &ConvPlan,
        next: &mut impl FnMut(String, &[usize]) -> Result<Arc<Vec<f32>>, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let mut array = |name: &str, dims: &[usize]| next(format!("{layer}.{name}"), dims);
        let maps = [conv.out];
        let bias = array(if conv.batch_norm { "shift" } else { "bias" }, &maps)?;
        let norm = match conv.batch_norm {
            true => Some(Normalization {
                scale: array("scale", &maps)?,
                mean: array("mean", &maps)?,
                variance: array("variance", &maps)?,
            }),
            false => None,
        };
        let kernel = array("weight", &conv.dims)?;
        Ok(Self { layer, dims: conv.dims.clone(), kernel, bias, norm })
    }

    /// Its arrays in the order of a weights file, with the last part of their names.
    fn arrays(&self) -> Vec<(&'static str, &Arc<Vec<f32>>)> {
        match &self.norm {
            None => vec![("bias", &self.bias), ("weight", &self.kernel)],
            Some(norm) => vec![
                ("shift", &self.bias),
                ("scale", &norm.scale),
                ("mean", &norm.mean),
                ("variance", &norm.variance),
                ("weight", &self.kernel),
            ],
        }
    }

    fn named(&self) -> Vec<Weight> {
        let weight = |(name, values): (&str, &Arc<Vec<f32>>)| {
            let dims = if name == "weight" { self.dims.clone() } else { vec![values.len()] };
            Weight { name: format!("{}.{name}", self.layer), dims, values: Arc::clone(values) }
        };
        self.arrays().into_iter().map(weight).collect()
    }

    fn check(&self) -> Result<(), WeightsError> {
        let bad = |(name, values): &(&str, &Arc<Vec<f32>>)| {
            let least = if *name == "variance" { 0.0 } else { f32::MIN };
            !values.iter().all(|value| (least..=f32::MAX).contains(value))
        };
        match self.arrays().into_iter().find(bad) {
            Some((array, _)) => Err(WeightsError::Value { layer: self.layer, array }),
            None => Ok(()),
        }
    }

    pub(super) fn fold(&self) -> Self {
        let Some(norm) = &self.norm else { return self.clone() };
        let factors: Vec<f64> = (norm.scale.iter().zip(norm.variance.iter()))
            .map(|(&scale, &variance)| {
                f64::from(scale) / (f64::from(variance) + f64::from(BATCH_NORM_EPSILON)).sqrt()
            })
            .collect();
        let taps = self.kernel.len() / factors.len().max(1);
        let kernel = (self.kernel.chunks(taps.max(1)).zip(&factors))
            .flat_map(|(map, factor)| map.iter().map(move |&tap| (f64::from(tap) * factor) as f32))
            .collect();
        let bias = (self.bias.iter().zip(norm.mean.iter()).zip(&factors))
            .map(|((&shift, &mean), factor)| (f64::from(shift) - f64::from(mean) * factor) as f32)
            .collect();
        let (kernel, bias) = (Arc::new(kernel), Arc::new(bias));
        Self { layer: self.layer, dims: self.dims.clone(), kernel, bias, norm: None }
    }
}

fn product(dims: &[usize]) -> usize {
    dims.iter().product()
}

#[cfg(test)]
mod tests;

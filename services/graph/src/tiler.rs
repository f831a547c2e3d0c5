//! Auto-tilers as graphs: feature map to one u8 plane, and back.
//!
//! The encoder squeezes the maps and lays them side by side; it ends in a clamp to bytes, so that no pass
//! for minimum and maximum is needed (paper, section 3.1). The decoder reverses it on the server. Both are
//! ordinary graphs and are fused into head and tail with [`crate::GraphBuilder::append`].

pub mod autoencoder;
pub mod chain;
mod exponential;
pub mod importance;
pub mod klt;
mod layer;
pub mod lite;
pub mod omni;
pub mod paper;
pub mod plain;
mod spec;

pub use autoencoder::Autoencoder;
pub use importance::{Importance, ImportanceShape};
pub use klt::{Klt, KltFit};
pub use lite::{Lite, LiteShape};
pub use omni::{Omni, Restorer};
pub use paper::{Grade, Paper, PaperError, PaperForm, PaperPlan, PaperPoint};
pub use plain::{Plain, PlainFit};
pub use spec::{Grid, TilerSpec};

use std::sync::Arc;

use autotiler_core::{Gain, Shape};

use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, Weight},
    op::Op,
    tensor::Tensor,
};

/// Shape of the decoder's second input, made by [`gain_input`].
pub const GAIN_SHAPE: Shape = Shape::new(2, 1, 1);

/// Feature map to one plane and back.
pub trait AutoTiler {
    /// Its dimensions.
    fn spec(&self) -> &TilerSpec;

    /// All weights by name, as [`weight_named`] finds them again; what a model directory keeps.
    fn weights(&self) -> Vec<Weight>;

    /// Input: the feature map (f32). Output: the plane (u8, one map of [`TilerSpec::plane`]).
    ///
    /// # Errors
    /// [`GraphError`] when the weights do not fit the spec.
    fn encoder(&self) -> Result<Graph, GraphError>;

    /// Inputs: the decoded plane (u8), still scaled by the gain, and [`gain_input`].
    /// Output: the feature map (f32).
    ///
    /// # Errors
    /// [`GraphError`] when the weights do not fit the spec.
    fn decoder(&self) -> Result<Graph, GraphError>;
}

/// Why a tiler cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TilerError {
    /// The ratio does not divide the feature map.
    #[error("compression ratio {cr} does not fit a feature map of {feature}: possible are {possible:?}")]
    Ratio {
        /// As asked for.
        cr: u16,
        /// The feature map.
        feature: Shape,
        /// What would do.
        possible: Vec<u16>,
    },
    /// Nothing to fit to.
    #[error("fitting a tiler needs feature maps: none were given")]
    NoSamples,
    /// A sample of another size.
    #[error("fitting the tiler: a sample has {got} values, the feature map {expected}")]
    SampleLen {
        /// Values of the feature map.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A sample that is not a number, which would spoil all weights.
    #[error("fitting the tiler: a sample holds NaN or infinity")]
    NotFinite,
    /// Weights that do not fit.
    #[error("building the tiler's graph")]
    Graph(#[from] GraphError),
}

/// Whether the weight `name` of a tiler's graph is a constant of its layout, which is not learned.
pub fn is_constant(name: &str) -> bool {
    ["untiler.unit", "untiler.sigma.weight"].contains(&name)
        || Importance::is_constant(name)
        || name.starts_with("untiler.restore.") && !Restorer::owns(name)
}

/// The values of the weight `name`; empty when it is missing, which the builder then refuses by its name.
pub fn weight_named(weights: &[Weight], name: &str) -> Arc<Vec<f32>> {
    weights.iter().find(|w| w.name == name).map_or_else(Default::default, |w| Arc::clone(&w.values))
}

/// `weights`, each as it is in `newer` where one there bears its name.
pub fn renewed(weights: &[Weight], newer: &[Weight]) -> Vec<Weight> {
    let of = |own: &Weight| newer.iter().find(|w| w.name == own.name).unwrap_or(own).clone();
    weights.iter().map(of).collect()
}

/// A named weight.
fn weight(name: &str, dims: &[usize], values: Vec<f32>) -> Weight {
    Weight { name: name.to_owned(), dims: dims.to_vec(), values: Arc::new(values) }
}

/// The decoder's second input for planes scaled by `gains`: per picture `1/factor` and
/// `log2(1/factor) / 4`, the second so that a learned decoder knows how coarse the plane is.
pub fn gain_input(gains: &[Gain]) -> Tensor {
    gain_input_beside_qp(gains.iter().map(|&gain| (gain, Gain::UNITY)))
}

/// The same where a codec took part of each gain as QP: pairs of the whole gain and that part. The samples
/// are scaled by the rest alone; how coarse they are is told by the whole.
pub fn gain_input_beside_qp(gains: impl IntoIterator<Item = (Gain, Gain)>) -> Tensor {
    let pairs: Vec<f32> = gains
        .into_iter()
        .flat_map(|(whole, in_qp)| [in_qp.factor() / whole.factor(), -whole.factor().log2() / 4.0])
        .collect();
    let batch = pairs.len() / GAIN_SHAPE.len();
    Tensor { batch, shape: GAIN_SHAPE, data: crate::tensor::TensorData::F32(pairs) }
}

/// Start of every encoder: maps of `block x block` neighbours side by side.
fn fold_space(builder: &mut GraphBuilder, spec: &TilerSpec, input: NodeId) -> Result<NodeId, GraphError> {
    let mut node = input;
    let (bottom, right) = spec.padding();
    if (bottom, right) != (0, 0) {
        node = builder.push(Op::PadEdge { bottom, right }, &[node])?;
    }
    if spec.block > 1 {
        node = builder.push(Op::SpaceToDepth { block: spec.block }, &[node])?;
    }
    Ok(node)
}

/// End of every decoder: the inverse of [`fold_space`].
fn unfold_space(builder: &mut GraphBuilder, spec: &TilerSpec, input: NodeId) -> Result<NodeId, GraphError> {
    let mut node = input;
    if spec.block > 1 {
        node = builder.push(Op::DepthToSpace { block: spec.block }, &[node])?;
    }
    if spec.padding() != (0, 0) {
        node = builder.push_shaped(Op::Crop, &[node], spec.feature)?;
    }
    Ok(node)
}

/// End of every encoder: maps to one plane of bytes.
fn to_plane(builder: &mut GraphBuilder, spec: &TilerSpec, maps: NodeId) -> Result<NodeId, GraphError> {
    let Grid { cols, rows } = spec.grid;
    let plane = builder.push(Op::Tile { cols, rows }, &[maps])?;
    builder.push(Op::ToPlane, &[plane])
}

/// Start of every decoder: the plane's maps with the gain undone, and `log2(1/factor) / 4` as 1x1x1.
fn from_plane(builder: &mut GraphBuilder, spec: &TilerSpec) -> Result<(NodeId, NodeId), GraphError> {
    let plane = builder.input_u8(spec.plane());
    let gain = builder.input(GAIN_SHAPE);
    let inverse = builder.push(Op::Slice { start: 0, len: 1 }, &[gain])?;
    let rate = builder.push(Op::Slice { start: 1, len: 1 }, &[gain])?;
    let centred = builder.push(Op::FromPlane, &[plane])?;
    let scaled = builder.push(Op::Mul, &[centred, inverse])?;
    let Grid { cols, rows } = spec.grid;
    let maps = builder.push_shaped(Op::Untile { cols, rows }, &[scaled], spec.maps_shape())?;
    Ok((maps, rate))
}

/// A 1x1 convolution `in_maps -> out_maps` with named weights.
fn pointwise(
    builder: &mut GraphBuilder,
    name: &str,
    (in_maps, out_maps): (usize, usize),
    (weight, bias): (Vec<f32>, Vec<f32>),
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let weight = builder.weight(format!("{name}.weight"), vec![out_maps, in_maps, 1, 1], weight)?;
    let bias = Some(builder.weight(format!("{name}.bias"), vec![out_maps], bias)?);
    let conv = Op::Conv { weight, bias, out: out_maps, size: 1, stride: 1, pad: 0, dilation: 1, groups: 1 };
    builder.push(conv, &[input])
}

#[cfg(test)]
mod tests;

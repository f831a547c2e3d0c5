//! Convolutions of learned parts, whose weights bear names.

use super::{weight, weight_named};
use crate::{
    builder::GraphBuilder,
    graph::{GraphError, NodeId, Weight},
    op::{Activation, Op},
};

/// How a convolution slides over its input.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    inputs: usize,
    out: usize,
    size: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
    groups: usize,
}

impl Kernel {
    /// From all maps to all maps, keeping their size.
    pub(super) const fn dense(inputs: usize, out: usize, size: usize) -> Self {
        Self { inputs, out, size, stride: 1, pad: size / 2, dilation: 1, groups: 1 }
    }

    /// Each of `maps` by itself, keeping its size.
    pub(super) const fn around(maps: usize, size: usize, dilation: usize) -> Self {
        let pad = size / 2 * dilation;
        Self { inputs: maps, out: maps, size, stride: 1, pad, dilation, groups: maps }
    }

    /// Each of `maps` by itself, squares of `size` becoming pixels.
    pub(super) const fn gather(maps: usize, size: usize) -> Self {
        Self { inputs: maps, out: maps, size, stride: size, pad: 0, dilation: 1, groups: maps }
    }
}

/// A convolution with the weights `NAME.weight` and `NAME.bias` of `source`.
pub(super) fn conv(
    builder: &mut GraphBuilder,
    source: &[Weight],
    name: &str,
    kernel: Kernel,
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let Kernel { inputs, out, size, stride, pad, dilation, groups } = kernel;
    let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
    let values = weight_named(source, &weight_name);
    let weight = builder.weight(weight_name, vec![out, inputs / groups, size, size], values)?;
    let values = weight_named(source, &bias_name);
    let bias = Some(builder.weight(bias_name, vec![out], values)?);
    builder.push(Op::Conv { weight, bias, out, size, stride, pad, dilation, groups }, &[input])
}

/// What follows most of them.
pub(super) fn leaky(builder: &mut GraphBuilder, input: NodeId) -> Result<NodeId, GraphError> {
    builder.push(Op::Activate(Activation::Leaky), &[input])
}

/// Weights to begin with, of `share` of He's deviation, and biases of zero; `random` yields values of unit variance.
pub(super) fn fresh(name: &str, dims: &[usize], share: f32, random: &mut impl FnMut() -> f32) -> [Weight; 2] {
    let fan_in: usize = dims.iter().skip(1).product();
    let sigma = share * (2.0 / fan_in.max(1) as f32).sqrt();
    let len = dims.iter().product::<usize>();
    let values = (0..len).map(|_| if sigma == 0.0 { 0.0 } else { sigma * random() }).collect();
    let out = dims.first().copied().unwrap_or(0);
    [weight(&format!("{name}.weight"), dims, values), weight(&format!("{name}.bias"), &[out], vec![0.0; out])]
}

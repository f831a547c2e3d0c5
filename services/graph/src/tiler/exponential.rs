//! Powers of two as a graph, which has no operator for them, and the affine maps that go with them.

use crate::{
    builder::GraphBuilder,
    graph::{GraphError, NodeId},
    op::Op,
};

/// An exponential is `(1 + x/2^n)^(2^n)`, by squaring. With these 10 it is off by 0.3 % at the coarsest gain that
/// is trained, which training takes into account.
const SQUARINGS: usize = 10;

/// `scale * 2^(octaves * input)`, value by value, of one map. `name` is that of the constants.
pub(super) fn exponential(
    builder: &mut GraphBuilder,
    name: &str,
    octaves: f64,
    scale: f64,
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let power = f64::from(1u32 << SQUARINGS);
    let root = scale.powf(power.recip());
    let slope = root * octaves * std::f64::consts::LN_2 / power;
    let mut value = affine(builder, name, vec![slope as f32], vec![root as f32], input)?;
    for _ in 0..SQUARINGS {
        value = builder.push(Op::Mul, &[value, value])?;
    }
    Ok(value)
}

/// `offsets.len()` maps, each a sum of multiples of the input's maps plus a constant: `slopes` is
/// `[maps, input maps]`.
pub(super) fn affine(
    builder: &mut GraphBuilder,
    name: &str,
    slopes: Vec<f32>,
    offsets: Vec<f32>,
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let out = offsets.len();
    let dims = vec![out, slopes.len() / out.max(1), 1, 1];
    let weight = builder.weight(format!("{name}.weight"), dims, slopes)?;
    let bias = Some(builder.weight(format!("{name}.bias"), vec![out], offsets)?);
    builder.push(Op::Conv { weight, bias, out, size: 1, stride: 1, pad: 0, dilation: 1, groups: 1 }, &[input])
}

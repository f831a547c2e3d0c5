//! The part that is shared: a learned inverse of coarse coding, applied to each map alone.
//!
//! All that depends on network, layer or rate is divided out: a map's values are given in steps of the codec's
//! quantiser, beside the logarithm of the map's standard deviation in those steps. What comes out is a
//! correction in steps. Each map is treated alike, so any number of maps of any size will do.

use autotiler_core::Shape;

use super::super::{
    exponential::{affine, exponential},
    importance,
    layer::fresh,
    weight,
};
use crate::{
    builder::GraphBuilder,
    graph::{GraphError, NodeId, Weight},
    op::{Activation, Op},
};

/// Quantiser step at unit gain, in plane units: that of QP 20, `2^((20 - 4) / 6)`.
const UNIT_STEP: f64 = 6.349_604_207_872_798;
/// The decoder's rate input is `log2(1/factor) / 4`, and a step grows with `1/factor`.
const OCTAVES_PER_RATE: f64 = 4.0;
/// Levels (octaves) are scaled to about 1.
const LEVEL_SCALE: f64 = 0.5;
/// Names are `untiler.restore.PART.weight` and `.bias`.
const PREFIX: &str = "untiler.restore.";
/// Parts with their inputs (0: the width), outputs (likewise) and the share of He's scale that they start with.
const PARTS: [(&str, usize, usize, f32); 4] =
    [("look", 1, 0, 1.0), ("level", 1, 0, 1.0), ("mix", 0, 0, 1.0), ("out", 0, 1, 0.0)];
/// Kernel width and height.
const SIZE: usize = 3;

/// Weights of the restorer.
#[derive(Debug, Clone, PartialEq)]
pub struct Restorer {
    weights: Vec<Weight>,
}

impl Restorer {
    /// One of `width` maps per map that corrects nothing yet; `random` yields values of unit variance.
    pub fn untrained(width: usize, mut random: impl FnMut() -> f32) -> Self {
        let of = |n: usize| if n == 0 { width } else { n };
        let mut weights = Vec::new();
        for (part, inputs, outputs, share) in PARTS {
            let (inputs, outputs) = (of(inputs), of(outputs));
            let dims = [outputs, inputs, SIZE, SIZE];
            weights.extend(fresh(&format!("{PREFIX}{part}"), &dims, share, &mut random));
        }
        Self { weights }
    }

    /// One that starts as this, with weights of its own for each of `maps`.
    pub fn for_each(&self, maps: usize) -> Self {
        let own = |w: &Weight| {
            let mut dims = w.dims.clone();
            if let Some(first) = dims.first_mut() {
                *first *= maps;
            }
            weight(&w.name, &dims, w.values.repeat(maps))
        };
        Self { weights: self.weights.iter().map(own).collect() }
    }

    /// Picks the restorer's weights out of those of a file.
    pub fn from_weights(weights: &[Weight]) -> Self {
        Self { weights: weights.iter().filter(|w| Self::owns(&w.name)).cloned().collect() }
    }

    /// Whether a weight of this name is the restorer's.
    pub fn owns(name: &str) -> bool {
        let part = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.'));
        part.is_some_and(|(part, _)| PARTS.iter().any(|(name, ..)| *name == part))
    }

    /// All weights. In graphs each is repeated along its first dimension, once for every map; not so where every
    /// map has its own.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// Adds the correction to `maps`, which are in plane units with their gain undone. Where the device scaled
    /// them by `importance`, a map of plane units, they deviate by less.
    pub(in super::super) fn restore(
        &self,
        builder: &mut GraphBuilder,
        deviation: &[f32],
        maps: NodeId,
        rate: NodeId,
        importance: Option<NodeId>,
    ) -> Result<NodeId, GraphError> {
        let shape = builder.shape(maps);
        let step = exponential(builder, &named("step"), OCTAVES_PER_RATE, UNIT_STEP, rate)?;
        let in_steps = in_steps(builder, maps, rate)?;
        let level = levels(builder, deviation, shape, rate, importance)?;
        let looked = self.conv(builder, "look", shape.c, in_steps)?;
        let level = self.conv(builder, "level", shape.c, level)?;
        let state = builder.push(Op::Add, &[looked, level])?;
        let state = builder.push(Op::Activate(Activation::Leaky), &[state])?;
        let state = self.conv(builder, "mix", shape.c, state)?;
        let state = builder.push(Op::Activate(Activation::Leaky), &[state])?;
        let correction = self.conv(builder, "out", shape.c, state)?;
        let correction = builder.push(Op::Mul, &[correction, step])?;
        builder.push(Op::Add, &[maps, correction])
    }

    /// A part, once for each of `maps`.
    fn conv(
        &self,
        builder: &mut GraphBuilder,
        part: &str,
        maps: usize,
        input: NodeId,
    ) -> Result<NodeId, GraphError> {
        let named = |name: String| self.weights.iter().find(|w| w.name == name);
        let outputs = named(format!("{PREFIX}out.bias")).map_or(0, |bias| bias.values.len());
        let times = if outputs == maps { 1 } else { maps };
        let mut repeated = |end: &str| {
            let name = format!("{PREFIX}{part}.{end}");
            let found = named(name.clone());
            let (dims, values) =
                found.map_or((&[][..], &[][..]), |w| (w.dims.as_slice(), w.values.as_slice()));
            let mut dims = if dims.is_empty() { vec![1] } else { dims.to_vec() };
            dims[0] *= times;
            Ok((dims[0], builder.weight(name, dims, values.repeat(times))?))
        };
        let (out, weight) = repeated("weight")?;
        let bias = Some(repeated("bias")?.1);
        let conv =
            Op::Conv { weight, bias, out, size: SIZE, stride: 1, pad: SIZE / 2, dilation: 1, groups: maps };
        builder.push(conv, &[input])
    }
}

/// Maps in steps of the codec's quantiser.
pub(in super::super) fn in_steps(
    builder: &mut GraphBuilder,
    maps: NodeId,
    rate: NodeId,
) -> Result<NodeId, GraphError> {
    let per_step = exponential(builder, &named("per-step"), -OCTAVES_PER_RATE, UNIT_STEP.recip(), rate)?;
    builder.push(Op::Mul, &[maps, per_step])
}

/// The codec's step in units of the one at a gain of a quarter, 1x1x1.
pub(in super::super) fn relative_step(
    builder: &mut GraphBuilder,
    rate: NodeId,
) -> Result<NodeId, GraphError> {
    exponential(builder, &named("relative-step"), OCTAVES_PER_RATE, 0.25, rate)
}

/// Name of a constant.
fn named(constant: &str) -> String {
    format!("{PREFIX}{constant}")
}

/// Each map's standard deviation in steps, in scaled octaves, at all its pixels.
fn levels(
    builder: &mut GraphBuilder,
    deviation: &[f32],
    shape: Shape,
    rate: NodeId,
    importance: Option<NodeId>,
) -> Result<NodeId, GraphError> {
    let spread = builder.push_shaped(Op::Expand, &[rate], Shape::new(1, shape.h, shape.w))?;
    let octaves = |&sigma: &f32| (f64::from(sigma).max(1e-3) / UNIT_STEP).log2() * LEVEL_SCALE;
    let per_rate = (-OCTAVES_PER_RATE * LEVEL_SCALE) as f32;
    let Some(importance) = importance else {
        let offsets = deviation.iter().map(|sigma| octaves(sigma) as f32).collect();
        return affine(builder, &named("offset"), vec![per_rate; deviation.len()], offsets, spread);
    };
    let both = builder.push(Op::Concat, &[spread, importance])?;
    // The last map is the importance itself, which is not scaled.
    let scaled = |map: usize| if map + 1 < deviation.len() { LEVEL_SCALE } else { 0.0 };
    let slopes = |map: usize| [per_rate, (scaled(map) * importance::OCTAVES_PER_UNIT) as f32];
    let offset = |(map, sigma)| (octaves(sigma) - scaled(map) * importance::OCTAVES / 2.0) as f32;
    let offsets = deviation.iter().enumerate().map(offset).collect();
    affine(builder, &named("offset"), (0..deviation.len()).flat_map(slopes).collect(), offsets, both)
}

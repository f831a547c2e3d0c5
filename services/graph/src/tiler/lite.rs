//! The learned tiler: the KLT plus, where wanted, a small branch on the device, and a heavier one on the server.
//!
//! What is shipped has no branch on the device and keeps the transform as it was fitted: trained along, the
//! device's part took more from fine planes than it gave to coarse ones (models/README.md has the figures).
//! It starts as the KLT exactly, or as the KLT with [`Restorer`]: both branches end in zeros. (An encoder branch
//! that only starts small costs as much at fine gains as a whole training wins back.) The decoder also sees how
//! coarse the plane is, so one set of weights serves the whole range of gains; beside a restorer its branch works
//! in steps of the quantiser, so that its correction fades as the plane gets finer.

use std::sync::Arc;

use autotiler_core::Shape;

use super::{
    AutoTiler, Klt, Restorer, TilerError, TilerSpec, fold_space, from_plane, to_plane, unfold_space, weight,
    weight_named,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, Weight},
    op::{Activation, Op},
    tiler::omni::{DEVIATION, restorer},
};

/// Plane units are divided by this before the decoder's branch, which works on values around 1.
const PLANE_UNIT: f32 = 32.0;

/// Maps are masked in this many groups, by the order of their eigenvalues.
const GATES: usize = 2;
/// The masks start at the sigmoid of this, so near 1 that the plane hardly changes where they close.
const GATE_BIAS: f32 = 4.0;

/// Widths of the branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteShape {
    /// Maps inside the encoder's branch; 0 for a device that runs the transform alone.
    pub encoder_width: usize,
    /// Maps inside the decoder's branch.
    pub decoder_width: usize,
    /// Residual blocks in the decoder's branch.
    pub decoder_blocks: usize,
    /// Whether the encoder masks the plane's maps where the detector has no use for them: two learned masks,
    /// one for the strong half of the maps and one for the weak half.
    pub gate: bool,
}

impl Default for LiteShape {
    /// What was measured to be best: nothing learned on the device, 32 maps and 3 blocks on the server.
    fn default() -> Self {
        Self { encoder_width: 0, decoder_width: 32, decoder_blocks: 3, gate: false }
    }
}

impl LiteShape {
    /// The masks are made from what the branch looked at.
    fn has_gate(&self) -> bool {
        self.gate && self.encoder_width > 0
    }
}

/// A learned tiler: its shape and all its weights by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Lite {
    /// Dimensions.
    pub spec: TilerSpec,
    /// Widths.
    pub shape: LiteShape,
    /// Encoder and decoder weights.
    pub weights: Vec<Weight>,
}

impl Lite {
    /// A tiler that computes what `klt` does; `random` yields values of unit variance.
    ///
    /// # Errors
    /// [`TilerError::Graph`] when `klt` does not fit its own spec.
    pub fn from_klt(
        klt: &Klt,
        shape: LiteShape,
        mut random: impl FnMut() -> f32,
    ) -> Result<Self, TilerError> {
        let spec = klt.spec;
        let mut weights = klt.weights();
        if shape.has_gate() {
            // What the masks take at their start.
            weights.iter_mut().filter(|w| w.name.starts_with("tiler.linear.")).for_each(open_gate);
        }
        for (name, dims, gain) in branch_weights(&spec, &shape) {
            let fan_in: usize = dims.iter().skip(1).product();
            let len = dims.iter().product::<usize>();
            let sigma = gain * (2.0 / fan_in.max(1) as f32).sqrt();
            let values = (0..len).map(|_| if sigma == 0.0 { 0.0 } else { sigma * random() }).collect();
            weights.push(weight(&format!("{name}.weight"), &dims, values));
            let bias = if name == "tiler.gate" { GATE_BIAS } else { 0.0 };
            weights.push(weight(&format!("{name}.bias"), &dims[..1], vec![bias; dims[0]]));
        }
        Ok(Self { spec, shape, weights })
    }

    /// The same with a restorer of its own for each map, which starts as `restorer`. `deviation` holds the
    /// standard deviation of each map in plane units ([`super::KltFit::deviation`]).
    #[must_use]
    pub fn with_restorer(mut self, deviation: &[f32], restorer: &Restorer) -> Self {
        self.weights.push(weight(DEVIATION, &[deviation.len()], deviation.to_vec()));
        self.weights.extend(restorer.for_each(self.spec.maps).weights().iter().cloned());
        self
    }

    /// The tiler that [`AutoTiler::weights`] gave: the widths are read off the weights.
    pub fn from_weights(spec: TilerSpec, weights: Vec<Weight>) -> Self {
        let first_dim = |name: &str| {
            weights.iter().find(|w| w.name == name).and_then(|w| w.dims.first().copied()).unwrap_or(0)
        };
        let has_block = |i: &usize| weights.iter().any(|w| w.name == format!("untiler.{i}.a.weight"));
        let shape = LiteShape {
            encoder_width: first_dim("tiler.mix.weight"),
            decoder_width: first_dim("untiler.in.weight"),
            decoder_blocks: (0..).take_while(has_block).count(),
            gate: weights.iter().any(|w| w.name == "tiler.gate.weight"),
        };
        Self { spec, shape, weights }
    }
}

/// Name, dimensions and initial scale (share of He's) of each convolution in the branches.
fn branch_weights(spec: &TilerSpec, shape: &LiteShape) -> Vec<(String, Vec<usize>, f32)> {
    let (e, d) = (shape.encoder_width, shape.decoder_width);
    let mut all = vec![("untiler.in".to_owned(), vec![d, spec.maps + 1, 5, 5], 1.0)];
    if e > 0 {
        all.push(("tiler.mix".to_owned(), vec![e, spec.folded(), 1, 1], 1.0));
        all.push(("tiler.look".to_owned(), vec![e, 1, 5, 5], 1.0));
        all.push(("tiler.out".to_owned(), vec![spec.maps, e, 1, 1], 0.0));
    }
    if shape.has_gate() {
        all.push(("tiler.gate".to_owned(), vec![gates(spec), e, 1, 1], 0.0));
    }
    for block in 0..shape.decoder_blocks {
        all.push((format!("untiler.{block}.a"), vec![d, d, 3, 3], 1.0));
        all.push((format!("untiler.{block}.b"), vec![d, d, 3, 3], 0.3));
    }
    all.push(("untiler.out".to_owned(), vec![spec.folded(), d, 3, 3], 0.0));
    all
}

/// Masks: fewer than [`GATES`] where there are fewer maps.
fn gates(spec: &TilerSpec) -> usize {
    GATES.min(spec.maps)
}

/// Makes up for masks at their start.
fn open_gate(weight: &mut Weight) {
    let opening = 1.0 + (-GATE_BIAS).exp();
    weight.values = Arc::new(weight.values.iter().map(|value| value * opening).collect());
}

/// Each group of maps times its mask.
fn masked(
    builder: &mut GraphBuilder,
    spec: &TilerSpec,
    maps: NodeId,
    masks: NodeId,
) -> Result<NodeId, GraphError> {
    let groups = gates(spec);
    let mut parts = Vec::with_capacity(groups);
    for group in 0..groups {
        let (start, end) = (group * spec.maps / groups, (group + 1) * spec.maps / groups);
        let part = builder.push(Op::Slice { start, len: end - start }, &[maps])?;
        let mask = builder.push(Op::Slice { start: group, len: 1 }, &[masks])?;
        parts.push(builder.push(Op::Mul, &[part, mask])?);
    }
    builder.push(Op::Concat, &parts)
}

/// A convolution whose padding keeps the size, with its named weights.
fn conv(
    builder: &mut GraphBuilder,
    source: &[Weight],
    name: &str,
    (in_maps, out, size, groups): (usize, usize, usize, usize),
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
    let values = weight_named(source, &weight_name);
    let weight = builder.weight(weight_name, vec![out, in_maps / groups, size, size], values)?;
    let values = weight_named(source, &bias_name);
    let bias = Some(builder.weight(bias_name, vec![out], values)?);
    let pad = size / 2;
    builder.push(Op::Conv { weight, bias, out, size, stride: 1, pad, dilation: 1, groups }, &[input])
}

fn leaky(builder: &mut GraphBuilder, input: NodeId) -> Result<NodeId, GraphError> {
    builder.push(Op::Activate(Activation::Leaky), &[input])
}

/// Every map times its own constant.
fn scale(builder: &mut GraphBuilder, name: &str, by: Vec<f32>, input: NodeId) -> Result<NodeId, GraphError> {
    let maps = by.len();
    let weight = builder.weight(name, vec![maps, 1, 1, 1], by)?;
    let op =
        Op::Conv { weight, bias: None, out: maps, size: 1, stride: 1, pad: 0, dilation: 1, groups: maps };
    builder.push(op, &[input])
}

impl AutoTiler for Lite {
    fn spec(&self) -> &TilerSpec {
        &self.spec
    }

    fn weights(&self) -> Vec<Weight> {
        self.weights.clone()
    }

    /// Linear path plus a branch of 1x1, depth-wise 5x5 and 1x1, which may also make the masks.
    fn encoder(&self) -> Result<Graph, GraphError> {
        let (spec, source, e) = (&self.spec, self.weights.as_slice(), self.shape.encoder_width);
        let mut builder = GraphBuilder::new();
        let b = &mut builder;
        let input = b.input(spec.feature);
        let folded = fold_space(b, spec, input)?;
        let linear = conv(b, source, "tiler.linear", (spec.folded(), spec.maps, 1, 1), folded)?;
        if e == 0 {
            let plane = to_plane(b, spec, linear)?;
            return Ok(builder.finish(&[plane]));
        }
        let mixed = conv(b, source, "tiler.mix", (spec.folded(), e, 1, 1), folded)?;
        let mixed = leaky(b, mixed)?;
        let looked = conv(b, source, "tiler.look", (e, e, 5, e), mixed)?;
        let looked = leaky(b, looked)?;
        let branch = conv(b, source, "tiler.out", (e, spec.maps, 1, 1), looked)?;
        // The branch works on values around 1, the plane in bytes.
        let branch = scale(b, "tiler.unit", vec![PLANE_UNIT; spec.maps], branch)?;
        let mut maps = b.push(Op::Add, &[linear, branch])?;
        if self.shape.has_gate() {
            let masks = conv(b, source, "tiler.gate", (e, gates(spec), 1, 1), looked)?;
            let masks = b.push(Op::Activate(Activation::Logistic), &[masks])?;
            maps = masked(b, spec, maps, masks)?;
        }
        let plane = to_plane(b, spec, maps)?;
        Ok(builder.finish(&[plane]))
    }

    /// Linear path plus a residual branch that also sees the rate, scaled per channel.
    fn decoder(&self) -> Result<Graph, GraphError> {
        let (spec, source, d) = (&self.spec, self.weights.as_slice(), self.shape.decoder_width);
        let mut builder = GraphBuilder::new();
        let b = &mut builder;
        let (maps, rate) = from_plane(b, spec)?;
        let deviation = weight_named(source, DEVIATION);
        let restored = match deviation.as_slice() {
            [] => None,
            some => Some(Restorer::from_weights(source).restore(b, some, maps, rate)?),
        };
        let straight = restored.unwrap_or(maps);
        let linear = conv(b, source, "untiler.linear", (spec.maps, spec.folded(), 1, 1), straight)?;
        let size = spec.maps_shape();
        let spread = b.push_shaped(Op::Expand, &[rate], Shape::new(1, size.h, size.w))?;
        let unit = match restored {
            Some(_) => restorer::in_steps(b, maps, rate)?,
            None => scale(b, "untiler.unit", vec![PLANE_UNIT.recip(); spec.maps], maps)?,
        };
        let seen = b.push(Op::Concat, &[unit, spread])?;
        let mut state = conv(b, source, "untiler.in", (spec.maps + 1, d, 5, 1), seen)?;
        state = leaky(b, state)?;
        for block in 0..self.shape.decoder_blocks {
            let inner = conv(b, source, &format!("untiler.{block}.a"), (d, d, 3, 1), state)?;
            let inner = leaky(b, inner)?;
            let inner = conv(b, source, &format!("untiler.{block}.b"), (d, d, 3, 1), inner)?;
            state = b.push(Op::Add, &[state, inner])?;
        }
        let mut branch = conv(b, source, "untiler.out", (d, spec.folded(), 3, 1), state)?;
        if restored.is_some() {
            let step = restorer::relative_step(b, rate)?;
            branch = b.push(Op::Mul, &[branch, step])?;
        }
        let branch =
            scale(b, "untiler.sigma.weight", weight_named(source, "untiler.sigma.weight").to_vec(), branch)?;
        let folded = b.push(Op::Add, &[linear, branch])?;
        let feature = unfold_space(b, spec, folded)?;
        Ok(builder.finish(&[feature]))
    }
}

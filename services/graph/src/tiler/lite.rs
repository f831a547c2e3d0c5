//! The learned tiler: the KLT, scaled on the device by what the detector is sensitive to, and a heavy part on the
//! server.
//!
//! The transform stays as it was fitted: trained along, it took more from fine planes than it gave to coarse ones.
//! What the device learns is [`Importance`], by itself and first. The server's part starts as the KLT's inverse
//! with [`Restorer`]: its branch ends in zeros. It also sees how coarse the plane is, so one set of weights serves
//! the whole range of gains; beside a restorer its branch works in steps of the quantiser, so that its correction
//! fades as the plane gets finer.

use std::sync::Arc;

use autotiler_core::Shape;

use super::{
    AutoTiler, Importance, ImportanceShape, Klt, Restorer, TilerError, TilerSpec, fold_space, from_plane,
    importance,
    layer::{Kernel, conv, fresh, leaky},
    renewed, to_plane, unfold_space, weight, weight_named,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, Weight},
    op::Op,
    tiler::omni::{DEVIATION, restorer},
};

/// Plane units are divided by this before the decoder's branch, which works on values around 1.
const PLANE_UNIT: f32 = 32.0;

/// Widths of what is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteShape {
    /// The device's network, if it has one.
    pub importance: Option<ImportanceShape>,
    /// Maps inside the decoder's branch.
    pub decoder_width: usize,
    /// Residual blocks in the decoder's branch.
    pub decoder_blocks: usize,
}

impl Default for LiteShape {
    /// What was measured to be best.
    fn default() -> Self {
        let importance = Some(ImportanceShape { width: 32, layers: 3 });
        Self { importance, decoder_width: 32, decoder_blocks: 3 }
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
    /// A tiler that computes what `klt` does, but for an importance that is the same everywhere, where `shape` has
    /// one and there are maps enough; `random` yields values of unit variance.
    ///
    /// # Errors
    /// [`TilerError::Graph`] when `klt` does not fit its own spec.
    pub fn from_klt(
        klt: &Klt,
        shape: LiteShape,
        mut random: impl FnMut() -> f32,
    ) -> Result<Self, TilerError> {
        let spec = klt.spec;
        let shape = LiteShape { importance: shape.importance.filter(|_| Importance::fits(&spec)), ..shape };
        let mut weights = klt.weights();
        for (name, dims, share) in branch_weights(&spec, &shape) {
            weights.extend(fresh(&name, &dims, share, &mut random));
        }
        if let Some(shape) = shape.importance {
            let inverse = weights.iter_mut().filter(|w| w.name == "untiler.linear.weight");
            inverse.for_each(|inverse| forget_last_map(inverse, spec.maps));
            weights.extend_from_slice(Importance::untrained(klt, shape, random).weights());
        }
        Ok(Self { spec, shape, weights })
    }

    /// The same with the importance that `learned` tells.
    #[must_use]
    pub fn with_importance(mut self, learned: &Importance) -> Self {
        self.weights = renewed(&self.weights, learned.weights());
        self
    }

    /// The same with a restorer of its own for each map, which starts as `restorer`. `deviation` holds the
    /// standard deviation of each map in plane units ([`super::KltFit::deviation`]).
    #[must_use]
    pub fn with_restorer(mut self, deviation: &[f32], restorer: &Restorer) -> Self {
        let mut deviation = deviation.to_vec();
        if self.shape.importance.is_some() {
            deviation.splice(deviation.len().saturating_sub(1).., [importance::DEVIATION]);
        }
        self.weights.push(weight(DEVIATION, &[deviation.len()], deviation));
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
            importance: Importance::from_weights(spec, &weights).map(|importance| importance.shape()),
            decoder_width: first_dim("untiler.in.weight"),
            decoder_blocks: (0..).take_while(has_block).count(),
        };
        Self { spec, shape, weights }
    }
}

/// Name, dimensions and initial scale (share of He's) of each convolution in the decoder's branch.
fn branch_weights(spec: &TilerSpec, shape: &LiteShape) -> Vec<(String, Vec<usize>, f32)> {
    let d = shape.decoder_width;
    let mut all = vec![("untiler.in".to_owned(), vec![d, spec.maps + 1, 5, 5], 1.0)];
    for block in 0..shape.decoder_blocks {
        all.push((format!("untiler.{block}.a"), vec![d, d, 3, 3], 1.0));
        all.push((format!("untiler.{block}.b"), vec![d, d, 3, 3], 0.3));
    }
    all.push(("untiler.out".to_owned(), vec![spec.folded(), d, 3, 3], 0.0));
    all
}

/// Keeps a map that says something else out of the inverse `[folded, maps]`.
fn forget_last_map(inverse: &mut Weight, maps: usize) {
    let kept = |(at, value): (usize, &f32)| if at % maps + 1 == maps { 0.0 } else { *value };
    inverse.values = Arc::new(inverse.values.iter().enumerate().map(kept).collect());
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

    /// The transform, and where there is one the importance.
    fn encoder(&self) -> Result<Graph, GraphError> {
        let (spec, source) = (&self.spec, self.weights.as_slice());
        let mut builder = GraphBuilder::new();
        let b = &mut builder;
        let input = b.input(spec.feature);
        let folded = fold_space(b, spec, input)?;
        let mut maps = conv(b, source, "tiler.linear", Kernel::dense(spec.folded(), spec.maps, 1), folded)?;
        if let Some(importance) = Importance::from_weights(*spec, source) {
            maps = importance.emphasise(b, folded, maps)?;
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
        let emphasised = self.shape.importance.is_some();
        let told = if emphasised { Some(importance::told(b, spec, maps)?) } else { None };
        let deviation = weight_named(source, DEVIATION);
        let restored = match deviation.as_slice() {
            [] => None,
            some => Some(Restorer::from_weights(source).restore(b, some, maps, rate, told)?),
        };
        let mut straight = restored.unwrap_or(maps);
        let mut undo = None;
        if emphasised {
            let told = importance::told(b, spec, straight)?;
            let by = importance::undo(b, told)?;
            straight = b.push(Op::Mul, &[straight, by])?;
            undo = Some(by);
        }
        let linear = conv(b, source, "untiler.linear", Kernel::dense(spec.maps, spec.folded(), 1), straight)?;
        let size = spec.maps_shape();
        let spread = b.push_shaped(Op::Expand, &[rate], Shape::new(1, size.h, size.w))?;
        let unit = match restored {
            Some(_) => restorer::in_steps(b, maps, rate)?,
            None => scale(b, "untiler.unit", vec![PLANE_UNIT.recip(); spec.maps], maps)?,
        };
        let seen = b.push(Op::Concat, &[unit, spread])?;
        let mut state = conv(b, source, "untiler.in", Kernel::dense(spec.maps + 1, d, 5), seen)?;
        state = leaky(b, state)?;
        for block in 0..self.shape.decoder_blocks {
            let inner = conv(b, source, &format!("untiler.{block}.a"), Kernel::dense(d, d, 3), state)?;
            let inner = leaky(b, inner)?;
            let inner = conv(b, source, &format!("untiler.{block}.b"), Kernel::dense(d, d, 3), inner)?;
            state = b.push(Op::Add, &[state, inner])?;
        }
        let mut branch = conv(b, source, "untiler.out", Kernel::dense(d, spec.folded(), 3), state)?;
        if restored.is_some() {
            let step = restorer::relative_step(b, rate)?;
            branch = b.push(Op::Mul, &[branch, step])?;
        }
        if let Some(undo) = undo {
            branch = b.push(Op::Mul, &[branch, undo])?;
        }
        let branch =
            scale(b, "untiler.sigma.weight", weight_named(source, "untiler.sigma.weight").to_vec(), branch)?;
        let folded = b.push(Op::Add, &[linear, branch])?;
        let feature = unfold_space(b, spec, folded)?;
        Ok(builder.finish(&[feature]))
    }
}

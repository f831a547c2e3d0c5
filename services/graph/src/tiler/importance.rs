//! Where the detector is sensitive: the device tells it by a small network, and the plane is coded finer there.
//!
//! HEVC quantises all of a plane alike, but what its noise costs differs by place: some cells decide what is
//! detected, most say nothing. So the device multiplies the maps, pixel by pixel, by the root of the sensitivity
//! that it expects (at equal rate, noise in inverse proportion to its cost is what costs least: reverse
//! water-filling), and sends that scale as a map of its own, in place of the weakest. The server divides by it.
//! A wrong scale therefore costs bits, never the detector's answer.

use autotiler_core::Shape;

use super::{
    Klt, TilerSpec,
    exponential::{affine, exponential},
    layer::{Kernel, conv, fresh, leaky},
    renewed, weight,
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, Weight},
    op::{Activation, Op},
};

/// Scales reach from 1 down to `2^-OCTAVES`.
pub const OCTAVES: f64 = 2.0;
/// In the plane a scale is up to so many units off the middle.
const SWING: f64 = 32.0;
/// Octaves of the scale for each unit of the plane.
pub(super) const OCTAVES_PER_UNIT: f64 = OCTAVES / (2.0 * SWING);
/// Standard deviation of the map of scales, plane units: that of one that takes all values alike.
pub(super) const DEVIATION: f32 = (SWING * 0.577) as f32;
/// Fewest maps of which one can be given up.
const FEWEST_MAPS: usize = 8;
/// Cells along the longer side, at most: sensitivity is smooth, and the network looks further in larger cells.
const CELLS: usize = 32;
/// Largest cell.
const LARGEST_CELL: usize = 16;
/// Kernel width and height of the layers that look around.
const SIZE: usize = 5;
/// Spacing of their taps; later layers as the last.
const DILATIONS: [usize; 3] = [1, 2, 2];
const PREFIX: &str = "tiler.importance.";
/// What only turns one unit into another; not learned and in no file.
const CONSTANT: &str = "importance.constant.";

/// Widths of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportanceShape {
    /// Maps inside.
    pub width: usize,
    /// Layers that look around.
    pub layers: usize,
}

/// The network that tells the importance of each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    spec: TilerSpec,
    shape: ImportanceShape,
    weights: Vec<Weight>,
}

impl Importance {
    /// Whether a tiler of these dimensions can have one.
    pub fn fits(spec: &TilerSpec) -> bool {
        spec.maps >= FEWEST_MAPS
    }

    /// One that tells the same of all pixels. `klt` gives mean and deviation of its inputs; `random` yields
    /// values of unit variance.
    pub fn untrained(klt: &Klt, shape: ImportanceShape, mut random: impl FnMut() -> f32) -> Self {
        let (spec, cell) = (klt.spec, cell(&klt.spec));
        let normal = |sigma: &f32| 1.0 / (sigma.max(1e-6) * (cell * cell) as f32);
        let gather = klt.sigma.iter().flat_map(|sigma| vec![normal(sigma); cell * cell]).collect();
        let offset = klt.mean.iter().zip(&klt.sigma).map(|(mean, sigma)| -mean / sigma.max(1e-6)).collect();
        let named = |part: &str, end: &str| format!("{PREFIX}{part}.{end}");
        let mut weights = vec![
            weight(&named("gather", "weight"), &[spec.folded(), 1, cell, cell], gather),
            weight(&named("gather", "bias"), &[spec.folded()], offset),
        ];
        for (part, dims, share) in parts(&spec, shape) {
            weights.extend(fresh(&format!("{PREFIX}{part}"), &dims, share, &mut random));
        }
        Self { spec, shape, weights }
    }

    /// The network among the weights of a file, if there is one.
    pub(super) fn from_weights(spec: TilerSpec, weights: &[Weight]) -> Option<Self> {
        let own: Vec<Weight> = weights.iter().filter(|w| w.name.starts_with(PREFIX)).cloned().collect();
        let mix = own.iter().find(|w| w.name == format!("{PREFIX}mix.weight"))?;
        let width = mix.dims.first().copied()?;
        let has = |layer: &usize| own.iter().any(|w| w.name == format!("{PREFIX}{layer}.look.weight"));
        let shape = ImportanceShape { width, layers: (0..).take_while(has).count() };
        Some(Self { spec, shape, weights: own })
    }

    /// Widths.
    pub fn shape(&self) -> ImportanceShape {
        self.shape
    }

    /// All weights by name.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The same network with the weights of `graph` that bear its names.
    #[must_use]
    pub fn with_weights_of(&self, graph: &Graph) -> Self {
        Self { weights: renewed(&self.weights, &graph.weights), ..self.clone() }
    }

    /// Feature map to the share of [`OCTAVES`] that each pixel is spared of coarseness, 0 to 1.
    ///
    /// # Errors
    /// [`GraphError`] when the weights do not fit.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new();
        let input = builder.input(self.spec.feature);
        let folded = super::fold_space(&mut builder, &self.spec, input)?;
        let share = self.look(&mut builder, folded)?;
        Ok(builder.finish(&[share]))
    }

    /// Whether a weight of this name is a constant of the layout.
    pub(super) fn is_constant(name: &str) -> bool {
        name.starts_with(CONSTANT)
    }

    /// Feature map, space folded, to shares of one map.
    fn look(&self, b: &mut GraphBuilder, folded: NodeId) -> Result<NodeId, GraphError> {
        let (map, width) = (self.spec.maps_shape(), self.shape.width);
        let (cell, folds) = (cell(&self.spec), self.spec.folded());
        let (bottom, right) = (map.h.next_multiple_of(cell) - map.h, map.w.next_multiple_of(cell) - map.w);
        let mut seen = folded;
        if (bottom, right) != (0, 0) {
            seen = b.push(Op::PadEdge { bottom, right }, &[seen])?;
        }
        let gathered = self.conv(b, "gather", Kernel::gather(folds, cell), seen)?;
        let mixed = self.conv(b, "mix", Kernel::dense(folds, width, 1), gathered)?;
        let mut state = leaky(b, mixed)?;
        for layer in 0..self.shape.layers {
            let dilation = DILATIONS[layer.min(DILATIONS.len() - 1)];
            let looked =
                self.conv(b, &format!("{layer}.look"), Kernel::around(width, SIZE, dilation), state)?;
            let looked = leaky(b, looked)?;
            let mixed = self.conv(b, &format!("{layer}.mix"), Kernel::dense(width, width, 1), looked)?;
            let mixed = leaky(b, mixed)?;
            state = b.push(Op::Add, &[state, mixed])?;
        }
        // What is true of the whole picture: how much is in it at all.
        let whole = b.push(Op::GlobalAvgPool, &[state])?;
        let whole = self.conv(b, "whole", Kernel::dense(width, 1, 1), whole)?;
        let bent = leaky(b, state)?;
        let told = self.conv(b, "out", Kernel::dense(width, 1, 1), bent)?;
        let (h, w) = (map.h.div_ceil(cell), map.w.div_ceil(cell));
        let whole = b.push_shaped(Op::Expand, &[whole], Shape::new(1, h, w))?;
        let told = b.push(Op::Add, &[told, whole])?;
        let mut share = b.push(Op::Activate(Activation::Logistic), &[told])?;
        if cell > 1 {
            share = b.push(Op::Upsample { factor: cell }, &[share])?;
        }
        if (bottom, right) != (0, 0) {
            share = b.push_shaped(Op::Crop, &[share], Shape::new(1, map.h, map.w))?;
        }
        Ok(share)
    }

    /// The device's part: `maps` scaled by importance, the last of them replaced by it.
    pub(super) fn emphasise(
        &self,
        b: &mut GraphBuilder,
        folded: NodeId,
        maps: NodeId,
    ) -> Result<NodeId, GraphError> {
        let share = self.look(b, folded)?;
        let scale = exponential(b, &constant("scale"), OCTAVES, (-OCTAVES).exp2(), share)?;
        let (slope, offset) = (2.0 * SWING as f32, -SWING as f32);
        let told = affine(b, &constant("told"), vec![slope], vec![offset], share)?;
        let strong = b.push(Op::Slice { start: 0, len: self.spec.maps - 1 }, &[maps])?;
        let scaled = b.push(Op::Mul, &[strong, scale])?;
        b.push(Op::Concat, &[scaled, told])
    }

    fn conv(
        &self,
        b: &mut GraphBuilder,
        part: &str,
        kernel: Kernel,
        input: NodeId,
    ) -> Result<NodeId, GraphError> {
        conv(b, &self.weights, &format!("{PREFIX}{part}"), kernel, input)
    }
}

/// The last of `maps`: what [`Importance::emphasise`] told, in plane units.
pub(super) fn told(b: &mut GraphBuilder, spec: &TilerSpec, maps: NodeId) -> Result<NodeId, GraphError> {
    b.push(Op::Slice { start: spec.maps - 1, len: 1 }, &[maps])
}

/// What was told in plane units to what undoes the scale.
pub(super) fn undo(b: &mut GraphBuilder, told: NodeId) -> Result<NodeId, GraphError> {
    exponential(b, &constant("undo"), -OCTAVES_PER_UNIT, (OCTAVES / 2.0).exp2(), told)
}

/// Name, dimensions and initial scale (share of He's) of the learned parts behind the gathering of cells.
fn parts(spec: &TilerSpec, shape: ImportanceShape) -> Vec<(String, Vec<usize>, f32)> {
    let width = shape.width;
    let mut all = vec![("mix".to_owned(), vec![width, spec.folded(), 1, 1], 1.0)];
    for layer in 0..shape.layers {
        all.push((format!("{layer}.look"), vec![width, 1, SIZE, SIZE], 1.0));
        all.push((format!("{layer}.mix"), vec![width, width, 1, 1], 0.5));
    }
    all.push(("whole".to_owned(), vec![1, width, 1, 1], 0.0));
    all.push(("out".to_owned(), vec![1, width, 1, 1], 0.0));
    all
}

/// Pixels along a side of the squares that one importance is told of.
fn cell(spec: &TilerSpec) -> usize {
    let map = spec.maps_shape();
    let few = |cell: &usize| map.h.max(map.w).div_ceil(*cell) <= CELLS || *cell == LARGEST_CELL;
    (0..).map(|power| 1 << power).find(few).unwrap_or(LARGEST_CELL)
}

fn constant(name: &str) -> String {
    format!("{CONSTANT}{name}")
}

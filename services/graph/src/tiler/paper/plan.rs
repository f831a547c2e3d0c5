//! Which five points of a network the paper's tilers serve, and at which ratios.

use autotiler_core::{CompressionRatio, LayerIndex, Shape};

use super::{Grade, PaperForm};
use crate::tiler::{TilerError, TilerSpec};

/// Points of a plan.
const POINTS: usize = 5;
/// Points of the core's dimensions, the deepest.
const CORE_POINTS: usize = 3;
/// What every error says in the end.
const WANTED: &str = "the paper's tilers need five points: three deepest of one shape, and two before them \
     whose width and height are 2, 4, 8.. times as large";

/// Why five points have no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PaperError {
    /// More or fewer than five, or not in order of depth.
    #[error("{} points in order of depth are expected, {got:?} given; {WANTED}", POINTS)]
    Points {
        /// Layers given.
        got: Vec<LayerIndex>,
    },
    /// The three deepest are not alike.
    #[error("the three deepest points have the shapes {shapes:?}; {WANTED}")]
    Core {
        /// Their shapes.
        shapes: Vec<Shape>,
    },
    /// A shallow point that halving does not take to the core's size.
    #[error("layer {layer} of {feature} cannot be halved to the core's {core}; {WANTED}")]
    Shallow {
        /// The layer.
        layer: LayerIndex,
        /// Its feature map.
        feature: Shape,
        /// The three deepest points' shape.
        core: Shape,
    },
    /// The plane would not hold a whole part of a feature map.
    #[error(
        "layer {layer} of {feature} has no whole compression ratio with {plane} samples in a plane; {WANTED}"
    )]
    Ratio {
        /// The layer.
        layer: LayerIndex,
        /// Its feature map.
        feature: Shape,
        /// Samples of the plane.
        plane: usize,
    },
    /// The ratio fits no single plane.
    #[error("dimensions of layer {layer}; {WANTED}")]
    Tiler {
        /// The layer.
        layer: LayerIndex,
        /// Why.
        #[source]
        source: TilerError,
    },
    /// A network without five such points.
    #[error("the network has no such points; {WANTED}")]
    NoChoice,
}

/// One of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaperPoint {
    /// The layer.
    pub layer: LayerIndex,
    /// Halvings of width and height to the core.
    pub compat_steps: usize,
    fine: TilerSpec,
    coarse: TilerSpec,
}

impl PaperPoint {
    /// Dimensions at `grade`.
    pub fn spec(&self, grade: Grade) -> TilerSpec {
        match grade {
            Grade::Fine => self.fine,
            Grade::Coarse => self.coarse,
        }
    }

    /// Shape of the feature map.
    pub fn feature(&self) -> Shape {
        self.fine.feature
    }
}

/// Five points of one network and the core that serves them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaperPlan {
    points: Vec<PaperPoint>,
    core: Shape,
    doublings: usize,
}

impl PaperPlan {
    /// The plan for five points in order of depth.
    ///
    /// # Errors
    /// [`PaperError`], which says which points would do.
    pub fn new(points: &[(LayerIndex, Shape)]) -> Result<Self, PaperError> {
        let (true, &[.., (_, third), (_, second), (_, core)]) =
            (points.len() == POINTS && points.is_sorted_by_key(|(layer, _)| *layer), points)
        else {
            return Err(PaperError::Points { got: points.iter().map(|(layer, _)| *layer).collect() });
        };
        if third != core || second != core {
            return Err(PaperError::Core { shapes: vec![third, second, core] });
        }
        let doublings = doublings(core.c);
        let planned = points
            .iter()
            .map(|&(layer, feature)| plan_point(layer, feature, core, doublings))
            .collect::<Result<_, _>>()?;
        Ok(Self { points: planned, core, doublings })
    }

    /// A plan for a network by its partition points: the first, middle and last of the deepest shape that at
    /// least three have, the last point before of twice the size or more, and the last before that.
    ///
    /// # Errors
    /// [`PaperError`], which says which points would do.
    pub fn choose(all: &[(LayerIndex, Shape)]) -> Result<Self, PaperError> {
        let alike = |shape: Shape| all.iter().filter(move |(_, other)| *other == shape).copied();
        let core =
            all.iter().rev().map(|(_, shape)| *shape).find(|&shape| alike(shape).count() >= CORE_POINTS);
        let core: Vec<_> = alike(core.ok_or(PaperError::NoChoice)?).collect();
        let larger = |than: (LayerIndex, Shape)| {
            all.iter().rev().find(|(layer, shape)| *layer < than.0 && shape.h > than.1.h).copied()
        };
        let middle = larger(core[0]).ok_or(PaperError::NoChoice)?;
        let shallow = larger(middle).ok_or(PaperError::NoChoice)?;
        Self::new(&[shallow, middle, core[0], core[core.len() / 2], core[core.len() - 1]])
    }

    /// The five points, in order of depth.
    pub fn points(&self) -> &[PaperPoint] {
        &self.points
    }

    /// Shape of the core's feature maps.
    pub fn core(&self) -> Shape {
        self.core
    }

    /// Positions of the points that the core serves without a compatibility network.
    pub fn core_points(&self) -> std::ops::Range<usize> {
        POINTS - CORE_POINTS..POINTS
    }

    /// Chains of layers of a point, if there is such a point.
    pub fn form(&self, point: usize, grade: Grade) -> Option<PaperForm> {
        let PaperPoint { compat_steps, fine, .. } = *self.points.get(point)?;
        let (maps, core_maps, doublings) = (fine.feature.c, self.core.c, self.doublings);
        Some(PaperForm { maps, core_maps, compat_steps, doublings, grade })
    }
}

/// Doublings that leave about a quarter of the values in the plane, at least one.
fn doublings(maps: usize) -> usize {
    ((maps as f64 / 4.0).log(4.0).round() as i64).max(1) as usize
}

fn plan_point(
    layer: LayerIndex,
    feature: Shape,
    core: Shape,
    doublings: usize,
) -> Result<PaperPoint, PaperError> {
    let halves_to = |steps: &usize| (core.h << steps, core.w << steps) == (feature.h, feature.w);
    let compat_steps = (0..16).find(halves_to).ok_or(PaperError::Shallow { layer, feature, core })?;
    let plane = (core.h << doublings) * (core.w << doublings);
    let spec = |samples: usize| {
        let ratio = feature.len() / samples.max(1);
        let whole = ratio * samples == feature.len();
        let ratio = u16::try_from(ratio).ok().filter(|_| whole).map(CompressionRatio::try_new);
        let Some(Ok(cr)) = ratio else { return Err(PaperError::Ratio { layer, feature, plane: samples }) };
        TilerSpec::single_plane(layer, feature, cr).map_err(|source| PaperError::Tiler { layer, source })
    };
    Ok(PaperPoint { layer, compat_steps, fine: spec(plane)?, coarse: spec(plane / 4)? })
}

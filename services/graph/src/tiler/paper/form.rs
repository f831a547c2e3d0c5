//! Which layers the paper's tiler of one point and grade has.

use autotiler_core::Shape;

use crate::{
    graph::Weight,
    tiler::chain::{End, Layer},
};

/// Kernel at the plane.
const PLANE_KERNEL: usize = 9;
/// Kernel of the core.
const CORE_KERNEL: usize = 5;
/// Kernel of the compatibility networks.
const COMPAT_KERNEL: usize = 7;
/// Kernel of the last of several layers of a compatibility decoder.
const LAST_COMPAT_KERNEL: usize = 4;
/// Fewest maps in the extra layers.
const FEWEST_EXTRA_MAPS: usize = 8;

/// The two ratios of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grade {
    /// The core's own plane.
    Fine,
    /// Four times the ratio, by extra layers.
    Coarse,
}

/// What fixes the layers of a tiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaperForm {
    /// Maps of the feature map.
    pub maps: usize,
    /// Maps of the core's feature maps.
    pub core_maps: usize,
    /// Layers of the compatibility encoder; each halves width and height.
    pub compat_steps: usize,
    /// Doublings of width and height from the core's feature maps to the fine plane.
    pub doublings: usize,
    /// Ratio.
    pub grade: Grade,
}

impl PaperForm {
    /// The form whose layers these weights have; where they are of no form, building a graph names what is
    /// missing.
    pub(super) fn of_weights(feature: Shape, weights: &[Weight]) -> Self {
        let dim = |name: String, at: usize| {
            weights.iter().find(|w| w.name == name).and_then(|w| w.dims.get(at).copied())
        };
        let layers = |part: &str| {
            (0..weights.len()).take_while(|i| dim(format!("tiler.{part}.{i}.weight"), 0).is_some()).count()
        };
        let extra = layers("extra") > 0;
        Self {
            maps: feature.c,
            core_maps: dim("tiler.core.0.weight".to_owned(), 0).unwrap_or(feature.c),
            compat_steps: layers("compat"),
            doublings: layers("core").saturating_sub(1),
            grade: if extra { Grade::Coarse } else { Grade::Fine },
        }
    }

    /// Layers from the feature map to the plane's greys.
    pub fn encoder(&self) -> Vec<Layer> {
        let mut chain = self.compat_encoder();
        chain.extend(self.core_encoder());
        if self.grade == Grade::Coarse {
            chain.extend(self.extra_encoder());
        }
        chain
    }

    /// Layers from the plane's greys to the feature map.
    pub fn decoder(&self) -> Vec<Layer> {
        let mut chain = match self.grade {
            Grade::Fine => Vec::new(),
            Grade::Coarse => self.extra_decoder(),
        };
        chain.extend(self.core_decoder());
        chain.extend(self.compat_decoder());
        chain
    }

    /// Maps from the core's feature maps to the last before the plane.
    fn core_widths(&self) -> Vec<usize> {
        (0..=self.doublings).map(|i| halved(self.core_maps, i)).collect()
    }

    /// Maps from the feature map to the core's, in equal ratios.
    fn compat_widths(&self) -> Vec<usize> {
        let (from, ratio) = (self.maps as f64, self.core_maps as f64 / self.maps.max(1) as f64);
        let width = |i: usize| match i {
            0 => self.maps,
            i if i == self.compat_steps => self.core_maps,
            i => ((from * ratio.powf(i as f64 / self.compat_steps as f64)).round() as usize).max(1),
        };
        (0..=self.compat_steps).map(width).collect()
    }

    pub(super) fn compat_encoder(&self) -> Vec<Layer> {
        let layer = |(i, maps): (usize, &[usize])| {
            Layer::new(format!("tiler.compat.{i}"), COMPAT_KERNEL, (maps[0], maps[1])).halving()
        };
        ending(self.compat_widths().windows(2).enumerate().map(layer).collect(), End::Linear)
    }

    pub(super) fn core_encoder(&self) -> Vec<Layer> {
        let widths = self.core_widths();
        let layer = |(i, maps): (usize, &[usize])| {
            Layer::new(format!("tiler.core.{i}"), CORE_KERNEL, (maps[0], maps[1])).doubling()
        };
        let mut chain: Vec<Layer> = widths.windows(2).enumerate().map(layer).collect();
        let last = halved(self.core_maps, self.doublings);
        chain.push(Layer::new(format!("tiler.core.{}", self.doublings), PLANE_KERNEL, (last, 1)));
        ending(chain, End::Sigmoid)
    }

    pub(super) fn extra_encoder(&self) -> Vec<Layer> {
        let x = self.extra_maps();
        vec![
            Layer::new("tiler.extra.0".to_owned(), CORE_KERNEL, (1, x)).halving().seeing_grey(),
            Layer::new("tiler.extra.1".to_owned(), CORE_KERNEL, (x, x)),
            Layer::new("tiler.extra.2".to_owned(), PLANE_KERNEL, (x, 1)).ending(End::Sigmoid),
        ]
    }

    pub(super) fn extra_decoder(&self) -> Vec<Layer> {
        let y = self.extra_maps() * 3 / 4;
        vec![
            Layer::new("untiler.extra.0".to_owned(), CORE_KERNEL, (1, y)).doubling().seeing_grey(),
            Layer::new("untiler.extra.1".to_owned(), CORE_KERNEL, (y, y)),
            Layer::new("untiler.extra.2".to_owned(), CORE_KERNEL, (y, 1)).ending(End::Grey),
        ]
    }

    pub(super) fn core_decoder(&self) -> Vec<Layer> {
        let mut widths = self.core_widths();
        widths.reverse();
        let first = halved(self.core_maps, self.doublings);
        let mut chain = vec![Layer::new("untiler.core.0".to_owned(), PLANE_KERNEL, (1, first)).seeing_grey()];
        let layer = |(i, maps): (usize, &[usize])| {
            Layer::new(format!("untiler.core.{}", i + 1), CORE_KERNEL, (maps[0], maps[1])).halving()
        };
        chain.extend(widths.windows(2).enumerate().map(layer));
        ending(chain, End::Linear)
    }

    pub(super) fn compat_decoder(&self) -> Vec<Layer> {
        let mut widths = self.compat_widths();
        widths.reverse();
        let size = |i: usize| {
            let last_of_several = self.compat_steps > 1 && i + 1 == self.compat_steps;
            if last_of_several { LAST_COMPAT_KERNEL } else { COMPAT_KERNEL }
        };
        let layer = |(i, maps): (usize, &[usize])| {
            Layer::new(format!("untiler.compat.{i}"), size(i), (maps[0], maps[1])).doubling()
        };
        ending(widths.windows(2).enumerate().map(layer).collect(), End::Linear)
    }

    fn extra_maps(&self) -> usize {
        (self.core_maps / 8).max(FEWEST_EXTRA_MAPS)
    }
}

/// `maps / 2^times`, at least 1.
fn halved(maps: usize, times: usize) -> usize {
    u32::try_from(times).ok().and_then(|times| maps.checked_shr(times)).unwrap_or(0).max(1)
}

/// The chain with `end` after its last layer.
fn ending(mut chain: Vec<Layer>, end: End) -> Vec<Layer> {
    if let Some(last) = chain.last_mut() {
        last.end = end;
    }
    chain
}

//! Dimensions of a tiler: how many maps of which size lie where in the plane.

use autotiler_core::{CompressionRatio, LayerIndex, Shape};

use super::TilerError;

/// A plane keeps at least this many maps where the ratio allows it: with fewer, whole directions of the
/// feature space are lost and accuracy has a low ceiling at any rate.
const FEWEST_MAPS: usize = 8;
/// Largest block: blocks beyond this only repeat what the codec's own transform does.
const LARGEST_BLOCK: usize = 8;
/// Largest ratio that an error names for a plane of one map.
const LARGEST_SINGLE_RATIO: u16 = 4096;
/// Coded sizes are multiples of this (HEVC's smallest coding unit).
const CODED_MULTIPLE: usize = 8;
/// Longest side of a plane, where maps can lie otherwise: beyond this decoders need not follow.
const LONGEST_SIDE: usize = 8192;

/// Maps across and down in a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Maps across.
    pub cols: usize,
    /// Maps down.
    pub rows: usize,
}

/// Dimensions of a tiler for one partition point and one compression ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilerSpec {
    /// Partition point.
    pub layer: LayerIndex,
    /// Values of the feature map per value of the plane.
    pub cr: CompressionRatio,
    /// Shape of the feature map.
    pub feature: Shape,
    /// `block x block` pixels are mixed with the channels; 1 leaves space alone.
    pub block: usize,
    /// Maps in the plane.
    pub maps: usize,
    /// Where they lie.
    pub grid: Grid,
}

impl TilerSpec {
    /// The dimensions for `feature` at `cr`: the smallest block that leaves at least eight maps, else the
    /// largest possible one.
    ///
    /// # Errors
    /// [`TilerError::Ratio`] when no block gives a whole number of maps.
    pub fn new(layer: LayerIndex, feature: Shape, cr: CompressionRatio) -> Result<Self, TilerError> {
        let ratio = usize::from(cr.get());
        let (block, maps) = choose_block(feature, ratio).ok_or_else(|| TilerError::Ratio {
            cr: cr.get(),
            feature,
            possible: (1..=64).filter(|&r| choose_block(feature, usize::from(r)).is_some()).collect(),
        })?;
        let (h, w) = (feature.h.div_ceil(block), feature.w.div_ceil(block));
        let grid = choose_grid(maps, h, w);
        Ok(Self { layer, cr, feature, block, maps, grid })
    }

    /// The dimensions of a tiler whose plane is one map, `sqrt(C / cr)` times as high and wide as the feature
    /// map: above 1 as that many maps of a grid, below 1 as a block.
    ///
    /// # Errors
    /// [`TilerError::Ratio`] when that factor is no power of two or leaves less than a pixel.
    pub fn single_plane(layer: LayerIndex, feature: Shape, cr: CompressionRatio) -> Result<Self, TilerError> {
        let ratio = usize::from(cr.get());
        let (block, side) = choose_side(feature, ratio).ok_or_else(|| TilerError::Ratio {
            cr: cr.get(),
            feature,
            possible: (1..=LARGEST_SINGLE_RATIO)
                .filter(|&r| choose_side(feature, r.into()).is_some())
                .collect(),
        })?;
        Ok(Self { layer, cr, feature, block, maps: side * side, grid: Grid { cols: side, rows: side } })
    }

    /// The dimensions of a tiler that leaves space alone: `C / cr` maps side by side.
    ///
    /// # Errors
    /// [`TilerError::Ratio`] for a ratio that does not divide the channels.
    pub fn tiled(layer: LayerIndex, feature: Shape, cr: CompressionRatio) -> Result<Self, TilerError> {
        let ratio = usize::from(cr.get());
        let divides = |ratio: usize| feature.c > 0 && feature.c.is_multiple_of(ratio);
        if !divides(ratio) {
            let possible = (1..=u16::MAX).take_while(|&r| usize::from(r) <= feature.c);
            let possible = possible.filter(|&r| divides(r.into())).collect();
            return Err(TilerError::Ratio { cr: cr.get(), feature, possible });
        }
        let maps = feature.c / ratio;
        Ok(Self { layer, cr, feature, block: 1, maps, grid: choose_grid(maps, feature.h, feature.w) })
    }

    /// Shape of the maps that lie in the plane.
    pub fn maps_shape(&self) -> Shape {
        Shape::new(self.maps, self.feature.h.div_ceil(self.block), self.feature.w.div_ceil(self.block))
    }

    /// Channels after space is folded into them.
    pub fn folded(&self) -> usize {
        self.feature.c * self.block * self.block
    }

    /// Shape of the plane: one map.
    pub fn plane(&self) -> Shape {
        let map = self.maps_shape();
        Shape::new(1, self.grid.rows * map.h, self.grid.cols * map.w)
    }

    /// Rows and columns added so that the block divides the feature map.
    pub fn padding(&self) -> (usize, usize) {
        let map = self.maps_shape();
        (map.h * self.block - self.feature.h, map.w * self.block - self.feature.w)
    }
}

/// Block and maps along one side of the grid for a ratio at which the plane is one map.
fn choose_side(feature: Shape, ratio: usize) -> Option<(usize, usize)> {
    let small_enough = |block: usize| block <= feature.h && block <= feature.w;
    let enlarged = [1, 2, 4, 8, 16, 32].map(|side| (1, side));
    let reduced = [2, 4, 8].map(|block| (block, 1));
    let fits = |(block, side): &(usize, usize)| {
        small_enough(*block) && feature.c * block * block == ratio * side * side && feature.c > 0
    };
    enlarged.into_iter().chain(reduced).find(fits)
}

/// Block and maps for a ratio, if there is a whole number of maps.
fn choose_block(feature: Shape, ratio: usize) -> Option<(usize, usize)> {
    // Space is folded only where channels are given up for it.
    let largest = if ratio == 1 { 1 } else { LARGEST_BLOCK };
    let fits = |block: usize| {
        let folded = feature.c * block * block;
        let small_enough = block <= feature.h.max(1) && block <= feature.w.max(1);
        (small_enough && folded.is_multiple_of(ratio) && folded > 0).then_some((block, folded / ratio))
    };
    let blocks = || [1, 2, 4, 8].into_iter().filter(move |&b| b <= largest).filter_map(fits);
    blocks().find(|&(_, maps)| maps >= FEWEST_MAPS).or_else(|| blocks().next_back())
}

/// The grid whose coded area is smallest, within the longest side; among equals the one nearest to a square.
fn choose_grid(maps: usize, h: usize, w: usize) -> Grid {
    let coded = |grid: &Grid| {
        let round_up = |n: usize| n.next_multiple_of(CODED_MULTIPLE);
        let (height, width) = (round_up(grid.rows * h), round_up(grid.cols * w));
        (height.max(width) > LONGEST_SIDE, height * width, height.abs_diff(width), height)
    };
    let grids = (1..=maps.max(1)).map(|cols| Grid { cols, rows: maps.max(1).div_ceil(cols) });
    grids.min_by_key(coded).unwrap_or(Grid { cols: 1, rows: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(c: usize, h: usize, w: usize, cr: u16) -> Result<TilerSpec, TilerError> {
        TilerSpec::new(LayerIndex(0), Shape::new(c, h, w), CompressionRatio::try_new(cr).unwrap())
    }

    #[test]
    fn full_rank_maps_lie_near_square_without_waste() {
        assert_eq!(spec(32, 20, 20, 1).unwrap().plane(), Shape::new(1, 80, 160));
        assert_eq!(spec(16, 40, 40, 1).unwrap().plane(), Shape::new(1, 160, 160));
        assert_eq!(spec(48, 20, 20, 1).unwrap().plane(), Shape::new(1, 120, 160));
    }

    #[test]
    fn a_ratio_folds_space_until_eight_maps_are_left() {
        let tight = spec(16, 40, 40, 8).unwrap();
        assert_eq!((tight.block, tight.maps), (2, 8));
        assert_eq!(tight.plane().len() * 8, 16 * 40 * 40);
        assert_eq!(spec(256, 52, 52, 16).unwrap().block, 1);
    }

    #[test]
    fn an_impossible_ratio_names_the_possible_ones() {
        let Err(TilerError::Ratio { possible, .. }) = spec(16, 40, 40, 7) else { panic!() };
        assert!(possible.contains(&8) && !possible.contains(&7));
    }

    #[test]
    fn a_single_plane_grows_or_shrinks_by_powers_of_two() {
        let single = |c, h, w, cr| {
            let cr = CompressionRatio::try_new(cr).unwrap();
            TilerSpec::single_plane(LayerIndex(0), Shape::new(c, h, w), cr)
        };
        assert_eq!(single(256, 52, 52, 4).unwrap().plane(), Shape::new(1, 416, 416));
        assert_eq!(single(256, 52, 52, 16).unwrap().plane(), Shape::new(1, 208, 208));
        assert_eq!(single(64, 208, 208, 64).unwrap().plane(), Shape::new(1, 208, 208));
        assert_eq!(single(12, 80, 80, 48).unwrap().plane(), Shape::new(1, 40, 40));
        assert_eq!(single(48, 20, 20, 3).unwrap().plane(), Shape::new(1, 80, 80));
        let Err(TilerError::Ratio { possible, .. }) = single(48, 20, 20, 4) else { panic!() };
        assert_eq!(possible, [3, 12, 48, 192, 768, 3072]);
    }

    proptest::proptest! {
        #[test]
        fn every_shape_has_a_full_rank_plane(c in 1usize..80, h in 1usize..40, w in 1usize..40) {
            let spec = spec(c, h, w, 1).unwrap();
            proptest::prop_assert!(spec.plane().len() >= c * h * w);
            proptest::prop_assert!(spec.grid.cols * spec.grid.rows >= spec.maps);
        }
    }
}

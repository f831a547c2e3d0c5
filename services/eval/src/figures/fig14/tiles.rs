//! Tiling as the literature does it: minimum and maximum of the feature map, then bytes side by side, in one frame
//! or in one frame for each map.

use autotiler_graph::tiler::TilerSpec;

/// The bytes of a feature map, and how they become values again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tiles {
    /// The frames: one, or one for each map.
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) low: f32,
    /// Value of a byte's step.
    pub(super) step: f32,
}

/// Where the maps of a feature map lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Maps side by side.
    pub(super) spec: TilerSpec,
    /// One frame for each map.
    pub(super) each_map: bool,
}

impl Layout {
    /// Height and width of a frame.
    pub(super) fn frame(&self) -> (usize, usize) {
        let shape = if self.each_map { self.spec.maps_shape() } else { self.spec.plane() };
        (shape.h, shape.w)
    }

    /// Normalises and tiles.
    pub(super) fn tile(&self, feature: &[f32]) -> Tiles {
        let (low, high) = feature
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        let step = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
        let scale = step.recip();
        let byte = |&value: &f32| ((value - low) * scale + 0.5) as u8;
        let (h, w) = self.frame();
        let map = self.spec.maps_shape();
        let maps = feature.chunks_exact(map.h * map.w);
        if self.each_map {
            return Tiles { frames: maps.map(|map| map.iter().map(byte).collect()).collect(), low, step };
        }
        let mut plane = vec![0; h * w];
        for (number, values) in maps.enumerate() {
            let start = self.start(number);
            for (y, row) in values.chunks_exact(map.w).enumerate() {
                if let Some(to) = plane.get_mut(start + y * w..start + y * w + map.w) {
                    to.iter_mut().zip(row).for_each(|(to, value)| *to = byte(value));
                }
            }
        }
        Tiles { frames: vec![plane], low, step }
    }

    /// The inverse; `gains` undo what the codec's samples are still scaled by, one for each frame.
    pub(super) fn untile(&self, tiles: &Tiles, gains: &[f32]) -> Vec<f32> {
        let value =
            |gain: f32| move |&byte: &u8| ((f32::from(byte) - 128.0) / gain + 128.0) * tiles.step + tiles.low;
        let gain = |number: usize| gains.get(number).copied().unwrap_or(1.0);
        let (map, (_, w)) = (self.spec.maps_shape(), self.frame());
        let mut feature = Vec::with_capacity(self.spec.maps * map.h * map.w);
        if self.each_map {
            for (number, frame) in tiles.frames.iter().enumerate() {
                feature.extend(frame.iter().map(value(gain(number))));
            }
            return feature;
        }
        let plane = tiles.frames.first().map(Vec::as_slice).unwrap_or_default();
        for start in (0..self.spec.maps).map(|number| self.start(number)) {
            for y in 0..map.h {
                let row = plane.get(start + y * w..start + y * w + map.w).unwrap_or_default();
                feature.extend(row.iter().map(value(gain(0))));
            }
        }
        feature
    }

    /// First sample of a map in the tiled frame.
    fn start(&self, number: usize) -> usize {
        let (map, columns) = (self.spec.maps_shape(), self.spec.grid.cols.max(1));
        let (_, w) = self.frame();
        number / columns * map.h * w + number % columns * map.w
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::{CompressionRatio, LayerIndex, Shape};

    use super::*;

    #[test]
    fn tiles_come_back_within_half_a_step() {
        let shape = Shape::new(6, 5, 7);
        let spec = TilerSpec::new(LayerIndex(1), shape, CompressionRatio::ONE).unwrap();
        let feature: Vec<f32> = (0..shape.len()).map(|i| (i as f32 * 0.37).sin() * 3.0 - 1.0).collect();
        for each_map in [false, true] {
            let layout = Layout { spec, each_map };
            let tiles = layout.tile(&feature);
            assert_eq!(tiles.frames.len(), if each_map { 6 } else { 1 });
            let back = layout.untile(&tiles, &vec![1.0; tiles.frames.len()]);
            assert_eq!(back.len(), feature.len());
            let off = feature.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= tiles.step * 0.51, "{off} of {}", tiles.step);
        }
    }

    #[test]
    fn a_flat_feature_map_is_no_division_by_zero() {
        let spec = TilerSpec::new(LayerIndex(1), Shape::new(2, 2, 2), CompressionRatio::ONE).unwrap();
        let layout = Layout { spec, each_map: false };
        let tiles = layout.tile(&[3.0; 8]);
        assert!(layout.untile(&tiles, &[1.0]).iter().all(|value| (value - 3.0).abs() < 1e-6));
    }
}

//! Bilinear resampling without antialiasing, pixel middles at halves: what OpenCV calls `INTER_LINEAR`
//! and PyTorch `align_corners=false`. Detectors are trained and scored on pictures squashed this way.

/// Where the values of one output column or row come from.
#[derive(Debug, Clone, Copy)]
struct Tap {
    /// Offset of the first source, and of the second.
    from: [usize; 2],
    /// Weight of the second.
    weight: f32,
}

/// Tables for one pair of sizes, to be used for many pictures.
#[derive(Debug, Clone)]
pub struct Resampler {
    source: (usize, usize),
    target: (usize, usize),
    /// Offsets in values (three for a pixel).
    columns: Vec<Tap>,
    /// Offsets in rows.
    rows: Vec<Tap>,
    /// One source row, mixed of two.
    mixed: Vec<f32>,
}

impl Resampler {
    /// From pictures of `source` to `target`, each (width, height).
    pub fn new(source: (usize, usize), target: (usize, usize)) -> Self {
        let columns = taps(source.0, target.0, 3);
        let rows = taps(source.1, target.1, 1);
        Self { source, target, columns, rows, mixed: vec![0.0; source.0 * 3] }
    }

    /// The size that it reads, (width, height).
    pub fn source(&self) -> (usize, usize) {
        self.source
    }

    /// Writes the network's input: (3, height, width) of the target, red plane first, 0 to 1.
    ///
    /// # Panics
    /// When `rgb` has not the source's number of values, or `input` not the target's.
    pub fn input_into(&mut self, rgb: &[u8], input: &mut [f32]) {
        let (width, height) = self.target;
        self.check(rgb, input.len());
        if width * height == 0 {
            return;
        }
        let (red, rest) = input.split_at_mut(width * height);
        let (green, blue) = rest.split_at_mut(width * height);
        if self.source == self.target {
            for (i, pixel) in rgb.chunks_exact(3).enumerate() {
                let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(|v| f32::from(v) / 255.0);
                (red[i], green[i], blue[i]) = (r, g, b);
            }
            return;
        }
        let planes = red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width));
        let planes = planes.zip(blue.chunks_exact_mut(width));
        for (row, ((red, green), blue)) in self.rows.iter().zip(planes) {
            mix_rows(rgb, self.source.0 * 3, row, 1.0 / 255.0, &mut self.mixed);
            for (x, column) in self.columns.iter().enumerate() {
                (red[x], green[x], blue[x]) = column.pixel(&self.mixed).into();
            }
        }
    }

    /// The picture's pixels at the target size, rounded to the nearest.
    ///
    /// # Panics
    /// When `rgb` has not the source's number of values.
    pub fn resize(&mut self, rgb: &[u8]) -> Vec<u8> {
        let (width, height) = self.target;
        self.check(rgb, width * height * 3);
        if self.source == self.target {
            return rgb.to_vec();
        }
        let mut resized = Vec::with_capacity(width * height * 3);
        for row in &self.rows {
            mix_rows(rgb, self.source.0 * 3, row, 1.0, &mut self.mixed);
            let pixels = self.columns.iter().flat_map(|column| column.pixel(&self.mixed));
            resized.extend(pixels.map(|v| (v + 0.5) as u8));
        }
        resized
    }

    fn check(&self, rgb: &[u8], values: usize) {
        assert_eq!(rgb.len(), self.source.0 * self.source.1 * 3, "picture is not of the source size");
        assert_eq!(values, self.target.0 * self.target.1 * 3, "buffer is not of the target size");
    }
}

impl Tap {
    fn pixel(&self, row: &[f32]) -> [f32; 3] {
        let [a, b] = self.from.map(|at| &row[at..at + 3]);
        std::array::from_fn(|c| a[c] + (b[c] - a[c]) * self.weight)
    }
}

/// Taps for each of `target` positions over `source` positions, offsets times `step`.
fn taps(source: usize, target: usize, step: usize) -> Vec<Tap> {
    let scale = source as f64 / target.max(1) as f64;
    let last = source.saturating_sub(1);
    (0..target)
        .map(|i| {
            let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, last as f64);
            let first = at as usize;
            let from = [first * step, (first + 1).min(last) * step];
            Tap { from, weight: (at - first as f64) as f32 }
        })
        .collect()
}

/// Mixes two rows of bytes by the tap's weight, times `gain`.
fn mix_rows(rgb: &[u8], stride: usize, row: &Tap, gain: f32, mixed: &mut [f32]) {
    let [above, below] = row.from.map(|y| &rgb[y * stride..(y + 1) * stride]);
    let (keep, weight) = ((1.0 - row.weight) * gain, row.weight * gain);
    for ((mixed, &a), &b) in mixed.iter_mut().zip(above).zip(below) {
        *mixed = f32::from(a) * keep + f32::from(b) * weight;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&v| [v; 3]).collect()
    }

    fn red(values: &[f32]) -> &[f32] {
        &values[..values.len() / 3]
    }

    #[test]
    fn halving_means_two_neighbours_and_doubling_takes_quarters() {
        // torch interpolate(mode="bilinear", align_corners=False) gives the same.
        let half = Resampler::new((4, 1), (2, 1)).resize(&grey(&[0, 100, 200, 40]));
        assert_eq!(half, grey(&[50, 120]));
        let double = Resampler::new((2, 1), (4, 1)).resize(&grey(&[0, 100]));
        assert_eq!(double, grey(&[0, 25, 75, 100]));
    }

    #[test]
    fn shrinking_by_four_skips_what_lies_between() {
        // No antialiasing: each output sees the two in the middle of its four only.
        let shrunk = Resampler::new((8, 1), (2, 1)).resize(&grey(&[255, 10, 20, 255, 255, 30, 40, 255]));
        assert_eq!(shrunk, grey(&[15, 35]));
    }

    #[test]
    fn both_directions_are_mixed() {
        let mut input = [0.0; 3];
        Resampler::new((2, 2), (1, 1)).input_into(&grey(&[0, 51, 102, 255]), &mut input);
        assert!(input.iter().all(|v| (v - 0.4).abs() < 1e-6), "{input:?}");
    }

    #[test]
    fn planes_are_red_green_blue() {
        let mut input = [0.0; 6];
        Resampler::new((2, 1), (2, 1)).input_into(&[255, 0, 51, 0, 255, 102], &mut input);
        assert_eq!(input, [1.0, 0.0, 0.0, 1.0, 0.2, 0.4]);
    }

    proptest! {
        #[test]
        fn input_and_resize_agree_within_rounding(
            (w, h, rgb) in (1usize..20, 1usize..20).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(any::<u8>(), w * h * 3))
            }),
            tw in 1usize..24, th in 1usize..24,
        ) {
            let mut input = vec![0.0; tw * th * 3];
            let mut resampler = Resampler::new((w, h), (tw, th));
            resampler.input_into(&rgb, &mut input);
            let resized = resampler.resize(&rgb);
            for (value, byte) in red(&input).iter().zip(resized.iter().step_by(3)) {
                prop_assert!((value * 255.0 - f32::from(*byte)).abs() <= 0.501);
            }
        }
    }
}

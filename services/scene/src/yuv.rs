//! Pictures as planar 4:2:0 (BT.601, full range), which is what the picture codec takes.

use crate::picture::{Picture, PictureError};

impl Picture {
    /// The picture as 4:2:0: `width * height` of luma, then a quarter of that of each blue and red chroma
    /// (each the mean of two by two pixels).
    ///
    /// # Errors
    /// [`PictureError::OddSides`].
    pub fn to_yuv420(&self) -> Result<Vec<u8>, PictureError> {
        let (width, height) = even(self.width, self.height)?;
        let pixels = width * height;
        let mut planes = vec![0; pixels * 3 / 2];
        let (luma, chroma) = planes.split_at_mut(pixels);
        let (blue, red) = chroma.split_at_mut(pixels / 4);
        for (y, pixel) in luma.iter_mut().zip(self.rgb.chunks_exact(3)) {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            *y = (0.299 * r + 0.587 * g + 0.114 * b + 0.5) as u8;
        }
        let stride = width * 3;
        let chroma_rows = blue.chunks_exact_mut(width / 2).zip(red.chunks_exact_mut(width / 2));
        for (rows, (blue, red)) in self.rgb.chunks_exact(2 * stride).zip(chroma_rows) {
            let (above, below) = rows.split_at(stride);
            let squares = above.chunks_exact(6).zip(below.chunks_exact(6));
            for ((a, b), (blue, red)) in squares.zip(blue.iter_mut().zip(red)) {
                let mean =
                    |c: usize| [a[c], a[c + 3], b[c], b[c + 3]].map(f32::from).iter().sum::<f32>() / 4.0;
                let rgb = [mean(0), mean(1), mean(2)];
                *blue = (128.5 - 0.168_736 * rgb[0] - 0.331_264 * rgb[1] + 0.5 * rgb[2]) as u8;
                *red = (128.5 + 0.5 * rgb[0] - 0.418_688 * rgb[1] - 0.081_312 * rgb[2]) as u8;
            }
        }
        Ok(planes)
    }

    /// A picture from its planes, as [`Picture::to_yuv420`] gives them.
    ///
    /// # Errors
    /// [`PictureError::OddSides`], or [`PictureError::Values`] when the planes have another size.
    pub fn from_yuv420(width: usize, height: usize, planes: &[u8]) -> Result<Self, PictureError> {
        let (width, height) = even(width, height)?;
        let pixels = width.checked_mul(height).filter(|&pixels| pixels > 0 && planes.len() == pixels / 2 * 3);
        let Some(pixels) = pixels else {
            return Err(PictureError::Values { width, height, got: planes.len() });
        };
        let (luma, chroma) = planes.split_at(pixels);
        let (blue, red) = chroma.split_at(pixels / 4);
        let mut rgb = Vec::with_capacity(pixels * 3);
        for (y, row) in luma.chunks_exact(width).enumerate() {
            let start = y / 2 * (width / 2);
            let (blue, red) = (&blue[start..start + width / 2], &red[start..start + width / 2]);
            for ((pair, &blue), &red) in row.chunks_exact(2).zip(blue).zip(red) {
                let (blue, red) = (f32::from(blue) - 128.0, f32::from(red) - 128.0);
                let add = [1.402 * red, -0.344_136 * blue - 0.714_136 * red, 1.772 * blue];
                for &luma in pair {
                    // Saturates at 0 and 255.
                    rgb.extend(add.map(|add| (f32::from(luma) + add + 0.5) as u8));
                }
            }
        }
        Self::try_new(width, height, rgb)
    }
}

fn even(width: usize, height: usize) -> Result<(usize, usize), PictureError> {
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    even.then_some((width, height)).ok_or(PictureError::OddSides { width, height })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn primaries_have_the_values_of_jfif() {
        let planes = |rgb| Picture::filled(2, 2, rgb).to_yuv420().unwrap()[3..].to_vec();
        assert_eq!(planes([255, 255, 255]), [255, 128, 128]);
        assert_eq!(planes([255, 0, 0]), [76, 85, 255]);
        assert_eq!(planes([0, 0, 255]), [29, 255, 107]);
    }

    #[test]
    fn odd_sides_and_wrong_lengths_are_refused() {
        let odd = Picture::filled(3, 2, [0; 3]).to_yuv420();
        assert!(matches!(odd, Err(PictureError::OddSides { .. })));
        assert!(matches!(Picture::from_yuv420(4, 4, &[0; 23]), Err(PictureError::Values { got: 23, .. })));
        assert!(Picture::from_yuv420(0, 0, &[]).is_err());
    }

    proptest! {
        #[test]
        fn squares_of_one_colour_round_trip(
            colours in prop::collection::vec(any::<[u8; 3]>(), 6),
        ) {
            let mut picture = Picture::filled(6, 4, [0; 3]);
            for (i, &rgb) in colours.iter().enumerate() {
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    picture.set_pixel(i % 3 * 2 + dx, i / 3 * 2 + dy, rgb);
                }
            }
            let back = Picture::from_yuv420(6, 4, &picture.to_yuv420().unwrap()).unwrap();
            // Half a step of luma and chroma, the chroma times up to 1.772, and the last rounding.
            for (a, b) in picture.rgb.iter().zip(&back.rgb) {
                prop_assert!(a.abs_diff(*b) <= 2, "{a} {b}");
            }
        }
    }
}

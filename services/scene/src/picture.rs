//! One picture: 8-bit RGB, row by row; reading and writing it as a file's bytes.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder, ImageReader, codecs::png::PngEncoder};

use crate::resample::Resampler;

/// Longest side of a picture that is decoded, so that a hostile header cannot claim all memory.
const LONGEST_SIDE: u32 = 16_384;

/// A picture in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` values: red, green, blue of each pixel, rows from the top.
    pub rgb: Vec<u8>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The bytes are no JPEG and no PNG, are cut off, or claim to be too large.
    #[error("decode picture")]
    Decode(#[source] image::ImageError),
    /// The picture cannot be written as PNG.
    #[error("encode picture as png")]
    Encode(#[source] image::ImageError),
    /// The number of values does not fit the size, or a side is zero.
    #[error("picture of {width}x{height} does not fit {got} values")]
    Values {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Values given.
        got: usize,
    },
    /// 4:2:0 needs even sides.
    #[error("picture of {width}x{height} cannot be 4:2:0: sides must be even")]
    OddSides {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

impl Picture {
    /// A picture from its pixels, as in [`Picture::rgb`].
    ///
    /// # Errors
    /// [`PictureError::Values`] for a side of zero or the wrong number of values.
    pub fn try_new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, PictureError> {
        let wanted = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if width == 0 || height == 0 || wanted != Some(rgb.len()) {
            return Err(PictureError::Values { width, height, got: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A picture of one colour. Sides of zero become one.
    pub fn filled(width: usize, height: usize, rgb: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, rgb: rgb.repeat(width * height) }
    }

    /// A grey plane of `width * height` values as a picture.
    ///
    /// # Errors
    /// [`PictureError::Values`] as in [`Picture::try_new`].
    pub fn from_grey(width: usize, height: usize, plane: &[u8]) -> Result<Self, PictureError> {
        if width.checked_mul(height) != Some(plane.len()) {
            return Err(PictureError::Values { width, height, got: plane.len() });
        }
        Self::try_new(width, height, plane.iter().flat_map(|&v| [v; 3]).collect())
    }

    /// Reads a JPEG or PNG from its bytes.
    ///
    /// # Errors
    /// [`PictureError::Decode`] for everything else, and for sides above 16384.
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| PictureError::Decode(error.into()))?;
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(LONGEST_SIDE);
        limits.max_image_height = Some(LONGEST_SIDE);
        reader.limits(limits);
        let picture = reader.decode().map_err(PictureError::Decode)?.into_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Self::try_new(width, height, picture.into_raw())
    }

    /// The picture as the bytes of a PNG.
    ///
    /// # Errors
    /// [`PictureError::Encode`] when the encoder refuses the size.
    pub fn encode_png(&self) -> Result<Vec<u8>, PictureError> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)
            .map_err(PictureError::Encode)?;
        Ok(bytes)
    }

    /// The network's input: see [`Resampler::input_into`]. For many pictures keep a [`Resampler`].
    pub fn to_input(&self, width: usize, height: usize) -> Vec<f32> {
        let mut input = vec![0.0; 3 * width * height];
        Resampler::new((self.width, self.height), (width, height)).input_into(&self.rgb, &mut input);
        input
    }

    /// The picture squashed to another size, bilinear without antialiasing.
    pub fn resize(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let rgb = Resampler::new((self.width, self.height), (width, height)).resize(&self.rgb);
        Self { width, height, rgb }
    }

    /// The picture as seen in a mirror: left and right change places.
    pub fn flipped(&self) -> Self {
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for row in self.rgb.chunks_exact(self.width * 3) {
            rgb.extend(row.chunks_exact(3).rev().flatten());
        }
        Self { rgb, ..*self }
    }

    /// Red, green, blue at a pixel; `None` outside.
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let at = (y * self.width + x) * 3;
        let inside = x < self.width && y < self.height;
        inside.then(|| [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]])
    }

    /// Paints a pixel; does nothing outside.
    pub fn set_pixel(&mut self, x: usize, y: usize, rgb: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.rgb[at..at + 3].copy_from_slice(&rgb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width: usize, height: usize) -> Picture {
        let rgb = (0..width * height * 3).map(|i| (i * 7) as u8).collect();
        Picture::try_new(width, height, rgb).unwrap()
    }

    #[test]
    fn png_round_trips() {
        let picture = numbered(13, 7);
        assert_eq!(Picture::decode(&picture.encode_png().unwrap()).unwrap(), picture);
    }

    #[test]
    fn unreadable_bytes_are_a_typed_error() {
        let png = numbered(13, 7).encode_png().unwrap();
        for bad in [&[][..], b"no picture", &png[..png.len() / 2], &[0xff, 0xd8, 0xff, 0xe0]] {
            assert!(matches!(Picture::decode(bad), Err(PictureError::Decode(_))));
        }
    }

    #[test]
    fn decoding_any_bytes_never_panics() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(2000).for_each(|bytes| {
            let _ = Picture::decode(bytes);
            let _ = Picture::decode(&[b"\xff\xd8\xff", bytes.as_slice()].concat());
            let _ = Picture::decode(&[b"\x89PNG\r\n\x1a\n", bytes.as_slice()].concat());
        });
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(Picture::try_new(2, 2, vec![0; 11]).is_err());
        assert!(Picture::try_new(0, 2, vec![]).is_err());
        assert!(Picture::try_new(usize::MAX, 2, vec![]).is_err());
        assert!(Picture::from_grey(2, 2, &[0; 3]).is_err());
    }

    #[test]
    fn flipping_twice_gives_the_picture_back() {
        let picture = numbered(5, 3);
        assert_eq!(picture.flipped().pixel(0, 1), picture.pixel(4, 1));
        assert_eq!(picture.flipped().flipped(), picture);
    }
}

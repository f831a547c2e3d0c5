//! What a plane looks like, and how a small or odd one is grown to what libx265 takes.

use std::fmt;

/// Largest width or height that is taken, in samples.
pub const MAX_SIDE: u32 = 8192;
/// Smaller coding tree unit; libx265 takes no picture that is smaller than one.
pub(crate) const SMALL_UNIT: u32 = 16;
/// Larger one.
const LARGE_UNIT: u32 = 32;
/// Shorter side from which pictures are coded in large units.
const PICTURE_IN_LARGE_UNITS: u32 = 64;
/// Most samples of levels below 5, from which on HEVC allows no small units; nor for a side whose square is
/// above eight times as many.
const MAX_SMALL_UNIT_SAMPLES: u64 = 2_228_224;
/// Coded sides are multiples of this.
const SMALLEST_CODING_UNIT: u32 = 8;

/// Sample layout of a plane, 8 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Luma alone.
    Gray,
    /// Luma, then two chroma planes of half the width and height (rounded up).
    Yuv420,
}

/// Size and sample layout of the planes of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameFormat {
    width: u32,
    height: u32,
    /// Sample layout.
    pub pixel: PixelFormat,
}

/// Why a size is no plane's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("plane of {width}x{height} must have 1 to {MAX_SIDE} samples a side")]
pub struct BadFormat {
    width: u32,
    height: u32,
}

impl FrameFormat {
    /// # Errors
    /// [`BadFormat`] when a side is 0 or above [`MAX_SIDE`].
    pub fn try_new(width: u32, height: u32, pixel: PixelFormat) -> Result<Self, BadFormat> {
        let side = 1..=MAX_SIDE;
        if side.contains(&width) && side.contains(&height) {
            Ok(Self { width, height, pixel })
        } else {
            Err(BadFormat { width, height })
        }
    }

    /// Columns of luma.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of luma.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of one frame.
    pub fn len(&self) -> usize {
        self.planes().map(|(w, h)| w * h).sum()
    }

    /// Never: no side is 0.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Side of the coding tree unit. Planes are coded in small ones where HEVC allows it, pictures, which have
    /// no borders within and large smooth parts, in large ones.
    pub(crate) fn unit(&self) -> u32 {
        let [w, h] =
            [self.width, self.height].map(|side| u64::from(side.next_multiple_of(SMALLEST_CODING_UNIT)));
        let long = w.max(h);
        let too_large = w * h > MAX_SMALL_UNIT_SAMPLES || long * long > 8 * MAX_SMALL_UNIT_SAMPLES;
        let picture =
            self.pixel == PixelFormat::Yuv420 && self.width.min(self.height) >= PICTURE_IN_LARGE_UNITS;
        if too_large || picture { LARGE_UNIT } else { SMALL_UNIT }
    }

    /// The format that is really coded: at least one coding tree unit a side, and even sides where chroma is halved. libx265
    /// itself fills the rest of a coding unit and cuts it off again.
    pub fn coded(&self) -> Self {
        let side = |n: u32| match self.pixel {
            PixelFormat::Gray => n.max(self.unit()),
            PixelFormat::Yuv420 => n.max(self.unit()).next_multiple_of(2),
        };
        Self { width: side(self.width), height: side(self.height), pixel: self.pixel }
    }

    /// Width and height of each plane, in the order of the bytes.
    fn planes(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (w, h) = (self.width as usize, self.height as usize);
        let chroma = match self.pixel {
            PixelFormat::Gray => 0,
            PixelFormat::Yuv420 => 2,
        };
        std::iter::once((w, h)).chain(std::iter::repeat_n((w.div_ceil(2), h.div_ceil(2)), chroma))
    }

    /// Writes `frame`, mapped sample by sample through `map`, into `coded`; the edge is repeated outwards.
    pub(crate) fn grow(&self, frame: &[u8], map: &[u8; 256], coded: &mut Vec<u8>) {
        coded.clear();
        let mapped = |byte: &u8| map[usize::from(*byte)];
        if self.coded() == *self {
            coded.extend(frame.iter().map(mapped));
            return;
        }
        let mut rest = frame;
        for ((w, h), (coded_w, coded_h)) in self.planes().zip(self.coded().planes()) {
            let (plane, after) = rest.split_at_checked(w * h).unwrap_or((rest, &[]));
            rest = after;
            let mut last_row = coded.len();
            for row in plane.chunks_exact(w) {
                last_row = coded.len();
                coded.extend(row.iter().map(mapped));
                let edge = coded.last().copied().unwrap_or(128);
                coded.resize(last_row + coded_w, edge);
            }
            for _ in h..coded_h {
                coded.extend_from_within(last_row..last_row + coded_w);
            }
        }
    }

    /// Cuts a coded frame back to this format.
    pub(crate) fn crop(&self, coded: &[u8]) -> Vec<u8> {
        if self.coded() == *self {
            return coded.to_vec();
        }
        let mut frame = Vec::with_capacity(self.len());
        let mut rest = coded;
        for ((w, h), (coded_w, coded_h)) in self.planes().zip(self.coded().planes()) {
            let (plane, after) = rest.split_at_checked(coded_w * coded_h).unwrap_or((rest, &[]));
            rest = after;
            for row in plane.chunks_exact(coded_w).take(h) {
                frame.extend(row.iter().take(w));
            }
        }
        frame
    }

    /// ffmpeg's name of the sample layout.
    pub(crate) fn pix_fmt(&self) -> &'static str {
        match self.pixel {
            PixelFormat::Gray => "gray",
            PixelFormat::Yuv420 => "yuv420p",
        }
    }
}

/// Middle of the sample range, about which planes are scaled.
const MIDDLE: f32 = 128.0;

/// `(p - 128) * factor + 128`, rounded and clamped, for each sample value.
pub(crate) fn scaling(factor: f32) -> [u8; 256] {
    std::array::from_fn(|p| ((p as f32 - MIDDLE) * factor + MIDDLE).round().clamp(0.0, 255.0) as u8)
}

impl fmt::Display for FrameFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.pix_fmt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cropping_undoes_growing(w in 1u32..40, h in 1u32..40, gray: bool, seed: u8) {
            let pixel = if gray { PixelFormat::Gray } else { PixelFormat::Yuv420 };
            let format = FrameFormat::try_new(w, h, pixel).unwrap();
            let frame: Vec<u8> = (0..format.len()).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            let mut coded = Vec::new();
            format.grow(&frame, &std::array::from_fn(|i| i as u8), &mut coded);
            prop_assert_eq!(coded.len(), format.coded().len());
            prop_assert_eq!(format.crop(&coded), frame);
        }
    }

    #[test]
    fn the_edge_is_repeated_outwards() {
        let format = FrameFormat::try_new(2, 1, PixelFormat::Gray).unwrap();
        let mut coded = Vec::new();
        format.grow(&[10, 20], &std::array::from_fn(|i| i as u8), &mut coded);
        let row: Vec<u8> = std::iter::once(10).chain(std::iter::repeat_n(20, 15)).collect();
        assert_eq!(coded, row.repeat(16));
    }

    #[test]
    fn unity_changes_nothing_and_the_least_gain_leaves_a_flat_plane() {
        assert_eq!(scaling(1.0), std::array::from_fn(|p| p as u8));
        assert_eq!(scaling(autotiler_core::Gain(255).factor()), [128; 256]);
        assert_eq!((scaling(0.5)[0], scaling(0.5)[255]), (64, 192));
        assert_eq!((scaling(2.0)[0], scaling(2.0)[255]), (0, 255));
    }

    #[test]
    fn refuses_sides_of_nothing_and_beyond_the_limit() {
        for (w, h) in [(0, 5), (5, 0), (MAX_SIDE + 1, 5)] {
            assert!(FrameFormat::try_new(w, h, PixelFormat::Gray).is_err());
        }
    }
}

//! The parameter sets of a stream: sent once, named by a digest, put back before each access unit.

use std::fmt;

use bytes::Bytes;

use crate::{
    format::{FrameFormat, PixelFormat},
    nal::{self, NalType},
    sps::Sps,
};

/// Longest VPS, SPS and PPS together that are taken from outside, in bytes; libx265 writes about 80.
pub const MAX_LEN: usize = 1024;

/// CRC-32 of the parameter sets: what the frame header carries in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterDigest(pub u32);

impl fmt::Display for ParameterDigest {
    /// Eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Video, sequence and picture parameter set of one stream, as Annex B writes them.
#[derive(Clone, PartialEq, Eq)]
pub struct ParameterSets {
    annex_b: Bytes,
    sps: Sps,
}

/// Why bytes are no parameter sets, or not those of a stream that can be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameterSets {
    /// More than [`MAX_LEN`].
    #[error("parameter sets have {0} bytes, at most {MAX_LEN} are taken")]
    TooLong(usize),
    /// Not exactly one VPS, one SPS and one PPS, in this order.
    #[error("parameter sets must be one VPS, one SPS and one PPS")]
    Order,
    /// An SPS whose picture size or format cannot be read.
    #[error("sequence parameter set cannot be read")]
    Sps,
    /// Pictures that the caller did not ask for.
    #[error(
        "parameter sets are for {width}x{height} chroma format {chroma_format_idc} with {depth} bits, not for {expected}"
    )]
    Format {
        /// Width of the stream.
        width: u32,
        /// Height of the stream.
        height: u32,
        /// 0 = gray, 1 = 4:2:0.
        chroma_format_idc: u32,
        /// Bits per sample.
        depth: u32,
        /// What the caller decodes.
        expected: FrameFormat,
    },
}

impl ParameterSets {
    /// Reads an Annex-B byte stream of one VPS, one SPS and one PPS.
    ///
    /// # Errors
    /// [`BadParameterSets`]
    pub fn try_new(annex_b: &[u8]) -> Result<Self, BadParameterSets> {
        if annex_b.len() > MAX_LEN {
            return Err(BadParameterSets::TooLong(annex_b.len()));
        }
        let nals: Vec<&[u8]> = nal::split(annex_b).collect();
        let types: Vec<_> = nals.iter().filter_map(|nal| NalType::of(nal)).collect();
        let [_, sps, _] = nals.as_slice() else { return Err(BadParameterSets::Order) };
        if types != [NalType::Vps, NalType::Sps, NalType::Pps] {
            return Err(BadParameterSets::Order);
        }
        let sps = Sps::parse(sps).ok_or(BadParameterSets::Sps)?;
        // Written anew, so that the digest does not depend on the length of start codes.
        Ok(Self { annex_b: nal::join(nals).into(), sps })
    }

    /// The sets as Annex B writes them, start codes included.
    pub fn annex_b(&self) -> &Bytes {
        &self.annex_b
    }

    /// Their name in the frame header.
    pub fn digest(&self) -> ParameterDigest {
        ParameterDigest(crc32fast::hash(&self.annex_b))
    }

    /// What the sets are for, as it is coded; none where it is no format of ours.
    pub fn format(&self) -> Option<FrameFormat> {
        let pixel = match (self.sps.chroma_format_idc, self.sps.bit_depths) {
            (0, [8, _]) => PixelFormat::Gray,
            (1, [8, 8]) => PixelFormat::Yuv420,
            _ => return None,
        };
        let format = FrameFormat::try_new(self.sps.width, self.sps.height, pixel).ok()?;
        self.check(format).is_ok().then_some(format)
    }

    /// Holds the sets to what the caller decodes.
    ///
    /// # Errors
    /// [`BadParameterSets::Format`]
    pub fn check(&self, format: FrameFormat) -> Result<(), BadParameterSets> {
        let Sps { width, height, chroma_format_idc, bit_depths } = self.sps;
        let chroma = match format.pixel {
            PixelFormat::Gray => 0,
            PixelFormat::Yuv420 => 1,
        };
        let depth = bit_depths.into_iter().max().unwrap_or_default();
        let coded = format.coded();
        if (width, height, chroma_format_idc, depth) == (coded.width(), coded.height(), chroma, 8) {
            return Ok(());
        }
        Err(BadParameterSets::Format { width, height, chroma_format_idc, depth, expected: coded })
    }
}

impl fmt::Debug for ParameterSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParameterSets({}, {}x{})", self.digest(), self.sps.width, self.sps.height)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Written by libx265 3.5 for a gray plane of 80 x 160.
    pub(crate) const GRAY_80_160: &[u8] = b"\0\0\0\x01\x40\x01\x0c\x01\xff\xff\x04\x08\0\0\x03\0\x9f\xe8\0\0\
        \x03\0\0\x1e\xba\x02\x40\0\0\0\x01\x42\x01\x01\x04\x08\0\0\x03\0\x9f\xe8\0\0\x03\0\0\x1e\xc0\xa2\x02\x85\
        \x96\xe9\x6f\x0b\x9a\x02\0\0\x03\0\x02\0\0\x03\0\x32\x10\0\0\0\x01\x44\x01\xc0\x71\x81\xa4\x80";

    #[test]
    fn real_sets_are_read_and_held_to_a_format() {
        let sets = ParameterSets::try_new(GRAY_80_160).unwrap();
        let format = FrameFormat::try_new(80, 160, PixelFormat::Gray).unwrap();
        assert_eq!((sets.check(format), sets.format()), (Ok(()), Some(format)));
        for (w, h, pixel) in [(80, 160, PixelFormat::Yuv420), (160, 80, PixelFormat::Gray)] {
            assert!(sets.check(FrameFormat::try_new(w, h, pixel).unwrap()).is_err());
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_start_codes() {
        let sets = ParameterSets::try_new(GRAY_80_160).unwrap();
        let short = ParameterSets::try_new(&GRAY_80_160[1..]).unwrap();
        assert_eq!(sets.digest(), short.digest());
        assert_eq!(ParameterSets::try_new(sets.annex_b()), Ok(sets));
    }

    #[test]
    fn missing_repeated_and_oversized_sets_are_refused() {
        let refused = |bytes: &[u8]| ParameterSets::try_new(bytes).unwrap_err();
        assert_eq!(refused(&[]), BadParameterSets::Order);
        assert_eq!(refused(&GRAY_80_160[28..]), BadParameterSets::Order);
        assert_eq!(refused(&GRAY_80_160.repeat(2)), BadParameterSets::Order);
        assert_eq!(refused(&[0; MAX_LEN + 1]), BadParameterSets::TooLong(MAX_LEN + 1));
    }

    #[test]
    fn any_bytes_are_refused_or_read() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(2000).for_each(|bytes| {
            if let Ok(sets) = ParameterSets::try_new(bytes) {
                assert_eq!(ParameterSets::try_new(sets.annex_b()), Ok(sets));
            }
        });
    }
}

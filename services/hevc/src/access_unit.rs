//! Access units: one coded frame, without what is the same for every frame of its stream.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    nal::{self, NalType},
    parameter_sets::{ParameterDigest, ParameterSets},
};

/// Length of the check sum before the slice, in bytes.
const CHECK_LEN: usize = 4;
/// Longest access unit that is taken from outside, in bytes.
pub const MAX_LEN: usize = 16 << 20;

/// One coded frame as it travels: a CRC-32 (big-endian) and the one slice NAL unit of the frame.
///
/// The start code that Annex B would put before the slice says nothing, so its four bytes hold the check sum
/// and the length is that of the Annex-B slice. The sum covers the digest of the parameter sets and the slice:
/// libavcodec conceals damaged slices and slices of other streams without an error, and a wrong plane must
/// not pass for a right one. No parameter sets, no SEI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    bytes: Bytes,
    parameter_sets: ParameterDigest,
}

/// Why bytes are no access unit. Counted as a loss of this frame only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccessUnit {
    /// No room for a check sum and a slice, or more than [`MAX_LEN`].
    #[error("access unit has {0} bytes")]
    Length(usize),
    /// Damaged, or coded with other parameter sets.
    #[error("access unit's check sum is {got:#010x}, {expected:#010x} with parameter sets {parameter_sets} was expected")]
    CheckSum {
        /// As carried.
        expected: u32,
        /// As computed.
        got: u32,
        /// The sets that the caller named.
        parameter_sets: ParameterDigest,
    },
    /// Something else than the one slice of an IDR picture.
    #[error("access unit is not one slice of an IDR picture")]
    NotOneSlice,
}

impl AccessUnit {
    /// Wraps the one slice NAL unit of a frame, given without a start code.
    ///
    /// # Errors
    /// [`BadAccessUnit`] when it is no whole IDR picture in one slice.
    pub fn seal(slice: &[u8], parameter_sets: ParameterDigest) -> Result<Self, BadAccessUnit> {
        check_slice(slice)?;
        let mut bytes = BytesMut::with_capacity(CHECK_LEN + slice.len());
        bytes.put_u32(check_sum(slice, parameter_sets));
        bytes.put_slice(slice);
        Ok(Self { bytes: bytes.freeze(), parameter_sets })
    }

    /// The bytes that travel.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Name of the parameter sets that it needs.
    pub fn parameter_sets(&self) -> ParameterDigest {
        self.parameter_sets
    }

    /// Length in bits.
    pub fn bits(&self) -> u32 {
        u32::try_from(self.bytes.len() * 8).unwrap_or(u32::MAX)
    }

    /// The slice, after holding bytes from outside to the parameter sets that they were coded with.
    ///
    /// # Errors
    /// [`BadAccessUnit`]
    pub fn open(bytes: &[u8], parameter_sets: ParameterDigest) -> Result<&[u8], BadAccessUnit> {
        let length = BadAccessUnit::Length(bytes.len());
        let (check, slice) = bytes.split_first_chunk::<CHECK_LEN>().ok_or(length.clone())?;
        if slice.is_empty() || bytes.len() > MAX_LEN {
            return Err(length);
        }
        let (expected, got) = (u32::from_be_bytes(*check), check_sum(slice, parameter_sets));
        if got != expected {
            return Err(BadAccessUnit::CheckSum { expected, got, parameter_sets });
        }
        check_slice(slice)?;
        Ok(slice)
    }

    /// The frame as a stream of its own that any HEVC player reads: parameter sets and slice.
    ///
    /// # Errors
    /// [`BadAccessUnit`] when `self` was coded with other sets.
    pub fn to_annex_b(&self, parameter_sets: &ParameterSets) -> Result<Vec<u8>, BadAccessUnit> {
        let slice = Self::open(&self.bytes, parameter_sets.digest())?;
        Ok([parameter_sets.annex_b(), &nal::START_CODE[..], slice].concat())
    }
}

/// A second picture inside one access unit would come out as the answer to the next one, so it must be
/// exactly one NAL unit, an IDR slice, and the first slice of its picture.
fn check_slice(slice: &[u8]) -> Result<(), BadAccessUnit> {
    let is_idr = NalType::of(slice) == Some(NalType::IdrSlice);
    let first_slice_segment_in_pic = slice.get(2).is_some_and(|byte| byte & 0x80 != 0);
    if is_idr && first_slice_segment_in_pic && !nal::holds_start_code(slice) {
        Ok(())
    } else {
        Err(BadAccessUnit::NotOneSlice)
    }
}

fn check_sum(slice: &[u8], parameter_sets: ParameterDigest) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&parameter_sets.0.to_be_bytes());
    crc.update(slice);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: [u8; 6] = [0x28, 0x01, 0xaf, 0x10, 0x20, 0x80];
    const SETS: ParameterDigest = ParameterDigest(7);

    #[test]
    fn a_sealed_slice_opens_with_its_own_sets_only() {
        let unit = AccessUnit::seal(&SLICE, SETS).unwrap();
        assert_eq!(AccessUnit::open(unit.bytes(), SETS), Ok(&SLICE[..]));
        assert_eq!(unit.bits(), 80);
        assert!(AccessUnit::open(unit.bytes(), ParameterDigest(8)).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let unit = AccessUnit::seal(&SLICE, SETS).unwrap();
        for bit in 0..unit.bytes().len() * 8 {
            let mut bytes = unit.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(AccessUnit::open(&bytes, SETS).is_err(), "bit {bit}");
        }
        for end in 0..unit.bytes().len() {
            assert!(AccessUnit::open(&unit.bytes()[..end], SETS).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn other_units_second_pictures_and_later_slices_are_refused() {
        let two = [&SLICE[..], &[0, 0, 1], &SLICE].concat();
        let sei = [0x4e, 0x01, 0x80, 0x05];
        let later_slice = [0x28, 0x01, 0x2f, 0x10];
        for bad in [&two[..], &sei, &later_slice, &[]] {
            assert_eq!(AccessUnit::seal(bad, SETS), Err(BadAccessUnit::NotOneSlice), "{bad:02x?}");
        }
    }

    #[test]
    fn any_bytes_are_refused_or_opened() {
        bolero::check!().with_type::<(Vec<u8>, u32)>().with_iterations(2000).for_each(|(bytes, digest)| {
            let digest = ParameterDigest(*digest);
            if let Ok(slice) = AccessUnit::open(bytes, digest) {
                assert_eq!(AccessUnit::seal(slice, digest).unwrap().bytes(), bytes);
            }
            // The same bytes behind a right sum must not get further than the slice check.
            if let Ok(unit) = AccessUnit::seal(bytes, digest) {
                assert!(AccessUnit::open(unit.bytes(), digest).is_ok());
            }
        });
    }
}

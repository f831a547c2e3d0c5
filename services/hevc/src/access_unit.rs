//! Access units: one coded frame, without what is the same for every frame of its stream.

use autotiler_core::Gain;
use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    nal,
    parameter_sets::{ParameterDigest, ParameterSets},
};

/// Length of the check sum, in bytes.
const CHECK_LEN: usize = 4;
/// First byte of each slice: NAL unit type 20, an IDR picture without leading pictures, as libx265 writes it.
pub const IDR_N_LP: u8 = 20 << 1;
/// Longest access unit that is taken from outside, in bytes.
pub const MAX_LEN: usize = 16 << 20;

/// One coded frame as it travels:
///
/// | bytes | what |
/// | --- | --- |
/// | 4 | CRC-32, big-endian, of the digest of the parameter sets and of all that follows |
/// | 1 | the part of the frame's gain that its QP stands for, and that is not in its samples |
/// | rest | the one slice NAL unit of the frame, without its first byte, which is always [`IDR_N_LP`] |
///
/// No parameter sets, no SEI. It is as long as the slice in Annex B: what is left out there (start code, NAL
/// type) says nothing here. The check sum is needed because libavcodec conceals damaged slices, and slices of
/// other streams, without an error, and a wrong plane must not pass for a right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    bytes: Bytes,
    parameter_sets: ParameterDigest,
}

/// What is inside an access unit that came whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// See [`AccessUnit`].
    pub qp_gain: Gain,
    /// The slice NAL unit after its first byte.
    slice_rest: &'a [u8],
}

/// Why bytes are no access unit. Counted as a loss of this frame only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccessUnit {
    /// No room for a check sum and a slice, or more than [`MAX_LEN`].
    #[error("access unit has {0} bytes")]
    Length(usize),
    /// Damaged, or coded with other parameter sets.
    #[error(
        "access unit's check sum is {got:#010x}, {expected:#010x} with parameter sets {parameter_sets} was expected"
    )]
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
    pub fn seal(slice: &[u8], parameter_sets: ParameterDigest, qp_gain: Gain) -> Result<Self, BadAccessUnit> {
        let Some((&IDR_N_LP, slice_rest)) = slice.split_first() else {
            return Err(BadAccessUnit::NotOneSlice);
        };
        let opened = Opened { qp_gain, slice_rest }.checked()?;
        let mut bytes = BytesMut::with_capacity(CHECK_LEN + slice.len());
        bytes.put_u32(0);
        bytes.put_u8(opened.qp_gain.0);
        bytes.put_slice(opened.slice_rest);
        let check = check_sum(bytes.get(CHECK_LEN..).unwrap_or_default(), parameter_sets);
        bytes.iter_mut().zip(check.to_be_bytes()).for_each(|(byte, of_check)| *byte = of_check);
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

    /// Looks inside, after holding bytes from outside to the parameter sets that they were coded with.
    ///
    /// # Errors
    /// [`BadAccessUnit`]
    pub fn open(bytes: &[u8], parameter_sets: ParameterDigest) -> Result<Opened<'_>, BadAccessUnit> {
        let length = BadAccessUnit::Length(bytes.len());
        let (check, checked) = bytes.split_first_chunk::<CHECK_LEN>().ok_or(length.clone())?;
        let (&qp_gain, slice_rest) = checked.split_first().ok_or(length.clone())?;
        if bytes.len() > MAX_LEN {
            return Err(length);
        }
        let (expected, got) = (u32::from_be_bytes(*check), check_sum(checked, parameter_sets));
        if got != expected {
            return Err(BadAccessUnit::CheckSum { expected, got, parameter_sets });
        }
        Opened { qp_gain: Gain(qp_gain), slice_rest }.checked()
    }

    /// The frame as a stream of its own that any HEVC player reads: parameter sets and slice.
    ///
    /// # Errors
    /// [`BadAccessUnit`] when `self` was coded with other sets.
    pub fn to_annex_b(&self, parameter_sets: &ParameterSets) -> Result<Vec<u8>, BadAccessUnit> {
        let opened = Self::open(&self.bytes, parameter_sets.digest())?;
        let mut stream = parameter_sets.annex_b().to_vec();
        opened.write_annex_b(&mut stream);
        Ok(stream)
    }
}

impl<'a> Opened<'a> {
    /// A second picture inside one access unit would come out as the answer to the next one, so it must be
    /// exactly one NAL unit, and the first slice of its picture.
    fn checked(self) -> Result<Self, BadAccessUnit> {
        let [layer_and_temporal_id, first_bits, ..] = *self.slice_rest else {
            return Err(BadAccessUnit::NotOneSlice);
        };
        let base_layer = layer_and_temporal_id == 1;
        let first_slice_segment_in_pic = first_bits & 0x80 != 0;
        if !base_layer || !first_slice_segment_in_pic || nal::holds_start_code(self.slice_rest) {
            return Err(BadAccessUnit::NotOneSlice);
        }
        Ok(self)
    }

    /// Length in Annex B, start code included, in bytes.
    pub(crate) fn annex_b_len(&self) -> usize {
        nal::START_CODE.len() + 1 + self.slice_rest.len()
    }

    /// Appends the slice as Annex B has it.
    pub(crate) fn write_annex_b(&self, stream: &mut Vec<u8>) {
        stream.extend(nal::START_CODE);
        stream.push(IDR_N_LP);
        stream.extend(self.slice_rest);
    }
}

fn check_sum(checked: &[u8], parameter_sets: ParameterDigest) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&parameter_sets.0.to_be_bytes());
    crc.update(checked);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: [u8; 6] = [0x28, 0x01, 0xaf, 0x10, 0x20, 0x80];
    const SETS: ParameterDigest = ParameterDigest(7);

    fn annex_b(opened: &Opened<'_>) -> Vec<u8> {
        let mut stream = Vec::new();
        opened.write_annex_b(&mut stream);
        assert_eq!(stream.len(), opened.annex_b_len());
        stream
    }

    #[test]
    fn a_sealed_slice_opens_with_its_own_sets_only_and_is_as_long_as_in_annex_b() {
        let unit = AccessUnit::seal(&SLICE, SETS, Gain(36)).unwrap();
        let opened = AccessUnit::open(unit.bytes(), SETS).unwrap();
        assert_eq!(opened.qp_gain, Gain(36));
        assert_eq!(annex_b(&opened), [&nal::START_CODE[..], &SLICE].concat());
        assert_eq!(unit.bits(), 80);
        assert!(AccessUnit::open(unit.bytes(), ParameterDigest(8)).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let unit = AccessUnit::seal(&SLICE, SETS, Gain(0)).unwrap();
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
        let other_layer = [0x28, 0x09, 0xaf, 0x10];
        for bad in [&two[..], &sei, &later_slice, &other_layer, &[]] {
            assert_eq!(AccessUnit::seal(bad, SETS, Gain(0)), Err(BadAccessUnit::NotOneSlice), "{bad:02x?}");
        }
    }

    #[test]
    fn any_bytes_are_refused_or_opened() {
        bolero::check!().with_type::<(Vec<u8>, u32, u8)>().with_iterations(2000).for_each(
            |(bytes, digest, qp_gain)| {
                let digest = ParameterDigest(*digest);
                assert!(AccessUnit::open(bytes, digest).is_err(), "a sum matched by chance");
                // Bytes behind a right sum get as far as the checks of the slice.
                let slice = [&[IDR_N_LP], &bytes[..]].concat();
                if let Ok(unit) = AccessUnit::seal(&slice, digest, Gain(*qp_gain)) {
                    let opened = AccessUnit::open(unit.bytes(), digest).unwrap();
                    assert_eq!(annex_b(&opened), [&nal::START_CODE[..], &slice].concat());
                }
            },
        );
    }
}

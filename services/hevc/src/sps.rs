//! The few fields of a sequence parameter set that say whether a stream may be decoded here
//! (ITU-T H.265, 7.3.2.2.1).

/// What a sequence parameter set says of its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sps {
    /// Width that is put out: inside the conformance window.
    pub(crate) width: u32,
    /// Height that is put out.
    pub(crate) height: u32,
    /// 0 = 4:0:0, 1 = 4:2:0, 2 = 4:2:2, 3 = 4:4:4.
    pub(crate) chroma_format_idc: u32,
    /// Bits per sample, luma and chroma.
    pub(crate) bit_depths: [u32; 2],
}

/// Largest width or height that is believed.
const MAX_SIDE: u32 = 16_384;

impl Sps {
    /// Reads a NAL unit of type 33, given without its start code; `None` when it ends too early or says
    /// what no picture can have.
    pub(crate) fn parse(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(2..)?);
        let mut bits = Bits { bytes: &payload, at: 0 };
        bits.take(4)?; // sps_video_parameter_set_id
        let max_sub_layers_minus1 = bits.take(3)?;
        bits.take(1)?; // sps_temporal_id_nesting_flag
        skip_profile_tier_level(&mut bits, max_sub_layers_minus1)?;
        bits.exp_golomb()?; // sps_seq_parameter_set_id
        let chroma_format_idc = bits.exp_golomb()?;
        if chroma_format_idc > 3 {
            return None;
        }
        if chroma_format_idc == 3 {
            bits.take(1)?; // separate_colour_plane_flag
        }
        let (coded_width, coded_height) = (bits.exp_golomb()?, bits.exp_golomb()?);
        if coded_width > MAX_SIDE || coded_height > MAX_SIDE {
            return None;
        }
        let window = if bits.take(1)? == 1 {
            [bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?]
        } else {
            [0; 4]
        };
        let bit_depths = [bits.exp_golomb()?.checked_add(8)?, bits.exp_golomb()?.checked_add(8)?];
        let [left, right, top, bottom] = window;
        let (unit_w, unit_h) = match chroma_format_idc {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let inside = |side: u32, before: u32, after: u32, unit: u32| {
            side.checked_sub(before.checked_add(after)?.checked_mul(unit)?).filter(|left| *left > 0)
        };
        Some(Self {
            width: inside(coded_width, left, right, unit_w)?,
            height: inside(coded_height, top, bottom, unit_h)?,
            chroma_format_idc,
            bit_depths,
        })
    }
}

/// ITU-T H.265, 7.3.3, with `profilePresentFlag` 1.
fn skip_profile_tier_level(bits: &mut Bits<'_>, max_sub_layers_minus1: u32) -> Option<()> {
    bits.skip(88 + 8)?; // general profile, general_level_idc
    if max_sub_layers_minus1 == 0 {
        return Some(());
    }
    let mut present = Vec::with_capacity(8);
    for _ in 0..8 {
        let flags = (bits.take(1)?, bits.take(1)?);
        present.push(flags);
    }
    for (profile, level) in present.into_iter().take(usize::try_from(max_sub_layers_minus1).ok()?) {
        bits.skip(if profile == 1 { 88 } else { 0 } + if level == 1 { 8 } else { 0 })?;
    }
    Some(())
}

/// Drops the 3 of each 0 0 3 (ITU-T H.265, 7.3.1.1).
fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some((value << 1) | self.bit()?))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len() * 8)?;
        Some(())
    }

    /// `ue(v)` (ITU-T H.265, 9.2); codes of more than 32 bits are no value of any field read here.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.take(zeros)?;
        (1u32 << zeros).checked_sub(1)?.checked_add(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by libx265 3.5 for a gray plane of 80 x 160.
    const GRAY_80_160: [u8; 39] = [
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9f, 0xe8, 0x00, 0x00, 0x03, 0x00, 0x00, 0x1e,
        0xc0, 0xa2, 0x02, 0x85, 0x96, 0xe9, 0x6f, 0x0b, 0x9a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00,
        0x03, 0x00, 0x32, 0x10, 0x00,
    ];
    /// The same for 4:2:0, 160 x 160.
    const YUV_160_160: [u8; 39] = [
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9f, 0xa8, 0x00, 0x00, 0x03, 0x00, 0x00, 0x3c,
        0xa0, 0x14, 0x20, 0x28, 0x59, 0x6e, 0x96, 0xf0, 0xb9, 0xa0, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00,
        0x00, 0x03, 0x03, 0x21, 0x00,
    ];
    /// 21 x 17, gray: the conformance window cuts 24 x 24.
    const GRAY_20_20: [u8; 39] = [
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9f, 0xe8, 0x00, 0x00, 0x03, 0x00, 0x00, 0x1e,
        0xc1, 0x08, 0x21, 0xc6, 0xc6, 0xe5, 0xba, 0x5b, 0xc2, 0xe6, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80,
        0x00, 0x00, 0x0c, 0x84, 0x00,
    ];

    #[test]
    fn sizes_formats_and_windows_of_real_streams_are_read() {
        let depths = [8, 8];
        let sps =
            |width, height, chroma_format_idc| Sps { width, height, chroma_format_idc, bit_depths: depths };
        assert_eq!(Sps::parse(&GRAY_80_160), Some(sps(80, 160, 0)));
        assert_eq!(Sps::parse(&YUV_160_160), Some(sps(160, 160, 1)));
        assert_eq!(Sps::parse(&GRAY_20_20), Some(sps(20, 20, 0)));
    }

    #[test]
    fn any_bytes_are_refused_or_read() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(3000).for_each(|bytes| {
            if let Some(sps) = Sps::parse(bytes) {
                assert!(sps.width > 0 && sps.height > 0);
            }
        });
        for end in 0..17 {
            assert_eq!(Sps::parse(GRAY_80_160.get(..end).unwrap()), None);
        }
    }
}

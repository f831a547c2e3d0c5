//! NAL units: finding them in an Annex-B byte stream, and their types (ITU-T H.265, 7.3.1 and annex B).

/// Start code that is written before each NAL unit.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The type field of a NAL unit (ITU-T H.265, table 7-1), as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalType {
    /// A slice of an IDR picture: all that a coded frame consists of.
    IdrSlice,
    /// Video parameter set.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Supplemental enhancement information, before or after the slices.
    Sei,
    /// Anything else.
    Other(u8),
}

impl NalType {
    /// Type of a NAL unit given without its start code; `None` when it is shorter than its header of 2 bytes
    /// or its `forbidden_zero_bit` is set.
    pub fn of(nal: &[u8]) -> Option<Self> {
        let [first, _, ..] = *nal else { return None };
        if first & 0x80 != 0 {
            return None;
        }
        Some(match first >> 1 {
            19 | 20 => Self::IdrSlice,
            32 => Self::Vps,
            33 => Self::Sps,
            34 => Self::Pps,
            39 | 40 => Self::Sei,
            other => Self::Other(other),
        })
    }

    /// Whether it is one of the parameter sets.
    pub fn is_parameter_set(self) -> bool {
        matches!(self, Self::Vps | Self::Sps | Self::Pps)
    }
}

/// The NAL units of an Annex-B byte stream, without start codes and trailing zeros.
pub fn split(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let nal = rest?;
        let end = find_start_code(nal);
        rest = end.and_then(|at| nal.get(at + 3..));
        nal.get(..end.unwrap_or(nal.len())).map(trim_zeros)
    })
    .filter(|nal| !nal.is_empty())
}

/// NAL units as one Annex-B byte stream.
pub fn join<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stream = Vec::new();
    for nal in nals {
        stream.extend(START_CODE);
        stream.extend(nal);
    }
    stream
}

/// Whether the bytes hold a start code, or what would become one when another NAL unit follows.
pub fn holds_start_code(nal: &[u8]) -> bool {
    find_start_code(nal).is_some() || nal.ends_with(&[0])
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    stream.get(find_start_code(stream)? + 3..)
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// `trailing_zero_8bits` and the `zero_byte` of the next start code belong to no NAL unit.
fn trim_zeros(nal: &[u8]) -> &[u8] {
    let used = nal.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    nal.get(..used).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A NAL unit as an encoder writes it: no start code inside, last byte not 0.
    fn nal_unit() -> impl Strategy<Value = Vec<u8>> {
        (proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0)], 0..80), 1..=255u8).prop_map(
            |(mut body, last)| {
                body.push(last);
                while let Some(at) = body.windows(3).position(|w| w[0] == 0 && w[1] == 0 && w[2] <= 3) {
                    body[at + 1] = 0xff;
                }
                body
            },
        )
    }

    proptest! {
        #[test]
        fn splitting_undoes_joining(nals in proptest::collection::vec(nal_unit(), 0..6)) {
            let stream = join(nals.iter().map(Vec::as_slice));
            prop_assert_eq!(split(&stream).map(<[u8]>::to_vec).collect::<Vec<_>>(), nals);
        }
    }

    #[test]
    fn both_start_codes_are_read_and_zeros_between_units_dropped() {
        let stream = [9, 0, 0, 1, 0x40, 1, 7, 0, 0, 0, 0, 1, 0x42, 1, 8, 0, 0, 1, 0, 0, 0];
        assert_eq!(split(&stream).collect::<Vec<_>>(), [&[0x40, 1, 7][..], &[0x42, 1, 8]]);
        assert_eq!(NalType::of(&[0x40, 1]), Some(NalType::Vps));
        assert_eq!(NalType::of(&[0x80, 1]), None);
        assert_eq!(NalType::of(&[0x40]), None);
    }

    #[test]
    fn any_bytes_split_into_parts_of_themselves() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(2000).for_each(|bytes| {
            let total: usize = split(bytes).map(|nal| nal.len() + 3).sum();
            assert!(total <= bytes.len());
            assert!(split(bytes).all(|nal| find_start_code(nal).is_none()));
        });
    }
}

//! Golden bytes, round trips and hostile input.

use proptest::prelude::*;

use super::*;
use crate::{
    boxes::{BBox, Detection},
    id::{Epoch, Sequence, StreamId},
    quantity::{CompressionRatio, Gain, LayerIndex},
};

fn header() -> FrameHeader {
    FrameHeader {
        device: 0x0102_0304_0506_0708,
        stream: StreamId(0x1112_1314),
        sequence: Sequence(0x2122_2324),
        epoch: Epoch(0x3132_3334),
        network: 0x4142_4344_4546_4748,
        payload: Payload::Plane {
            layer: LayerIndex(36),
            cr: CompressionRatio::try_new(4).unwrap(),
            tiler: 0x5152_5354_5556_5758,
        },
        gain: Gain(48),
        captured_us: 0x0000_6162_6364_6566,
        parameter_sets: 0x7172_7374,
    }
}

/// The bytes that `README.md` beside this file prints: a change here is a new version.
const GOLDEN: &str = "4154014001020304050607081112131421222324313233344142434445464748\
                      515253545556575800240004300061626364656600000003717273740bacc90faabbcc";

fn answer() -> Answer {
    Answer {
        device: 1,
        stream: StreamId(2),
        sequence: Sequence(3),
        epoch: Epoch(4),
        captured_us: 5,
        times: ServerTimes { queue_us: 6, decode_us: 7, tail_us: 8, boxes_us: 9 },
        batch: 1,
        outcome: Ok(vec![Detection {
            class: 14,
            score: 0.75,
            bbox: BBox { x0: 0.1, y0: 0.2, x1: 0.5, y1: 1.01 },
        }]),
    }
}

#[test]
fn frame_has_its_golden_bytes() {
    assert_eq!(hex::encode(header().encode(&[0xaa, 0xbb, 0xcc])), GOLDEN);
}

#[test]
fn frame_refuses_each_wrong_field_by_name() {
    let good = header().encode(b"au");
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        FrameHeader::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(0, b'X'), FrameError::Magic(*b"XT"));
    assert_eq!(changed(2, 9), FrameError::Version(9));
    assert_eq!(changed(3, 65), FrameError::HeaderLength(65));
    assert!(matches!(changed(55, 9), FrameError::PayloadLength { expected: 9, got: 2 }));
    assert!(matches!(changed(20, 0xff), FrameError::CheckSum { .. }));
    assert!(matches!(changed(65, b'x'), FrameError::CheckSum { .. }));
    assert_eq!(FrameHeader::decode(&good[..40]), Err(FrameError::Truncated(40)));
}

#[test]
fn frame_refuses_a_zero_ratio_even_with_a_right_check_sum() {
    let mut bytes = header().encode(&[]);
    bytes[42..44].copy_from_slice(&[0, 0]);
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(FrameHeader::decode(&bytes), Err(FrameError::Payload { layer: 36, cr: 0 }));
}

#[test]
fn picture_frames_round_trip() {
    let picture = FrameHeader { payload: Payload::Picture, ..header() };
    assert_eq!(FrameHeader::decode(&picture.encode(b"x")), Ok((picture, b"x".as_slice())));
}

#[test]
fn loss_answers_round_trip() {
    for reason in LossReason::ALL {
        let loss = Answer { outcome: Err(reason), ..answer() };
        assert_eq!(Answer::decode(&loss.encode()), Ok(loss));
    }
}

#[test]
fn an_answer_of_another_version_says_so() {
    let mut bytes = answer().encode();
    bytes[2] = 2;
    assert_eq!(Answer::decode(&bytes), Err(AnswerError::Version(2)));
}

proptest! {
    #[test]
    fn frames_round_trip(seq: u32, gain: u8, layer in 0u16..u16::MAX, cr in 1u16.., au: Vec<u8>) {
        let payload = Payload::Plane {
            layer: LayerIndex(layer), cr: CompressionRatio::try_new(cr).unwrap(), tiler: 7,
        };
        let sent = FrameHeader { sequence: Sequence(seq), gain: Gain(gain), payload, ..header() };
        let bytes = sent.encode(&au);
        prop_assert_eq!(bytes.len(), HEADER_LEN + au.len());
        prop_assert_eq!(FrameHeader::decode(&bytes), Ok((sent, au.as_slice())));
    }

    #[test]
    fn answers_round_trip_within_half_a_step(
        score in 0f32..=1.0, x0 in -0.5f32..1.5, y1 in -0.5f32..1.5, class: u16,
    ) {
        let sent = Detection { class, score, bbox: BBox { x0, y0: 0.0, x1: 1.0, y1 } };
        let got = Answer::decode(&Answer { outcome: Ok(vec![sent]), ..answer() }.encode()).unwrap();
        let got = got.outcome.unwrap()[0];
        prop_assert_eq!(got.class, class);
        prop_assert!((got.score - score).abs() <= 0.51 / 65535.0);
        prop_assert!((got.bbox.x0 - x0).abs() <= 1.1 / 65535.0);
        prop_assert!((got.bbox.y1 - y1).abs() <= 1.1 / 65535.0);
    }
}

#[test]
fn fuzz_frame_reader() {
    bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        let _ = FrameHeader::decode(bytes);
        // Past the first checks: the same bytes behind a right start.
        let mut framed = vec![b'A', b'T', VERSION, HEADER_LEN as u8];
        framed.extend_from_slice(bytes);
        if let Ok((header, unit)) = FrameHeader::decode(&framed) {
            assert_eq!(header.encode(unit), framed);
        }
    });
}

#[test]
fn fuzz_answer_reader() {
    bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        let _ = Answer::decode(bytes);
        let mut framed = vec![b'A', b'D', 1];
        framed.extend_from_slice(bytes);
        let _ = Answer::decode(&framed);
    });
}

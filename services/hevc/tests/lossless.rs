//! Coding without loss, with a real ffmpeg.
#![allow(clippy::unwrap_used)] // helpers of tests may fail loudly

use std::time::Instant;

use autotiler_core::Gain;
use autotiler_hevc::{
    Coding, Decoder, DecoderOptions, EncodeError, Encoder, EncoderOptions, FrameFormat, PixelFormat, Preset,
};
use proptest::prelude::*;

#[path = "common/plane.rs"]
mod plane;
use plane::plane;

fn sessions(format: FrameFormat, preset: Preset) -> (Encoder, Decoder) {
    let options = EncoderOptions { preset, coding: Coding::Lossless, ..EncoderOptions::default() };
    let encoder = Encoder::spawn(format, options).unwrap();
    let sets = encoder.parameter_sets().clone();
    (encoder, Decoder::spawn(format, sets, DecoderOptions::default()).unwrap())
}

proptest! {
    // Each case starts two processes of ffmpeg (0.2 s).
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_sample_comes_back(
        (w, h) in (1u32..70, 1u32..70),
        gray: bool,
        preset in prop_oneof![Just(Preset::Fast), Just(Preset::Quality)],
        seed: u64,
    ) {
        let pixel = if gray { PixelFormat::Gray } else { PixelFormat::Yuv420 };
        let format = FrameFormat::try_new(w, h, pixel).unwrap();
        let (mut encoder, mut decoder) = sessions(format, preset);
        for i in 0..3 {
            let sent = noise(seed ^ i, format.len());
            let unit = encoder.encode(&sent, Gain::UNITY).unwrap();
            let got = decoder.decode_scaled(unit.bytes()).unwrap();
            prop_assert_eq!(got.qp_gain, Gain::UNITY);
            prop_assert_eq!(got.samples, sent);
        }
    }
}

/// Any bytes, the same for the same seed (splitmix64).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let byte = |i: u64| {
        let mixed = (seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as u8
    };
    (0..len as u64).map(byte).collect()
}

#[test]
fn planes_of_the_paper_and_of_the_shared_detector_come_back() {
    // The last two are of levels at which HEVC allows no small coding tree units.
    for (w, h) in [(832, 832), (80, 160), (1664, 1664), (5000, 9)] {
        let format = FrameFormat::try_new(w, h, PixelFormat::Gray).unwrap();
        let (mut encoder, mut decoder) = sessions(format, Preset::Fast);
        for i in 0..4 {
            let sent = plane(format, i);
            let start = Instant::now();
            let unit = encoder.encode(&sent, Gain::UNITY).unwrap();
            println!("{format}: {} kbit in {:?}", unit.bits() / 1000, start.elapsed());
            assert_eq!(decoder.decode(unit.bytes(), Gain::UNITY).unwrap(), sent);
        }
    }
}

#[test]
fn a_gain_is_refused_and_the_next_plane_is_coded() {
    let format = FrameFormat::try_new(20, 20, PixelFormat::Gray).unwrap();
    let (mut encoder, _) = sessions(format, Preset::Fast);
    let error = encoder.encode(&plane(format, 0), Gain(1)).unwrap_err();
    assert!(matches!(error, EncodeError::GainWithoutLoss(Gain(1))), "{error:?}");
    assert!(encoder.encode(&plane(format, 0), Gain::UNITY).is_ok());
    assert_eq!(encoder.process_ids().len(), 1);
}

//! Sessions with a real ffmpeg: lockstep by content, gain, faults.
#![allow(clippy::unwrap_used)] // helpers of tests may fail loudly

use std::time::{Duration, Instant};

use autotiler_core::Gain;
use autotiler_hevc::{
    AccessUnit, DecodeError, Decoder, DecoderOptions, DecoderPool, EncodeError, Encoder, EncoderOptions,
    FrameFormat, PixelFormat, Preset, ProcessError,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[path = "common/plane.rs"]
mod plane;
use plane::{mse, plane};

const SIZES: [(u32, u32); 6] = [(80, 160), (160, 160), (20, 20), (13, 7), (1, 1), (320, 480)];

fn format(width: u32, height: u32, pixel: PixelFormat) -> FrameFormat {
    FrameFormat::try_new(width, height, pixel).unwrap()
}

fn encoder(format: FrameFormat) -> Encoder {
    Encoder::spawn(format, EncoderOptions::default()).unwrap()
}

fn decoder(encoder: &Encoder) -> Decoder {
    let sets = encoder.parameter_sets().clone();
    Decoder::spawn(encoder.format(), sets, DecoderOptions::default()).unwrap()
}

/// Each plane comes back, as itself and none of its neighbours, before the next one is written.
fn lockstep(format: FrameFormat, frames: u32, options: EncoderOptions) {
    let mut encoder = Encoder::spawn(format, options).unwrap();
    let mut decoder = decoder(&encoder);
    for i in 0..frames {
        let sent = plane(format, i);
        let unit = encoder.encode(&sent, Gain::UNITY).unwrap();
        let got = decoder.decode(unit.bytes(), Gain::UNITY).unwrap();
        assert_eq!(got.len(), format.len());
        let error = mse(&sent, &got);
        assert!(error < 30.0, "{format} frame {i}: {error}");
        // Planes of a few samples may look alike by chance.
        for other in [i.wrapping_sub(1), i + 1].into_iter().filter(|_| format.len() >= 64) {
            assert!(mse(&plane(format, other), &got) > error, "{format} frame {i} looks like {other}");
        }
    }
}

#[test]
fn every_plane_comes_back_before_the_next_is_sent() {
    for (w, h) in SIZES {
        for pixel in [PixelFormat::Gray, PixelFormat::Yuv420] {
            lockstep(format(w, h, pixel), 24, EncoderOptions::default());
        }
    }
}

#[test]
fn lockstep_holds_for_500_frames() {
    lockstep(format(80, 160, PixelFormat::Gray), 500, EncoderOptions::default());
}

#[test]
fn the_quality_preset_is_in_lockstep_and_nearer_for_no_more_bits() {
    let format = format(160, 160, PixelFormat::Gray);
    let quality = EncoderOptions { preset: Preset::Quality, ..EncoderOptions::default() };
    lockstep(format, 8, quality.clone());
    let mut sessions = [encoder(format), Encoder::spawn(format, quality).unwrap()];
    let [(fast_bits, fast_error), (bits, error)] =
        sessions.each_mut().map(|session| rate_and_error(session, Gain(48)));
    assert!(bits < 1.03 * fast_bits && error < fast_error, "{bits} {fast_bits}, {error} {fast_error}");
}

/// Mean bits, and mean squared error of planes that went through `encoder` with a gain.
fn rate_and_error(encoder: &mut Encoder, gain: Gain) -> (f64, f64) {
    let format = encoder.format();
    let mut decoder = decoder(encoder);
    let (mut bits, mut error) = (0.0, 0.0);
    for i in 0..12 {
        let sent = plane(format, i);
        let unit = encoder.encode(&sent, gain).unwrap();
        bits += f64::from(unit.bits());
        error += mse(&sent, &decoder.decode(unit.bytes(), gain).unwrap());
    }
    (bits / 12.0, error / 12.0)
}

#[test]
fn half_the_gain_is_six_more_qp() {
    let format = format(160, 160, PixelFormat::Gray);
    let mut by_gain = encoder(format);
    for halvings in 1..=4u8 {
        let coarse = EncoderOptions { base_qp: 20 + 6 * halvings, ..EncoderOptions::default() };
        let mut by_qp = Encoder::spawn(format, coarse).unwrap();
        assert_eq!(
            rate_and_error(&mut by_gain, Gain(24 * halvings)),
            rate_and_error(&mut by_qp, Gain::UNITY),
            "{halvings} halvings"
        );
    }
}

#[test]
fn bits_fall_and_errors_rise_with_each_step_of_gain() {
    let mut encoder = encoder(format(160, 160, PixelFormat::Gray));
    let curve: Vec<_> = (0..=10).map(|k| rate_and_error(&mut encoder, Gain(12 * k))).collect();
    for pair in curve.windows(2) {
        assert!(pair[1].0 < pair[0].0 && pair[1].1 > pair[0].1, "{curve:?}");
    }
    // 6 QP a halving: 30 QP lie between the ends.
    assert!(curve[0].0 > 6.0 * curve[10].0, "{curve:?}");
}

#[test]
fn what_the_qp_does_not_stand_for_is_left_in_scaled_planes() {
    let format = format(80, 160, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let mut decoder = decoder(&encoder);
    let (sent, gain) = (plane(format, 0), Gain(42));
    let unit = encoder.encode(&sent, gain).unwrap();
    let scaled = decoder.decode_scaled(unit.bytes()).unwrap();
    assert_eq!(scaled.qp_gain, Gain(36));
    // 6 of 24 steps a halving: a quarter of a power of two.
    assert!((scaled.factor(gain) - 0.5_f32.powf(0.25)).abs() < 1e-6);
    let undone: Vec<u8> = (scaled.samples.iter())
        .map(|p| ((f32::from(*p) - 128.0) / scaled.factor(gain) + 128.0).round() as u8)
        .collect();
    assert!(mse(&undone, &sent) < 40.0);
    assert!(mse(&scaled.samples, &sent) > mse(&undone, &sent));
    assert_eq!(decoder.decode(unit.bytes(), gain).unwrap(), undone);
}

#[test]
fn one_rung_serves_gains_that_hardly_change_and_old_rungs_are_given_up() {
    let format = format(20, 20, PixelFormat::Gray);
    let mut encoder = encoder(format);
    for step in (53..66).chain((48..66).rev()) {
        encoder.encode(&plane(format, 0), Gain(step)).unwrap();
    }
    assert_eq!(encoder.process_ids().len(), 1);
    encoder.encode(&plane(format, 0), Gain(20)).unwrap();
    assert_eq!(encoder.process_ids().len(), 2);
    for _ in 0..500 {
        encoder.encode(&plane(format, 0), Gain(20)).unwrap();
    }
    assert_eq!(encoder.process_ids().len(), 1);
}

#[test]
fn frames_carry_neither_parameter_sets_nor_advertising() {
    let mut encoder = encoder(format(80, 160, PixelFormat::Gray));
    let sets = encoder.parameter_sets().clone();
    for i in 0..5 {
        let unit = encoder.encode(&plane(encoder.format(), i), Gain::UNITY).unwrap();
        assert_eq!(unit.parameter_sets(), sets.digest());
        let whole = unit.to_annex_b(&sets).unwrap();
        assert!(!whole.windows(4).any(|w| w.eq_ignore_ascii_case(b"x265")));
        assert_eq!(autotiler_hevc::nal::split(&whole).count(), 4);
    }
    assert!(encoder.floor_bits() < 400, "{}", encoder.floor_bits());
}

#[test]
fn sessions_of_one_format_share_their_parameter_sets() {
    let format = format(20, 20, PixelFormat::Gray);
    let (first, mut second) = (encoder(format), encoder(format));
    assert_eq!(first.parameter_sets(), second.parameter_sets());
    let unit = second.encode(&plane(format, 3), Gain::UNITY).unwrap();
    assert!(decoder(&first).decode(unit.bytes(), Gain::UNITY).is_ok());
}

#[test]
fn equal_planes_give_equal_access_units() {
    let format = format(80, 160, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let units: Vec<_> = [4, 5, 4].map(|i| encoder.encode(&plane(format, i), Gain(10)).unwrap()).into();
    assert_eq!(units[0], units[2]);
}

#[test]
fn a_damaged_access_unit_is_an_error_and_the_next_one_decodes() {
    let format = format(80, 160, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let mut decoder = decoder(&encoder);
    let unit = encoder.encode(&plane(format, 0), Gain::UNITY).unwrap();
    let right = decoder.decode(unit.bytes(), Gain::UNITY).unwrap();
    let mut flipped = unit.bytes().to_vec();
    flipped[100] ^= 4;
    let half = &unit.bytes()[..unit.bytes().len() / 2];
    for damaged in [&flipped[..], half, &[], &[0; 64]] {
        let error = decoder.decode(damaged, Gain::UNITY).unwrap_err();
        assert!(matches!(error, DecodeError::AccessUnit(_)), "{error:?}");
        assert_eq!(decoder.decode(unit.bytes(), Gain::UNITY).unwrap(), right);
    }
}

#[test]
fn a_slice_that_only_libavcodec_can_refuse_is_an_error_and_the_next_one_decodes() {
    let format = format(80, 160, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let mut decoder = decoder(&encoder);
    let good = encoder.encode(&plane(format, 0), Gain::UNITY).unwrap();
    let right = decoder.decode(good.bytes(), Gain::UNITY).unwrap();
    // A slice header that names picture parameter set 62, and one that ends at once.
    for slice in [&[0x28, 0x01, 0x80, 0x81, 0xff][..], &[0x28, 0x01, 0x80]] {
        let bad = AccessUnit::seal(slice, encoder.parameter_sets().digest(), Gain::UNITY).unwrap();
        let error = decoder.decode(bad.bytes(), Gain::UNITY).unwrap_err();
        assert!(matches!(error, DecodeError::Undecodable(_)), "{error:?}");
        assert_eq!(decoder.decode(good.bytes(), Gain::UNITY).unwrap(), right);
    }
}

#[test]
fn parameter_sets_of_another_format_are_refused() {
    let encoder = encoder(format(20, 20, PixelFormat::Gray));
    let sets = encoder.parameter_sets().clone();
    for other in [format(24, 20, PixelFormat::Gray), format(20, 20, PixelFormat::Yuv420)] {
        let error = Decoder::spawn(other, sets.clone(), DecoderOptions::default()).unwrap_err();
        assert!(matches!(error, DecodeError::ParameterSets(_)), "{error:?}");
    }
}

#[test]
fn a_plane_of_the_wrong_length_is_refused() {
    let mut encoder = encoder(format(20, 20, PixelFormat::Gray));
    assert!(matches!(encoder.encode(&[0; 399], Gain::UNITY), Err(EncodeError::PlaneLength { .. })));
    assert!(encoder.encode(&[0; 400], Gain::UNITY).is_ok());
}

#[test]
fn a_killed_ffmpeg_loses_one_frame_and_comes_back() {
    let format = format(80, 160, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let mut decoder = decoder(&encoder);
    let sent = plane(format, 1);
    let unit = encoder.encode(&sent, Gain::UNITY).unwrap();
    let right = decoder.decode(unit.bytes(), Gain::UNITY).unwrap();

    stop(*encoder.process_ids().last().unwrap(), Signal::SIGKILL);
    let error = encoder.encode(&sent, Gain::UNITY).unwrap_err();
    assert!(matches!(error, EncodeError::Crashed(ProcessError::Crashed { .. })), "{error:?}");
    assert_eq!(encoder.encode(&sent, Gain::UNITY).unwrap(), unit);

    stop(decoder.process_id().unwrap(), Signal::SIGKILL);
    let error = decoder.decode(unit.bytes(), Gain::UNITY).unwrap_err();
    assert!(matches!(error, DecodeError::Crashed(ProcessError::Crashed { .. })), "{error:?}");
    assert_eq!(decoder.decode(unit.bytes(), Gain::UNITY).unwrap(), right);
}

#[test]
fn a_stuck_ffmpeg_is_given_up_after_the_limit_even_with_full_pipes() {
    // Larger than a pipe, so that the write itself has to give up.
    let format = format(640, 480, PixelFormat::Gray);
    let limit = Duration::from_millis(1500);
    let mut encoder =
        Encoder::spawn(format, EncoderOptions { frame_timeout: limit, ..EncoderOptions::default() }).unwrap();
    let gain = Gain(50);
    encoder.encode(&plane(format, 1), gain).unwrap();
    stop(*encoder.process_ids().last().unwrap(), Signal::SIGSTOP);
    let begin = Instant::now();
    let error = encoder.encode(&plane(format, 0), gain).unwrap_err();
    assert!(matches!(error, EncodeError::Crashed(ProcessError::TimedOut { .. })), "{error:?}");
    assert!(begin.elapsed() >= limit);
    assert!(encoder.encode(&plane(format, 0), gain).is_ok());
}

#[test]
fn dropped_sessions_leave_no_process_behind() {
    let format = format(20, 20, PixelFormat::Gray);
    let mut encoder = encoder(format);
    let mut decoder = decoder(&encoder);
    let ids = [*encoder.process_ids().last().unwrap(), decoder.process_id().unwrap()];
    assert!(ids.iter().all(|id| exists(*id)));
    drop((encoder, decoder));
    // A zombie would still have its directory.
    assert!(!ids.iter().any(|id| exists(*id)));
}

#[test]
fn a_missing_program_and_a_wrong_one_are_told() {
    let format = format(20, 20, PixelFormat::Gray);
    let with = |ffmpeg: &str| EncoderOptions { ffmpeg: ffmpeg.into(), ..EncoderOptions::default() };
    assert!(matches!(Encoder::spawn(format, with("no-such-ffmpeg")), Err(EncodeError::Spawn(_))));
    let error = Encoder::spawn(format, with("true")).unwrap_err();
    assert!(matches!(error, EncodeError::Crashed(_)), "{error:?}");
}

#[test]
fn the_pool_keeps_a_bounded_number_of_decoders_and_the_newest_ones() {
    let formats = [(20, 20), (24, 24), (32, 16)].map(|(w, h)| format(w, h, PixelFormat::Gray));
    let mut encoders = formats.map(encoder);
    let mut pool = DecoderPool::new(DecoderOptions::default(), 2);
    let mut ids = Vec::new();
    for turn in [0, 1, 0, 2, 0] {
        let encoder = &mut encoders[turn];
        let sent = plane(encoder.format(), 5);
        let unit = encoder.encode(&sent, Gain::UNITY).unwrap();
        let (format, sets) = (encoder.format(), encoder.parameter_sets());
        let got = pool.decode(format, sets, unit.bytes(), Gain::UNITY).unwrap();
        assert!(mse(&sent, &got) < 30.0);
        assert!(pool.len() <= 2);
        ids.push(pool.get(format, sets).unwrap().process_id().unwrap());
    }
    assert_eq!((ids[0], ids[0]), (ids[2], ids[4]), "the one in use was given up");
    assert!(!exists(ids[1]), "the oldest one lives on");
}

fn stop(id: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
}

fn exists(id: u32) -> bool {
    std::path::Path::new("/proc").join(id.to_string()).exists()
}

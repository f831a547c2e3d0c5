//! Rate control with a real ffmpeg.
#![allow(clippy::unwrap_used)] // helpers of tests may fail loudly

use autotiler_core::TargetBits;
use autotiler_hevc::{
    Coding, EncodeError, Encoder, EncoderOptions, FrameFormat, OutOfReach, PixelFormat, RateControl, Steered,
};

#[path = "common/plane.rs"]
mod plane;
use plane::plane;

struct Stream {
    encoder: Encoder,
    rate: RateControl,
    frame: u32,
    encodes: usize,
}

impl Stream {
    fn start(width: u32, height: u32, target: u32, cap: Option<u32>) -> Result<Self, OutOfReach> {
        let format = FrameFormat::try_new(width, height, PixelFormat::Gray).unwrap();
        let encoder = Encoder::spawn(format, EncoderOptions::default()).unwrap();
        let target = TargetBits::try_new(target).unwrap();
        let rate = RateControl::try_new(target, cap, encoder.floor_bits(), format.len())?;
        Ok(Self { encoder, rate, frame: 0, encodes: 0 })
    }

    fn next(&mut self) -> Steered {
        let plane = plane(self.encoder.format(), self.frame);
        self.frame += 1;
        let steered = self.encoder.encode_steered(&plane, &mut self.rate).unwrap();
        self.encodes += steered.encodes;
        steered
    }

    fn bits(&mut self, frames: usize) -> Vec<u32> {
        (0..frames).map(|_| self.next().unit.bits()).collect()
    }
}

fn mean(bits: &[u32]) -> f64 {
    bits.iter().copied().map(f64::from).sum::<f64>() / bits.len() as f64
}

#[test]
fn mean_of_the_first_100_frames_is_within_5_percent() {
    for (width, height, target) in
        [(80, 160, 4_000), (80, 160, 8_000), (160, 160, 4_000), (160, 160, 20_000), (320, 320, 60_000)]
    {
        let mut stream = Stream::start(width, height, target, None).unwrap();
        let bits = stream.bits(100);
        let error = mean(&bits) / f64::from(target) - 1.0;
        println!("{width}x{height} at {target}: {error:+.3}, {} encodes, {:?}", stream.encodes, &bits[..20]);
        assert!(error.abs() <= 0.05, "{width}x{height} at {target}: {error:+.3}");
        assert!(stream.encodes <= 106, "{} encodes", stream.encodes);
        assert_eq!(stream.rate.out_of_reach(), None);
    }
}

#[test]
fn no_frame_is_above_its_cap() {
    let mut stream = Stream::start(80, 160, 8_000, Some(10_000)).unwrap();
    let bits = stream.bits(100);
    assert!(bits.iter().all(|bits| *bits <= 10_000), "{bits:?}");
    assert!((mean(&bits) / 8_000.0 - 1.0).abs() <= 0.05, "{}", mean(&bits));
}

#[test]
fn a_target_above_what_the_plane_carries_is_refused_with_the_range() {
    let mut stream = Stream::start(80, 160, 900_000, None).unwrap();
    let bits = stream.bits(12);
    let refusal = stream.rate.out_of_reach().unwrap();
    assert_eq!(*refusal.reachable_bits.start(), stream.encoder.floor_bits());
    assert!((f64::from(*refusal.reachable_bits.end()) / mean(&bits) - 1.0).abs() < 0.05);
    assert!(Stream::start(80, 160, 100, None).is_err());
}

#[test]
fn a_plane_that_cannot_be_coded_is_forgotten_by_the_control() {
    let format = FrameFormat::try_new(20, 20, PixelFormat::Gray).unwrap();
    let mut lossless =
        Encoder::spawn(format, EncoderOptions { coding: Coding::Lossless, ..EncoderOptions::default() })
            .unwrap();
    let mut stream = Stream::start(20, 20, 500, None).unwrap();
    let before = stream.rate.next_gain();
    assert!(stream.encoder.encode_steered(&[0; 3], &mut stream.rate).is_err());
    let error = lossless.encode_steered(&[0; 400], &mut stream.rate).unwrap_err();
    assert!(matches!(error, EncodeError::GainWithoutLoss(gain) if gain == before), "{error:?}");
    assert_eq!(stream.rate.next_gain(), before);
    assert!(stream.next().unit.bits() > 0);
}

//! Times of one frame through real ffmpeg sessions, on the planes of 20x20 and 40x40 maps. The bound for tiler,
//! HEVC and their inverses together is 10 ms (median, one core).
//!
//! `cargo bench -p autotiler-hevc`; pin it with `taskset -c 0` for the bound's one core.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may fail loudly

use autotiler_core::Gain;
use autotiler_hevc::{Decoder, DecoderOptions, Encoder, EncoderOptions, FrameFormat, PixelFormat, Preset};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/common/plane.rs"]
mod plane;

fn codec(criterion: &mut Criterion) {
    for (width, height) in [(80, 160), (160, 160)] {
        for preset in [Preset::Fast, Preset::Quality] {
            let format = FrameFormat::try_new(width, height, PixelFormat::Gray).unwrap();
            let options = EncoderOptions { preset, ..EncoderOptions::default() };
            let mut encoder = Encoder::spawn(format, options).unwrap();
            let sets = encoder.parameter_sets().clone();
            let mut decoder = Decoder::spawn(format, sets, DecoderOptions::default()).unwrap();
            let planes: Vec<_> = (0..16).map(|i| plane::plane(format, i)).collect();
            let gain = Gain(36);
            let units: Vec<_> = planes.iter().map(|plane| encoder.encode(plane, gain).unwrap()).collect();
            let kbit = units.iter().map(|unit| f64::from(unit.bits())).sum::<f64>() / 16e3;

            let mut group = criterion.benchmark_group(format!("{width}x{height} {preset:?} {kbit:.1} kbit"));
            group.sample_size(30);
            let mut next = (0..16).cycle();
            group.bench_function("encode", |b| {
                b.iter(|| encoder.encode(&planes[next.next().unwrap()], gain).unwrap());
            });
            group.bench_function("decode", |b| {
                b.iter(|| decoder.decode(units[next.next().unwrap()].bytes(), gain).unwrap());
            });
            group.bench_function("both", |b| {
                b.iter(|| {
                    let unit = encoder.encode(&planes[next.next().unwrap()], gain).unwrap();
                    decoder.decode(unit.bytes(), gain).unwrap()
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);

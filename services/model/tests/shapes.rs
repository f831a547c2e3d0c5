//! Feature maps of every shape from 1x1x1 to 208x208x64 through a tiler, the real codec and back.
//!
//! Needs ffmpeg and ONNX Runtime, whose path is taken from `AUTOTILER_ORT` or `ORT_DYLIB_PATH`, else from the
//! cache that the set-up fills; skipped with a line where the latter is absent.
#![allow(clippy::unwrap_used)] // helpers of tests may fail loudly

use std::{env, path::PathBuf, time::Duration};

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};
use autotiler_graph::{
    Engine, Tensor,
    tiler::{
        AutoTiler, Grade, Importance, Klt, KltFit, Lite, LiteShape, Paper, PaperPlan, PlainFit, TilerSpec,
        gain_input_beside_qp,
    },
};
use autotiler_hevc::{Decoder, DecoderOptions, Encoder, EncoderOptions, FrameFormat, PixelFormat};
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use proptest::{prelude::*, test_runner::TestCaseError};

/// Where the set-up puts the library, below the home directory.
const CACHED: &str = ".cache/autotiler/onnxruntime-1.32.0/libonnxruntime.so.1.32.0";
/// Largest feature map: the shallowest point of the paper's network.
const LARGEST: Shape = Shape::new(64, 208, 208);
/// Step of the quantiser at gain 1, QP 20, in plane units: 2^((20 - 4) / 6) (H.265 8.6.4.2).
const STEP: f64 = 6.35;
/// Samples from which on errors of single coefficients average out.
const MANY: usize = 1024;
/// Rounding to bytes, in plane units.
const ROUNDING: f64 = 0.5;

fn engine() -> Option<OnnxEngine> {
    let given = env::var_os("AUTOTILER_ORT").or_else(|| env::var_os("ORT_DYLIB_PATH")).map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let library = path.filter(|path| path.is_file());
    if library.is_none() {
        println!("skipped: no ONNX Runtime");
    }
    let options = OnnxOptions { library: Some(library?), ..OnnxOptions::default() };
    Some(OnnxEngine::new(options).unwrap())
}

/// A smooth feature map whose channels are mixtures of few patterns, with some noise.
fn feature(shape: Shape, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    let mut values = Vec::with_capacity(shape.len());
    for c in 0..shape.c {
        let (phase, slope) = (c as f32 * 0.9 + seed as f32, 1.0 + (c % 5) as f32 * 0.3);
        for y in 0..shape.h {
            for x in 0..shape.w {
                let wave = (x as f32 * 0.11 + phase).sin() + (y as f32 * 0.07 * slope).cos();
                values.push(wave + 0.2 * noise() + 0.1 * phase);
            }
        }
    }
    values
}

/// Values of unit variance (xorshift).
fn random() -> impl FnMut() -> f32 {
    let mut state = 0x2545_f491_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        ((state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0) * 3.0_f32.sqrt()
    }
}

/// Bound on the root of the mean squared error that the codec makes at gain 1, in plane units; rounding included.
///
/// A dead zone of a third errs by two thirds of a step at most. The rate-distortion search drops a level more where
/// that saves bits, which shows where a plane has but a few coefficients.
fn codec_error(spec: &TilerSpec) -> f64 {
    if spec.plane().len() >= MANY { 2.0 / 3.0 * STEP } else { 2.0 * STEP }
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_usize, 0.0), |(n, sum), v| (n + 1, sum + v * v));
    (sum / count.max(1) as f64).sqrt()
}

fn error(a: &[f32], b: &[f32]) -> f64 {
    rms(a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)))
}

fn deviation(values: &[f32]) -> f64 {
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    rms(values.iter().map(|&v| f64::from(v) - mean))
}

/// What came back of `values`, after the checks that hold for every tiler.
fn through(engine: &OnnxEngine, tiler: &dyn AutoTiler, values: &[f32]) -> Result<Vec<f32>, TestCaseError> {
    let spec = *tiler.spec();
    let input = Tensor::f32(spec.feature, values.to_vec());
    let plane = engine.load(&tiler.encoder().unwrap()).unwrap().run(&[input]).unwrap().remove(0);
    prop_assert_eq!(plane.shape, spec.plane());
    let sent = plane.as_u8().unwrap();

    let [width, height] = [plane.shape.w, plane.shape.h].map(|side| u32::try_from(side).unwrap());
    let format = FrameFormat::try_new(width, height, PixelFormat::Gray).unwrap();
    // The largest plane takes seconds on a busy machine.
    let frame_timeout = Duration::from_secs(60);
    let options = EncoderOptions { frame_timeout, ..EncoderOptions::default() };
    let mut encoder = Encoder::spawn(format, options).unwrap();
    let sets = encoder.parameter_sets().clone();
    let mut decoder =
        Decoder::spawn(format, sets, DecoderOptions { frame_timeout, ..DecoderOptions::default() }).unwrap();
    let unit = encoder.encode(sent, Gain::UNITY).unwrap();
    let scaled = decoder.decode_scaled(unit.bytes()).unwrap();
    let coded = rms(sent.iter().zip(&scaled.samples).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    prop_assert!(coded <= codec_error(&spec), "the codec is off by {} at {:?}", coded, spec);

    let gain = gain_input_beside_qp([(Gain::UNITY, scaled.qp_gain)]);
    let inputs = [Tensor::u8(spec.plane(), scaled.samples), gain];
    let back = engine.load(&tiler.decoder().unwrap()).unwrap().run(&inputs).unwrap().remove(0);
    prop_assert_eq!(back.shape, spec.feature);
    let back = back.as_f32().unwrap().to_vec();
    prop_assert!(back.iter().all(|v| v.is_finite()));
    Ok(back)
}

/// The factor from features to plane units.
fn scale(klt: &Klt) -> f64 {
    let row = klt.forward.iter().take(klt.spec.folded()).map(|&v| f64::from(v).powi(2));
    row.sum::<f64>().sqrt()
}

fn klt(spec: TilerSpec, values: &[f32]) -> Klt {
    let mut fit = KltFit::new(spec);
    fit.add(values).unwrap();
    // One pixel alone has no covariance.
    fit.add(&feature(spec.feature, 4)).unwrap();
    fit.finish(None).unwrap()
}

/// Plain tiling, and KLT and learned tiler at ratio `cr` if the shape has it.
fn assert_shape_comes_back(
    engine: &OnnxEngine,
    shape: Shape,
    cr: u16,
    learned: bool,
) -> Result<(), TestCaseError> {
    let layer = LayerIndex(1);
    let values = feature(shape, 3);
    let spec = TilerSpec::new(layer, shape, CompressionRatio::ONE).unwrap();

    let mut fit = PlainFit::new(spec);
    fit.add(&values).unwrap();
    let plain = fit.finish().unwrap();
    let back = through(engine, &plain, &values)?;
    let bound = (codec_error(&spec) + ROUNDING) / f64::from(plain.scale);
    prop_assert!(error(&values, &back) <= bound, "plain: {} above {}", error(&values, &back), bound);

    let cr = CompressionRatio::try_new(cr).unwrap();
    let Ok(spec) = TilerSpec::new(layer, shape, cr) else { return Ok(()) };
    let klt = klt(spec, &values);
    // What is left out of a truncated transform is at most all that varies between pixels and channels.
    let lost = if cr == CompressionRatio::ONE { 0.0 } else { deviation(&values) };
    // A padded map may hold all of the codec's error where it counts.
    let bound = lost + 2.0 * (codec_error(&spec) + ROUNDING) / scale(&klt);
    let back = through(engine, &klt, &values)?;
    prop_assert!(
        error(&values, &back) <= bound,
        "KLT: {} above {} at {:?}",
        error(&values, &back),
        bound,
        spec
    );
    if learned {
        // It starts as the KLT, or with an importance that halves all of the plane and takes the weakest of the maps.
        let weakest = deviation(&values) / (spec.maps as f64).sqrt();
        let bound = if Importance::fits(&spec) { 2.0 * bound + weakest } else { bound };
        let lite = Lite::from_klt(&klt, LiteShape::default(), random()).unwrap();
        let back = through(engine, &lite, &values)?;
        prop_assert!(error(&values, &back) <= bound, "lite: {} above {}", error(&values, &back), bound);
    }
    Ok(())
}

/// The fresh auto-tiler of the paper for one of five points: its values mean nothing yet, so that only the
/// checks that hold for all tilers are made, and that they stay of the feature map's order.
fn assert_paper_comes_back(
    engine: &OnnxEngine,
    core: Shape,
    point: usize,
    grade: Grade,
) -> Result<(), TestCaseError> {
    let above = |layer, halvings: usize| {
        let shape = Shape::new((core.c >> halvings).max(1), core.h << halvings, core.w << halvings);
        (LayerIndex(layer), shape)
    };
    let deep = [3, 4, 5].map(|layer| (LayerIndex(layer), core));
    let Ok(plan) = PaperPlan::new(&[&[above(1, 2), above(2, 1)], &deep[..]].concat()) else { return Ok(()) };
    let tiler = Paper::new(&plan, point, grade, random()).unwrap();
    let values = feature(tiler.spec.feature, 5);
    let back = through(engine, &tiler, &values)?;
    prop_assert!(rms(back.iter().map(|&v| f64::from(v))) <= 1e3);
    Ok(())
}

#[test]
fn the_smallest_and_the_largest_feature_map_come_back() {
    let Some(engine) = engine() else { return };
    assert_shape_comes_back(&engine, Shape::new(1, 1, 1), 1, true).unwrap();
    // Of the KLT's and the learned tiler's planes, the quarter is enough: plain tiling has the whole.
    assert_shape_comes_back(&engine, LARGEST, 4, true).unwrap();
    assert_paper_comes_back(&engine, Shape::new(256, 52, 52), 0, Grade::Coarse).unwrap();
}

#[test]
fn many_large_maps_stay_within_the_codecs_largest_side() {
    for maps in 1..=LARGEST.c {
        let shape = Shape { c: maps, ..LARGEST };
        let plane = TilerSpec::new(LayerIndex(0), shape, CompressionRatio::ONE).unwrap().plane();
        let [w, h] = [plane.w, plane.h].map(|side| u32::try_from(side).unwrap());
        assert!(FrameFormat::try_new(w, h, PixelFormat::Gray).is_ok(), "{maps} maps: {plane}");
    }
}

proptest! {
    // A case starts up to eight processes of ffmpeg (0.1 s each).
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_shape_comes_back(
        c in 1_usize..=LARGEST.c,
        // As many small sides as large ones.
        (h, w) in (0.0_f64..1.0, 0.0_f64..1.0).prop_map(|(h, w)| {
            let side = |share: f64| (LARGEST.h as f64).powf(share).round() as usize;
            (side(h), side(w))
        }),
        cr in prop_oneof![Just(1), 1_u16..17],
    ) {
        let Some(engine) = engine() else { return Ok(()) };
        assert_shape_comes_back(&engine, Shape::new(c, h, w), cr, c * h * w < 100_000)?;
    }

    #[test]
    fn the_papers_tilers_take_every_core_that_has_a_plan(
        maps in 2_u32..7,
        (h, w) in (1_usize..14, 1_usize..14),
        point in 0_usize..5,
        coarse: bool,
    ) {
        let Some(engine) = engine() else { return Ok(()) };
        let grade = if coarse { Grade::Coarse } else { Grade::Fine };
        assert_paper_comes_back(&engine, Shape::new(1 << maps, h, w), point, grade)?;
    }
}

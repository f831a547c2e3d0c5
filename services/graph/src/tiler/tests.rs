//! Tilers run by the reference interpreter: any shape goes through a plane and back.

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};
use proptest::prelude::*;

use super::*;
use crate::{engine::Engine as _, reference::Reference, tensor::Tensor};

/// A smooth feature map whose channels are mixtures of few patterns, as in real networks.
fn feature(shape: Shape, seed: usize) -> Vec<f32> {
    let value = |c: usize, y: usize, x: usize| {
        let (fx, fy) = (x as f32 * 0.3 + seed as f32, y as f32 * 0.2);
        (fx + c as f32).sin() + 0.5 * (fy * (1.0 + (c % 3) as f32)).cos() + 0.3 * c as f32
    };
    let rows = (0..shape.c).flat_map(|c| (0..shape.h).map(move |y| (c, y)));
    rows.flat_map(|(c, y)| (0..shape.w).map(move |x| value(c, y, x))).collect()
}

fn spec(shape: Shape, cr: u16) -> TilerSpec {
    TilerSpec::new(LayerIndex(3), shape, CompressionRatio::try_new(cr).unwrap()).unwrap()
}

fn klt(spec: TilerSpec, sensitivity: Option<&[f64]>) -> Klt {
    let mut fit = KltFit::new(spec);
    (0..6).for_each(|seed| fit.add(&feature(spec.feature, seed)).unwrap());
    fit.finish(sensitivity).unwrap()
}

/// Feature map to plane to feature map, with the plane scaled by `gain` as the codec would.
fn round_trip(tiler: &dyn AutoTiler, values: &[f32], gain: Gain) -> (Vec<u8>, Vec<f32>) {
    let engine = Reference;
    let input = Tensor::f32(tiler.spec().feature, values.to_vec());
    let plane = engine.load(&tiler.encoder().unwrap()).unwrap().run(&[input]).unwrap().remove(0);
    let scaled = plane
        .as_u8()
        .unwrap()
        .iter()
        .map(|&p| ((f32::from(p) - 128.0) * gain.factor() + 128.0).round().clamp(0.0, 255.0) as u8);
    let scaled = Tensor::u8(tiler.spec().plane(), scaled.collect());
    let mut decoder = engine.load(&tiler.decoder().unwrap()).unwrap();
    let back = decoder.run(&[scaled, gain_input(&[gain])]).unwrap().remove(0);
    (plane.as_u8().unwrap().to_vec(), back.as_f32().unwrap().to_vec())
}

fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let mean = a.iter().map(|&v| f64::from(v)).sum::<f64>() / a.len() as f64;
    let error: f64 = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    let power: f64 = a.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
    (error / power.max(1e-9)).sqrt()
}

#[test]
fn full_rank_klt_gives_the_feature_map_back_within_the_rounding_of_bytes() {
    let shape = Shape::new(12, 10, 9);
    let tiler = klt(spec(shape, 1), None);
    let values = feature(shape, 2);
    let (plane, back) = round_trip(&tiler, &values, Gain::UNITY);
    assert_eq!(plane.len(), tiler.spec.plane().len());
    assert!(relative_error(&values, &back) < 0.02, "{}", relative_error(&values, &back));
}

#[test]
fn a_gain_costs_only_the_rounding_of_the_scaled_bytes() {
    let shape = Shape::new(8, 12, 12);
    let values = feature(shape, 1);
    let (_, back) = round_trip(&klt(spec(shape, 1), None), &values, Gain(24));
    assert!(relative_error(&values, &back) < 0.03);
}

#[test]
fn sensitivity_moves_precision_to_where_the_detector_looks() {
    let shape = Shape::new(4, 8, 8);
    let spec = spec(shape, 1);
    // Channel 2 matters a hundred times as much.
    let mut g = vec![0.0; 16];
    (0..4).for_each(|c| g[c * 5] = if c == 2 { 100.0 } else { 1.0 });
    let values = feature(shape, 1);
    let of_channel = |back: &[f32], c: usize| relative_error(&values[c * 64..][..64], &back[c * 64..][..64]);
    let (_, even) = round_trip(&klt(spec, None), &values, Gain(72));
    let (_, weighted) = round_trip(&klt(spec, Some(&g)), &values, Gain(72));
    assert!(of_channel(&weighted, 2) < of_channel(&even, 2));
}

#[test]
fn lite_starts_as_the_klt() {
    let shape = Shape::new(6, 9, 8);
    let start = klt(spec(shape, 1), None);
    let plain = LiteShape { importance: None, ..LiteShape::default() };
    let lite = Lite::from_klt(&start, plain, || 0.0).unwrap();
    let values = feature(shape, 3);
    assert_eq!(round_trip(&lite, &values, Gain(10)), round_trip(&start, &values, Gain(10)));
    assert_eq!(Lite::from_weights(lite.spec, lite.weights()), lite);
    let restored = lite.with_restorer(&[1.0; 6], &Restorer::untrained(4, || 0.3));
    assert_eq!(round_trip(&restored, &values, Gain(10)), round_trip(&start, &values, Gain(10)));
    assert_eq!(Lite::from_weights(restored.spec, restored.weights()), restored);
    assert_eq!(Klt::from_weights(start.spec, &start.weights()), start);
}

/// One whose importance differs from pixel to pixel.
fn emphasised(klt: &Klt) -> Lite {
    let mut state = 5u32;
    let random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    let shape =
        LiteShape { importance: Some(ImportanceShape { width: 4, layers: 2 }), ..LiteShape::default() };
    let mut lite = Lite::from_klt(klt, shape, random).unwrap();
    let out = lite.weights.iter_mut().find(|w| w.name == "tiler.importance.out.weight").unwrap();
    out.values = vec![0.9, -0.7, 0.8, -0.6].into();
    lite
}

#[test]
fn what_importance_scales_the_server_scales_back() {
    // 40 pixels a side are told of in cells of two.
    for shape in [Shape::new(9, 10, 9), Shape::new(8, 40, 37)] {
        let klt = klt(spec(shape, 1), None);
        let lite = emphasised(&klt);
        assert_eq!(Lite::from_weights(lite.spec, lite.weights()), lite);
        let values = feature(shape, 2);
        let (plane, back) = round_trip(&lite, &values, Gain::UNITY);
        let told: Vec<u8> = maps_of(&lite.spec, &plane).split_off((shape.c - 1) * shape.h * shape.w);
        let (low, high) = (told.iter().min().unwrap(), told.iter().max().unwrap());
        assert!(*low >= 96 && *high <= 160 && high > low, "{low} {high}");
        // The mixtures have fewer patterns than maps: nothing is lost with the last but rounding.
        let error = relative_error(&values, &back);
        assert!(error < 0.06, "{shape:?}: {error}");
    }
    // No map is given up where there are few.
    let few = klt(spec(Shape::new(7, 6, 6), 1), None);
    let lite = Lite::from_klt(&few, LiteShape::default(), || 0.0).unwrap();
    let values = feature(Shape::new(7, 6, 6), 2);
    assert_eq!(round_trip(&lite, &values, Gain(10)), round_trip(&few, &values, Gain(10)));
}

/// The maps of a plane one after another.
fn maps_of(spec: &TilerSpec, plane: &[u8]) -> Vec<u8> {
    let (map, width) = (spec.maps_shape(), spec.plane().w);
    let at = |m: usize, y: usize, x: usize| {
        plane[(m / spec.grid.cols * map.h + y) * width + m % spec.grid.cols * map.w + x]
    };
    let rows = (0..map.c).flat_map(|m| (0..map.h).map(move |y| (m, y)));
    rows.flat_map(|(m, y)| (0..map.w).map(move |x| at(m, y, x))).collect()
}

#[test]
fn plain_tiling_spans_the_byte_and_comes_back() {
    let shape = Shape::new(5, 7, 6);
    let spec = spec(shape, 1);
    let mut fit = PlainFit::new(spec);
    fit.add(&feature(shape, 4)).unwrap();
    let tiler = fit.finish().unwrap();
    let values = feature(shape, 4);
    let (plane, back) = round_trip(&tiler, &values, Gain::UNITY);
    assert!(plane.contains(&0) || plane.contains(&1));
    assert!(plane.iter().any(|&p| p >= 254));
    assert!(relative_error(&values, &back) < 0.01);
    assert_eq!(Plain::from_weights(spec, &tiler.weights()), Some(tiler));
}

#[test]
fn fitting_refuses_what_would_spoil_the_weights() {
    let shape = Shape::new(2, 4, 4);
    let mut fit = KltFit::new(spec(shape, 1));
    assert_eq!(fit.add(&[0.0; 3]), Err(TilerError::SampleLen { expected: 32, got: 3 }));
    assert_eq!(fit.add(&[f32::NAN; 32]), Err(TilerError::NotFinite));
    assert_eq!(fit.finish(None), Err(TilerError::NoSamples));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_shape_and_ratio_comes_back_in_its_own_shape(
        c in 1usize..20, h in 1usize..14, w in 1usize..14, cr in 1u16..9,
    ) {
        let shape = Shape::new(c, h, w);
        let Ok(spec) = TilerSpec::new(LayerIndex(0), shape, CompressionRatio::try_new(cr).unwrap()) else {
            return Ok(());
        };
        let values = feature(shape, 1);
        let (plane, back) = round_trip(&klt(spec, None), &values, Gain::UNITY);
        prop_assert_eq!(plane.len(), spec.plane().len());
        prop_assert_eq!(back.len(), shape.len());
        prop_assert!(back.iter().all(|v| v.is_finite()));
    }
}

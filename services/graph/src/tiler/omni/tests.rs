//! Omni by the reference interpreter.

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};

use super::*;
use crate::{
    engine::Engine as _,
    reference::Reference,
    tensor::Tensor,
    tiler::{gain_input, gain_input_beside_qp},
};

fn feature(shape: Shape, seed: usize) -> Vec<f32> {
    (0..shape.len()).map(|i| ((i * (seed + 3)) as f32 * 0.37).sin() + (i % 5) as f32 * 0.1).collect()
}

fn omni(shape: Shape, restorer: Restorer) -> Omni {
    let spec = TilerSpec::new(LayerIndex(3), shape, CompressionRatio::ONE).unwrap();
    let mut fit = KltFit::new(spec);
    (0..6).for_each(|seed| fit.add(&feature(shape, seed)).unwrap());
    Omni::from_fit(&fit, restorer).unwrap()
}

fn random() -> impl FnMut() -> f32 {
    let mut state = 7u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    }
}

/// An untrained restorer whose last part is not zero.
fn busy(width: usize) -> Restorer {
    let mut weights = Restorer::untrained(width, random()).weights().to_vec();
    let mut random = random();
    for weight in weights.iter_mut().filter(|w| w.name.contains(".out.")) {
        weight.values = std::sync::Arc::new(weight.values.iter().map(|_| 0.1 * random()).collect());
    }
    Restorer::from_weights(&weights)
}

fn decode(tiler: &dyn AutoTiler, plane: &[u8], gain: Tensor) -> Vec<f32> {
    let plane = Tensor::u8(tiler.spec().plane(), plane.to_vec());
    let mut session = Reference.load(&tiler.decoder().unwrap()).unwrap();
    session.run(&[plane, gain]).unwrap().remove(0).as_f32().unwrap().to_vec()
}

fn plane_of(tiler: &dyn AutoTiler) -> Vec<u8> {
    (0..tiler.spec().plane().len()).map(|i| (118 + i * 7 % 21) as u8).collect()
}

#[test]
fn it_is_the_klt_where_the_restorer_is_untrained() {
    let omni = omni(Shape::new(5, 6, 7), Restorer::untrained(4, random()));
    let plane = plane_of(&omni);
    let gain = || gain_input(&[Gain(30)]);
    assert_eq!(decode(&omni, &plane, gain()), decode(&omni.klt, &plane, gain()));
    assert_eq!(omni.encoder().unwrap(), omni.klt.encoder().unwrap());
}

#[test]
fn a_trained_restorer_changes_the_maps() {
    let omni = omni(Shape::new(5, 6, 7), busy(4));
    let plane = plane_of(&omni);
    assert_ne!(
        decode(&omni, &plane, gain_input(&[Gain(30)])),
        decode(&omni.klt, &plane, gain_input(&[Gain(30)]))
    );
}

#[test]
fn weights_come_back() {
    let omni = omni(Shape::new(3, 5, 5), busy(2));
    assert_eq!(Omni::from_weights(omni.klt.spec, omni.weights()), omni);
    let missing: Vec<_> = omni.weights().into_iter().filter(|w| !w.name.contains("mix")).collect();
    assert!(Omni::from_weights(omni.klt.spec, missing).decoder().is_err());
}

#[test]
fn deviations_are_those_of_the_maps() {
    let shape = Shape::new(4, 8, 8);
    let omni = omni(shape, busy(1));
    let mut sums = [(0.0f64, 0.0f64); 4];
    for seed in 0..6 {
        let values = feature(shape, seed);
        for (map, (sum, squares)) in sums.iter_mut().enumerate() {
            for pixel in 0..64 {
                let row = &omni.klt.forward[map * 4..][..4];
                let value: f32 = (0..4).map(|c| row[c] * values[c * 64 + pixel]).sum();
                *sum += f64::from(value);
                *squares += f64::from(value).powi(2);
            }
        }
    }
    for ((sum, squares), got) in sums.iter().zip(&omni.deviation) {
        let count = 6.0 * 64.0;
        let expected = (squares / count - (sum / count).powi(2)).sqrt();
        assert!((expected - f64::from(*got)).abs() < 0.01 * expected + 1e-3, "{expected} {got}");
    }
}

/// One map whose inverse transform is the identity: what comes out is what is corrected.
fn one_map() -> Omni {
    let mut omni = omni(Shape::new(1, 6, 6), busy(3));
    (omni.klt.inverse, omni.klt.mean) = (vec![1.0], vec![0.0]);
    omni
}

#[test]
fn a_correction_is_the_same_in_steps_at_every_gain() {
    // The same samples, and a deviation that grows with the step: all that the restorer sees is the same.
    let correction = |gain: Gain| {
        let mut omni = one_map();
        omni.deviation = vec![20.0 / gain.factor()];
        let plane = plane_of(&omni);
        let input = || gain_input(&[gain]);
        let (with, without) = (decode(&omni, &plane, input()), decode(&omni.klt, &plane, input()));
        with.iter().zip(without).map(|(a, b)| (a - b) * gain.factor()).collect::<Vec<_>>()
    };
    let unity = correction(Gain::UNITY);
    assert!(unity.iter().any(|v| v.abs() > 0.1));
    for gain in [24, 72, 120] {
        // The exponential is off by 1.3 % at the last.
        for (a, b) in unity.iter().zip(correction(Gain(gain))) {
            assert!((a - b).abs() < 0.05 * (1.0 + a.abs()), "gain {gain}: {a} {b}");
        }
    }
}

#[test]
fn it_does_not_matter_how_much_of_a_gain_is_qp() {
    // A plane of multiples of 4 above the middle can be halved twice without rounding.
    let omni = one_map();
    let plane: Vec<u8> = (0..36).map(|i| 128 + (i % 7) * 4).collect();
    let quarter: Vec<u8> = plane.iter().map(|p| 128 + (p - 128) / 4).collect();
    let as_qp = decode(&omni, &plane, gain_input_beside_qp([(Gain(48), Gain(48))]));
    let as_scaling = decode(&omni, &quarter, gain_input_beside_qp([(Gain(48), Gain::UNITY)]));
    for (a, b) in as_qp.iter().zip(as_scaling) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

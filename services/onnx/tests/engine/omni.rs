//! The tiler for any network, with a restorer that does something, on this engine and on the reference.

use std::sync::Arc;

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};
use autotiler_graph::{
    Tensor,
    reference::Reference,
    tiler::{AutoTiler as _, KltFit, Omni, Restorer, TilerSpec, gain_input},
};

use crate::{
    comparison::{difference, largest, noise, run},
    engine,
};

/// Largest difference, relative to the largest value: ten squarings of a float of 24 bits.
const TOLERANCE: f32 = 2e-4;

fn omni(shape: Shape, cr: u16) -> Omni {
    let spec = TilerSpec::new(LayerIndex(0), shape, CompressionRatio::try_new(cr).unwrap()).unwrap();
    let mut fit = KltFit::new(spec);
    (0..4).for_each(|seed| fit.add(&noise(seed, shape.len())).unwrap());
    let mut weights = Restorer::untrained(3, || 0.0).weights().to_vec();
    for (seed, weight) in weights.iter_mut().enumerate() {
        let values = noise(seed as u64 + 40, weight.values.len());
        weight.values = Arc::new(values.iter().map(|value| 0.3 * value).collect());
    }
    Omni::from_fit(&fit, Restorer::from_weights(&weights)).unwrap()
}

#[test]
fn omni_is_what_the_reference_says_at_every_gain() {
    for (shape, cr) in [(Shape::new(6, 9, 7), 1), (Shape::new(4, 10, 8), 4), (Shape::new(1, 1, 1), 1)] {
        let omni = omni(shape, cr);
        let decoder = omni.decoder().unwrap();
        let bytes = noise(3, omni.spec().plane().len()).iter().map(|x| (x * 40.0 + 128.0) as u8).collect();
        let plane = Tensor::u8(omni.spec().plane(), bytes);
        for gain in [0, 30, 72, 200] {
            let inputs = [plane.clone(), gain_input(&[Gain(gain)])];
            let (ours, exact) = (run(&engine(), &decoder, &inputs), run(&Reference, &decoder, &inputs));
            let distance = largest(ours.iter().zip(&exact).map(|(a, b)| difference(a, b)));
            assert!(distance <= TOLERANCE, "{shape} cr {cr} gain {gain}: {distance}");
        }
    }
}

//! Engines against the reference on noise; used by the tests of both engines, which name their `engine()`.

use autotiler_graph::{Engine, Graph, NodeId, Tensor, TensorData, reference::Reference};

use crate::engine;

/// Numbers in -1 .. 1, the same for the same seed (xorshift).
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..len).map(step).collect()
}

/// A batch for each input of `graph`: floats in -3 .. 3, or any bytes.
pub(crate) fn noisy_inputs(graph: &Graph, batch: usize, seed: u64) -> Vec<Tensor> {
    let input = |(index, id): (usize, &NodeId)| {
        let node = graph.node(*id).unwrap();
        let values = noise(seed + index as u64, batch * node.shape.len());
        let data = if node.is_bytes() {
            TensorData::U8(values.iter().map(|x| (x * 128.0 + 128.0) as u8).collect())
        } else {
            TensorData::F32(values.iter().map(|x| x * 3.0).collect())
        };
        Tensor { batch, shape: node.shape, data }
    };
    graph.inputs.iter().enumerate().map(input).collect()
}

pub(crate) fn run(engine: &dyn Engine, graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    engine.load(graph).unwrap().run(inputs).unwrap()
}

/// Largest difference of two tensors of one shape and kind; for floats, relative to the largest value where
/// that is above 1.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!((a.batch, a.shape), (b.batch, b.shape));
    match (&a.data, &b.data) {
        (TensorData::F32(a), TensorData::F32(b)) => {
            assert_eq!(a.len(), b.len());
            let scale = b.iter().fold(1.0_f32, |max, x| max.max(x.abs()));
            largest(a.iter().zip(b).map(|(a, b)| (a - b).abs())) / scale
        }
        (TensorData::U8(a), TensorData::U8(b)) => {
            assert_eq!(a.len(), b.len());
            largest(a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))))
        }
        _ => panic!("one is of floats, the other of bytes"),
    }
}

/// The largest of some numbers; not a number if one of them is not.
pub(crate) fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |max, x| if x <= max { max } else { x })
}

/// Runs `graph` here and in the reference on noise, a batch of three, and yields the largest difference.
pub(crate) fn distance_to_reference(graph: &Graph, seed: u64) -> f32 {
    let inputs = noisy_inputs(graph, 3, seed);
    let (ours, theirs) = (run(&engine(), graph, &inputs), run(&Reference, graph, &inputs));
    assert_eq!(ours.len(), theirs.len());
    largest(ours.iter().zip(&theirs).map(|(ours, theirs)| difference(ours, theirs)))
}

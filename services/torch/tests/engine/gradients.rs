//! Gradients against finite differences, and what training alone does.

use std::sync::Arc;

use autotiler_core::Shape;
use autotiler_graph::{Activation, Graph, GraphBuilder, NodeId, Op};
use autotiler_torch::{Executor, Mode, Parameters};
use tch::{Device, Kind, Tensor};

use crate::comparison::noise;

const SHAPE: Shape = Shape::new(2, 4, 4);
/// Step of the finite differences; activations here are smooth.
const STEP: f64 = 1e-2;

fn conv(builder: &mut GraphBuilder, name: &str, input: NodeId, out: usize) -> NodeId {
    let c = builder.shape(input).c;
    let values: Vec<f32> = noise(name.len() as u64, out * c * 9).iter().map(|x| x * 0.4).collect();
    let weight = builder.weight(format!("{name}.weight"), vec![out, c, 3, 3], values).unwrap();
    let bias = Some(builder.weight(format!("{name}.bias"), vec![out], noise(7, out)).unwrap());
    let op = Op::Conv { weight, bias, out, size: 3, stride: 1, pad: 1, dilation: 1, groups: 1 };
    builder.push(op, &[input]).unwrap()
}

/// Convolutions, batch norm, a skip and a change of size.
fn tiny() -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder.input(SHAPE);
    let y = conv(&mut builder, "a", x, 3);
    let mut named = |name: &str, value: f32| builder.weight(name, vec![3], vec![value; 3]).unwrap();
    let (scale, shift) = (named("n.scale", 1.2), named("n.shift", 0.1));
    let (mean, variance) = (named("n.mean", 0.0), named("n.variance", 1.0));
    let y = builder.push(Op::BatchNorm { scale, shift, mean, variance }, &[y]).unwrap();
    let y = builder.push(Op::Activate(Activation::Mish), &[y]).unwrap();
    let z = conv(&mut builder, "bb", y, 3);
    let z = builder.push(Op::Add, &[y, z]).unwrap();
    let taps: Vec<f32> = noise(11, 225).iter().map(|x| x * 0.2).collect();
    let weight = builder.weight("t.weight", vec![3, 3, 5, 5], taps).unwrap();
    let bias = Some(builder.weight("t.bias", vec![3], noise(12, 3)).unwrap());
    let transposed = Op::ConvTranspose { weight, bias, out: 3, size: 5, stride: 2 };
    let spread = builder.push(transposed, &[z]).unwrap();
    let z = builder.push(Op::Upsample { factor: 2 }, &[z]).unwrap();
    let z = builder.push(Op::Add, &[z, spread]).unwrap();
    let z = builder.push(Op::SpaceToDepth { block: 2 }, &[z]).unwrap();
    let z = builder.push(Op::Tile { cols: 4, rows: 3 }, &[z]).unwrap();
    builder.finish(&[z])
}

fn batch(seed: u64, n: i64) -> Tensor {
    let values = noise(seed, n as usize * SHAPE.len());
    Tensor::from_slice(&values).reshape([n, SHAPE.c as i64, SHAPE.h as i64, SHAPE.w as i64])
}

fn loss(executor: &Executor, parameters: &Parameters, flat: &Tensor) -> Tensor {
    let statistics = parameters.statistics().copy();
    let weights = parameters.views(flat, &statistics).unwrap();
    let mode = Mode { batch_norm_momentum: Some(0.1), straight_through: true };
    let output = executor.run(&weights, &[batch(3, 4)], mode).unwrap().remove(0);
    let target = Tensor::from_slice(&noise(4, output.numel())).reshape(output.size());
    (output - target).square().sum(Kind::Double)
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let graph = Arc::new(tiny());
    let executor = Executor::try_new(graph.clone()).unwrap();
    let parameters = Parameters::try_new(&graph, Device::Cpu, |_| true).unwrap();
    let flat = parameters.flat();
    let value = loss(&executor, &parameters, flat);
    let gradient = Tensor::run_backward(&[&value], &[flat], false, false).remove(0);
    let gradient = Vec::<f32>::try_from(gradient).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (index, ours) in gradient.iter().enumerate().step_by(3) {
        let moved = |by: f64| {
            let moved = flat.copy();
            let _ = moved.get(index as i64).g_add_scalar_(by);
            f64::try_from(loss(&executor, &parameters, &moved)).unwrap()
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        // Sums of some hundred 32-bit values, differenced, are good to about 0.03.
        let tolerance = 0.1 + 0.02 * slope.abs();
        assert!((slope - f64::from(*ours)).abs() < tolerance, "value {index}: {ours} instead of {slope}");
    }
}

#[test]
fn training_moves_the_running_statistics_and_inference_does_not() {
    let graph = Arc::new(tiny());
    let executor = Executor::try_new(graph.clone()).unwrap();
    let parameters = Parameters::try_new(&graph, Device::Cpu, |_| true).unwrap();
    let before = parameters.statistics().copy();
    executor.run(&parameters.weights().unwrap(), &[batch(1, 2)], Mode::default()).unwrap();
    assert_eq!(*parameters.statistics(), before);
    let mode = Mode { batch_norm_momentum: Some(1.0), straight_through: false };
    executor.run(&parameters.weights().unwrap(), &[batch(1, 2)], mode).unwrap();
    assert_ne!(*parameters.statistics(), before);
}

#[test]
fn weights_come_back_from_the_flat_tensor_as_they_were() {
    let graph = tiny();
    let parameters = Parameters::try_new(&graph, Device::Cpu, |w| !w.name.starts_with("bb")).unwrap();
    let back = parameters.write_into(&graph, parameters.flat(), parameters.statistics()).unwrap();
    assert_eq!(back, graph);
}

#[test]
fn gradients_pass_the_rounding_to_bytes() {
    let mut builder = GraphBuilder::new();
    let x = builder.input(SHAPE);
    let y = builder.push(Op::ToPlane, &[x]).unwrap_or(x);
    let graph = Arc::new(builder.finish(&[y]));
    let input = batch(2, 1).set_requires_grad(true);
    let mode = Mode { batch_norm_momentum: None, straight_through: true };
    let output =
        Executor::try_new(graph).unwrap().run(&[], &[input.shallow_clone()], mode).unwrap().remove(0);
    assert_eq!(output.copy(), output.round());
    let gradient = Tensor::run_backward(&[&output.sum(Kind::Float)], &[&input], false, false).remove(0);
    assert_eq!(gradient, input.ones_like());
}

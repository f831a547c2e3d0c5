//! Every operator alone, against the reference interpreter.

use autotiler_core::Shape;
use autotiler_graph::{Activation, Graph, GraphBuilder, NodeId, Op};

use crate::comparison::{distance_to_reference, noise};

/// Single operators differ from the reference by rounding only.
const TOLERANCE: f32 = 1e-5;

/// A graph of one operator on inputs of the given shapes.
fn alone(op: Op, inputs: &[Shape]) -> Graph {
    let mut builder = GraphBuilder::new();
    let inputs: Vec<NodeId> = inputs.iter().map(|shape| builder.input(*shape)).collect();
    let result = builder.push(op, &inputs).unwrap();
    builder.finish(&[result])
}

fn alone_shaped(op: Op, input: Shape, shape: Shape) -> Graph {
    let mut builder = GraphBuilder::new();
    let input = builder.input(input);
    let result = builder.push_shaped(op, &[input], shape).unwrap();
    builder.finish(&[result])
}

#[track_caller]
fn agrees(graph: &Graph) {
    let distance = distance_to_reference(graph, 1);
    assert!(distance <= TOLERANCE, "{:?}: {distance}", graph.nodes.last().unwrap().op);
}

#[track_caller]
fn conv_agrees(maps: usize, out: usize, [size, stride, pad, dilation, groups]: [usize; 5], with_bias: bool) {
    let mut builder = GraphBuilder::new();
    let x = builder.input(Shape::new(maps, 13, 11));
    let dims = vec![out, maps / groups, size, size];
    let taps = dims.iter().product();
    let weight = builder.weight("weight", dims, noise(7, taps)).unwrap();
    let bias = with_bias.then(|| builder.weight("bias", vec![out], noise(8, out)).unwrap());
    let conv = Op::Conv { weight, bias, out, size, stride, pad, dilation, groups };
    let result = builder.push(conv, &[x]).unwrap();
    agrees(&builder.finish(&[result]));
}

#[test]
fn convolutions_agree() {
    conv_agrees(5, 7, [3, 1, 1, 1, 1], true);
    conv_agrees(5, 7, [1, 1, 0, 1, 1], false);
    conv_agrees(16, 32, [3, 2, 1, 1, 1], true);
    conv_agrees(16, 16, [3, 1, 1, 1, 16], true);
    conv_agrees(6, 9, [3, 1, 2, 2, 3], false);
    conv_agrees(3, 4, [5, 3, 0, 1, 1], true);
    conv_agrees(4, 8, [2, 2, 1, 1, 4], true);
}

#[track_caller]
fn transpose_agrees(maps: usize, out: usize, [size, stride]: [usize; 2], with_bias: bool) {
    let mut builder = GraphBuilder::new();
    let x = builder.input(Shape::new(maps, 7, 5));
    let weight =
        builder.weight("weight", vec![maps, out, size, size], noise(7, maps * out * size * size)).unwrap();
    let bias = with_bias.then(|| builder.weight("bias", vec![out], noise(8, out)).unwrap());
    let result = builder.push(Op::ConvTranspose { weight, bias, out, size, stride }, &[x]).unwrap();
    agrees(&builder.finish(&[result]));
}

#[test]
fn transposed_convolutions_agree() {
    transpose_agrees(8, 4, [5, 2], true);
    transpose_agrees(1, 6, [5, 2], false);
    transpose_agrees(6, 3, [7, 2], true);
    transpose_agrees(6, 3, [4, 2], true);
    transpose_agrees(3, 5, [2, 2], false);
    transpose_agrees(2, 1, [9, 1], true);
    transpose_agrees(2, 3, [8, 3], true);
    transpose_agrees(4, 1, [3, 3], false);
}

#[test]
fn batch_normalisation_agrees() {
    let mut builder = GraphBuilder::new();
    let x = builder.input(Shape::new(6, 5, 4));
    let [scale, shift, mean] = ["scale", "shift", "mean"].map(|name| {
        let seed = name.len() as u64;
        builder.weight(name, vec![6], noise(seed, 6)).unwrap()
    });
    let positive: Vec<f32> = noise(4, 6).iter().map(|x| x.abs() + 0.01).collect();
    let variance = builder.weight("variance", vec![6], positive).unwrap();
    let result = builder.push(Op::BatchNorm { scale, shift, mean, variance }, &[x]).unwrap();
    agrees(&builder.finish(&[result]));
}

#[test]
fn activations_agree() {
    use Activation::{Leaky, Linear, Logistic, Mish, Relu, Relu6, Swish};
    for activation in [Linear, Leaky, Relu, Relu6, Mish, Swish, Logistic] {
        agrees(&alone(Op::Activate(activation), &[Shape::new(4, 7, 9)]));
    }
}

#[test]
fn sums_and_products_agree() {
    let whole = Shape::new(4, 5, 6);
    agrees(&alone(Op::Add, &[whole, whole]));
    agrees(&alone(Op::Mul, &[whole, whole]));
    agrees(&alone(Op::Mul, &[whole, Shape::new(1, 5, 6)]));
    agrees(&alone(Op::Mul, &[Shape::new(1, 1, 1), whole]));
}

#[test]
fn joining_and_slicing_agree() {
    let shapes = [Shape::new(4, 5, 6), Shape::new(1, 5, 6), Shape::new(3, 5, 6)];
    agrees(&alone(Op::Concat, &shapes));
    agrees(&alone(Op::Concat, &shapes[..1]));
    agrees(&alone(Op::Slice { start: 2, len: 3 }, &[Shape::new(7, 3, 4)]));
}

#[test]
fn changes_of_size_agree() {
    agrees(&alone(Op::Upsample { factor: 2 }, &[Shape::new(3, 5, 4)]));
    agrees(&alone(Op::Upsample { factor: 3 }, &[Shape::new(2, 4, 3)]));
    agrees(&alone(Op::PadEdge { bottom: 3, right: 1 }, &[Shape::new(3, 5, 4)]));
    agrees(&alone_shaped(Op::Crop, Shape::new(3, 5, 4), Shape::new(3, 2, 3)));
    agrees(&alone_shaped(Op::Expand, Shape::new(1, 1, 1), Shape::new(1, 4, 6)));
}

#[test]
fn pooling_agrees() {
    for [size, stride, pad_begin, pad_end] in
        [[2, 2, 0, 0], [2, 1, 0, 1], [3, 2, 1, 1], [5, 1, 2, 2], [2, 2, 0, 1], [3, 3, 1, 0]]
    {
        agrees(&alone(Op::MaxPool { size, stride, pad_begin, pad_end }, &[Shape::new(3, 9, 7)]));
    }
    agrees(&alone(Op::GlobalAvgPool, &[Shape::new(5, 9, 7)]));
}

#[test]
fn foldings_of_space_agree() {
    agrees(&alone(Op::SpaceToDepth { block: 2 }, &[Shape::new(3, 6, 4)]));
    agrees(&alone(Op::SpaceToDepth { block: 3 }, &[Shape::new(2, 6, 9)]));
    agrees(&alone(Op::DepthToSpace { block: 2 }, &[Shape::new(12, 3, 4)]));
    agrees(&alone(Op::DepthToSpace { block: 3 }, &[Shape::new(18, 2, 1)]));
}

#[test]
fn tilings_agree() {
    for (maps, cols, rows) in [(6, 3, 2), (5, 3, 2), (4, 1, 4), (3, 1, 4), (4, 4, 1), (1, 1, 1)] {
        let (map, plane) = (Shape::new(maps, 5, 4), Shape::new(1, 5 * rows, 4 * cols));
        agrees(&alone(Op::Tile { cols, rows }, &[map]));
        agrees(&alone_shaped(Op::Untile { cols, rows }, plane, map));
    }
}

#[test]
fn planes_agree_to_the_bit() {
    // Halves and values beyond the range of a byte are among these.
    let shape = Shape::new(1, 16, 40);
    let mut builder = GraphBuilder::new();
    let x = builder.input(shape);
    let spread = builder.weight("spread", vec![1, 1, 1, 1], vec![64.0]).unwrap();
    let conv =
        Op::Conv { weight: spread, bias: None, out: 1, size: 1, stride: 1, pad: 0, dilation: 1, groups: 1 };
    let wide = builder.push(conv, &[x]).unwrap();
    let plane = builder.push(Op::ToPlane, &[wide]).unwrap();
    let graph = builder.finish(&[plane]);
    assert_eq!(distance_to_reference(&graph, 5), 0.0);
}

#[test]
fn planes_round_halves_to_even_and_clamp() {
    use autotiler_graph::{Engine as _, Tensor};
    let values = vec![-300.0, -128.5, -127.5, -0.5, 0.5, 1.5, 126.5, 127.5, 300.0];
    let shape = Shape::new(1, 3, 3);
    let graph = alone(Op::ToPlane, &[shape]);
    let plane = crate::engine().load(&graph).unwrap().run(&[Tensor::f32(shape, values)]).unwrap();
    assert_eq!(plane[0].as_u8().unwrap(), [0, 0, 0, 128, 128, 130, 254, 255, 255]);
}

#[test]
fn bytes_enter_as_planes() {
    let mut builder = GraphBuilder::new();
    let x = builder.input_u8(Shape::new(1, 6, 8));
    let floats = builder.push(Op::FromPlane, &[x]).unwrap();
    assert_eq!(distance_to_reference(&builder.finish(&[floats]), 3), 0.0);
}

#[test]
fn values_leave_twice_unchanged_and_in_any_order() {
    let mut builder = GraphBuilder::new();
    let a = builder.input(Shape::new(2, 3, 3));
    let bytes = builder.input_u8(Shape::new(1, 2, 2));
    let linear = builder.push(Op::Activate(Activation::Linear), &[a]).unwrap();
    let relu = builder.push(Op::Activate(Activation::Relu), &[linear]).unwrap();
    let twice = builder.push(Op::Add, &[relu, relu]).unwrap();
    let graph = builder.finish(&[twice, relu, bytes, a, linear, relu]);
    assert_eq!(distance_to_reference(&graph, 4), 0.0);
}

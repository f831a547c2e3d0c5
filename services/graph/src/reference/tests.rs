use proptest::prelude::*;

use super::*;
use crate::{GraphBuilder, NodeId};

fn run(build: impl FnOnce(&mut GraphBuilder, NodeId) -> NodeId, shape: Shape, values: Vec<f32>) -> Tensor {
    let mut b = GraphBuilder::new();
    let x = b.input(shape);
    let y = build(&mut b, x);
    let graph = b.finish(&[y]);
    let mut outputs = Reference.load(&graph).unwrap().run(&[Tensor::f32(shape, values)]).unwrap();
    outputs.remove(0)
}

fn apply(op: Op, shape: Shape, values: Vec<f32>) -> Vec<f32> {
    let out = run(|b, x| b.push(op, &[x]).unwrap(), shape, values);
    out.as_f32().unwrap().to_vec()
}

fn ramp(len: usize) -> Vec<f32> {
    (0..len).map(|i| i as f32).collect()
}

#[test]
fn a_convolution_is_its_definition() {
    // A 3x3 map under a 2x2 kernel, stride 1, padding 1: the corner sees one pixel with the last tap.
    let out = run(
        |b, x| {
            let weight = b.weight("w", vec![1, 1, 2, 2], vec![1.0, 10.0, 100.0, 1000.0]).unwrap();
            let bias = b.weight("b", vec![1], vec![0.5]).unwrap();
            let (size, pad) = (2, 1);
            let conv =
                Op::Conv { weight, bias: Some(bias), out: 1, size, stride: 3, pad, dilation: 1, groups: 1 };
            b.push(conv, &[x]).unwrap()
        },
        Shape::new(1, 3, 3),
        ramp(9).iter().map(|x| x + 1.0).collect(),
    );
    assert_eq!(out.as_f32().unwrap(), [1000.5, 300.5, 70.5, 9.5]);
}

#[test]
fn a_transposed_convolution_is_its_definition() {
    let of = |size: usize, taps: Vec<f32>, values: Vec<f32>| {
        let shape = Shape::new(1, 1, values.len());
        let out = run(
            |b, x| {
                let weight = b.weight("w", vec![1, 1, size, size], taps).unwrap();
                b.push(Op::ConvTranspose { weight, bias: None, out: 1, size, stride: 2 }, &[x]).unwrap()
            },
            shape,
            values,
        );
        out.as_f32().unwrap().to_vec()
    };
    // Taps side by side: pixels are enlarged.
    assert_eq!(of(2, vec![1.0, 2.0, 0.0, 0.0], vec![1.0, 10.0]), [1.0, 2.0, 10.0, 20.0, 0.0, 0.0, 0.0, 0.0]);
    // Three taps: the first row and column are cut, so even places get the middle tap of their own pixel.
    let taps = vec![0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0];
    assert_eq!(of(3, taps, vec![1.0, 10.0])[..4], [2.0, 14.0, 20.0, 40.0]);
}

#[test]
fn a_group_sees_only_its_own_maps() {
    let out = run(
        |b, x| {
            let weight = b.weight("w", vec![4, 1, 1, 1], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
            let conv =
                Op::Conv { weight, bias: None, out: 4, size: 1, stride: 1, pad: 0, dilation: 1, groups: 2 };
            b.push(conv, &[x]).unwrap()
        },
        Shape::new(2, 1, 1),
        vec![1.0, 10.0],
    );
    assert_eq!(out.as_f32().unwrap(), [1.0, 2.0, 30.0, 40.0]);
}

#[test]
fn activations_are_their_definitions() {
    let at = |activation, x| activate(activation, x);
    assert_eq!(at(Activation::Leaky, -2.0), -0.2);
    assert_eq!(
        [at(Activation::Relu, -2.0), at(Activation::Relu6, 7.0), at(Activation::Linear, -3.0)],
        [0.0, 6.0, -3.0]
    );
    assert!((at(Activation::Mish, 1.0) - 0.865_098_4).abs() < 1e-6);
    assert!((at(Activation::Swish, 1.0) - 0.731_058_6).abs() < 1e-6);
    assert_eq!(at(Activation::Logistic, 0.0), 0.5);
    for activation in [Activation::Mish, Activation::Swish, Activation::Logistic] {
        assert!(at(activation, -200.0).abs() < 1e-6 && at(activation, 200.0).is_finite(), "{activation:?}");
    }
}

#[test]
fn padding_never_wins_a_maximum() {
    let pool = Op::MaxPool { size: 2, stride: 1, pad_begin: 0, pad_end: 1 };
    let out = apply(pool, Shape::new(1, 2, 2), vec![-4.0, -3.0, -2.0, -1.0]);
    assert_eq!(out, [-1.0, -1.0, -1.0, -1.0]);
    let pool = Op::MaxPool { size: 2, stride: 2, pad_begin: 1, pad_end: 0 };
    assert_eq!(apply(pool, Shape::new(1, 2, 2), vec![-4.0, -3.0, -2.0, -1.0]), [-4.0]);
}

#[test]
fn space_to_depth_orders_rows_then_columns_then_maps() {
    let out = apply(Op::SpaceToDepth { block: 2 }, Shape::new(2, 2, 2), ramp(8));
    assert_eq!(out, [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
}

#[test]
fn tiles_lie_row_by_row_and_free_cells_are_zero() {
    let out =
        apply(Op::Tile { cols: 2, rows: 2 }, Shape::new(3, 1, 2), ramp(6).iter().map(|x| x + 1.0).collect());
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
}

#[test]
fn enlarging_padding_and_pooling_repeat_and_average() {
    assert_eq!(
        apply(Op::Upsample { factor: 2 }, Shape::new(1, 1, 2), vec![1.0, 2.0]),
        [1., 1., 2., 2., 1., 1., 2., 2.]
    );
    assert_eq!(
        apply(Op::PadEdge { bottom: 1, right: 1 }, Shape::new(1, 1, 2), vec![1.0, 2.0]),
        [1., 2., 2., 1., 2., 2.]
    );
    assert_eq!(apply(Op::GlobalAvgPool, Shape::new(2, 1, 2), vec![1.0, 2.0, 3.0, 6.0]), [1.5, 4.5]);
    assert_eq!(apply(Op::Slice { start: 1, len: 1 }, Shape::new(3, 1, 1), ramp(3)), [1.0]);
}

#[test]
fn plane_bytes_round_half_to_even_and_clamp() {
    let values = vec![-200.0, -128.0, -0.5, 0.5, 1.5, 127.4, 300.0];
    let plane = run(|b, x| b.push(Op::ToPlane, &[x]).unwrap(), Shape::new(1, 1, 7), values);
    assert_eq!(plane.as_u8().unwrap(), [0, 0, 128, 128, 130, 255, 255]);
}

#[test]
fn products_spread_over_maps_and_pixels() {
    let out = run(
        |b, x| {
            let one = b.push(Op::Slice { start: 0, len: 1 }, &[x]).unwrap();
            let mean = b.push(Op::GlobalAvgPool, &[one]).unwrap();
            let spread = b.push_shaped(Op::Expand, &[mean], Shape::new(1, 1, 2)).unwrap();
            let product = b.push(Op::Mul, &[spread, x]).unwrap();
            b.push(Op::Mul, &[product, mean]).unwrap()
        },
        Shape::new(2, 1, 2),
        vec![1.0, 3.0, 5.0, 7.0],
    );
    assert_eq!(out.as_f32().unwrap(), [4.0, 12.0, 20.0, 28.0]);
}

#[test]
fn a_batch_is_its_pictures_one_by_one() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(1, 1, 2));
    let y = b.push(Op::Activate(Activation::Relu), &[x]).unwrap();
    let graph = b.finish(&[y, x]);
    let data = TensorData::F32(vec![-1.0, 1.0, 2.0, -2.0]);
    let out = Reference.load(&graph).unwrap().run(&[Tensor {
        batch: 2,
        shape: Shape::new(1, 1, 2),
        data: data.clone(),
    }]);
    let out = out.unwrap();
    assert_eq!((out[0].batch, &out[0].data), (2, &TensorData::F32(vec![0.0, 1.0, 2.0, 0.0])));
    assert_eq!(out[1].data, data);
}

#[test]
fn wrong_inputs_are_refused() {
    let mut b = GraphBuilder::new();
    let x = b.input_u8(Shape::new(1, 1, 2));
    let y = b.push(Op::FromPlane, &[x]).unwrap();
    let mut session = Reference.load(&b.finish(&[y])).unwrap();
    let shape = Shape::new(1, 1, 2);
    let mut refused = |inputs: &[Tensor]| matches!(session.run(inputs), Err(EngineError::Input { .. }));
    assert!(refused(&[]));
    assert!(refused(&[Tensor::f32(shape, vec![0.0; 2])]));
    assert!(refused(&[Tensor::u8(shape, vec![0; 3])]));
    assert!(refused(&[Tensor::u8(Shape::new(1, 2, 1), vec![0; 2])]));
    let out = session.run(&[Tensor::u8(shape, vec![0, 255])]).unwrap();
    assert_eq!(out[0].as_f32().unwrap(), [-128.0, 127.0]);
}

#[test]
fn a_broken_graph_is_not_loaded() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(1, 1, 2));
    let y = b.push(Op::Activate(Activation::Relu), &[x]).unwrap();
    let mut graph = b.finish(&[y]);
    graph.nodes[1].shape = Shape::new(2, 1, 2);
    assert!(matches!(Reference.load(&graph), Err(EngineError::Load { .. })));
}

proptest! {
    #[test]
    fn tiling_and_pixel_shuffling_are_undone(
        (c, h, w, cols, spare, block) in (1_usize..7, 1_usize..4, 1_usize..4, 1_usize..4, 0_usize..2, 1_usize..4)
    ) {
        let shape = Shape::new(c, h, w);
        let rows = c.div_ceil(cols) + spare;
        let untiled = run(|b, x| {
            let plane = b.push(Op::Tile { cols, rows }, &[x]).unwrap();
            b.push_shaped(Op::Untile { cols, rows }, &[plane], shape).unwrap()
        }, shape, ramp(shape.len()));
        prop_assert_eq!(untiled.as_f32().unwrap(), ramp(shape.len()));

        let shape = Shape::new(c, h * block, w * block);
        let back = run(|b, x| {
            let deep = b.push(Op::SpaceToDepth { block }, &[x]).unwrap();
            b.push(Op::DepthToSpace { block }, &[deep]).unwrap()
        }, shape, ramp(shape.len()));
        prop_assert_eq!(back.as_f32().unwrap(), ramp(shape.len()));

        let padded = run(|b, x| {
            let padded = b.push(Op::PadEdge { bottom: cols, right: spare }, &[x]).unwrap();
            b.push_shaped(Op::Crop, &[padded], shape).unwrap()
        }, shape, ramp(shape.len()));
        prop_assert_eq!(padded.as_f32().unwrap(), ramp(shape.len()));
    }
}

use super::*;
use crate::op::Activation;

fn conv(weight: WeightId, bias: Option<WeightId>, out: usize) -> Op {
    Op::Conv { weight, bias, out, size: 3, stride: 2, pad: 1, dilation: 1, groups: 1 }
}

fn small(maps: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(maps, 8, 8));
    let w = b.weight("w", vec![4, maps, 3, 3], vec![0.5; 36 * maps]).unwrap();
    let y = b.push(conv(w, None, 4), &[x]).unwrap();
    let z = b.push(Op::Activate(Activation::Relu), &[y]).unwrap();
    b.mark_layer(z, LayerIndex(3));
    b.finish(&[z])
}

#[test]
fn infers_the_shape_of_a_convolution() {
    assert_eq!(small(2).nodes[1].shape, Shape::new(4, 4, 4));
}

#[test]
fn a_transposed_convolution_enlarges_by_its_stride_or_is_refused() {
    let sized = |size: usize, stride: usize| {
        let mut b = GraphBuilder::new();
        let x = b.input(Shape::new(2, 5, 7));
        let weight = b.weight("w", vec![2, 3, size, size], vec![0.0; 6 * size * size]).unwrap();
        b.push(Op::ConvTranspose { weight, bias: None, out: 3, size, stride }, &[x]).map(|y| b.shape(y)).ok()
    };
    for (size, stride) in [(2, 2), (4, 2), (5, 2), (7, 2), (3, 1), (5, 3), (8, 3)] {
        assert_eq!(sized(size, stride), Some(Shape::new(3, 5 * stride, 7 * stride)), "{size} by {stride}");
    }
    for (size, stride) in [(1, 2), (2, 1), (3, 0), (0, 0)] {
        assert_eq!(sized(size, stride), None, "{size} by {stride}");
    }
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(2, 5, 7));
    let weight = b.weight("w", vec![3, 2, 4, 4], vec![0.0; 96]).unwrap();
    let swapped = b.push(Op::ConvTranspose { weight, bias: None, out: 3, size: 4, stride: 2 }, &[x]);
    assert!(matches!(swapped, Err(GraphError::WeightDims { .. })));
}

#[test]
fn a_spliced_graph_shares_weights_by_name_and_keeps_layers() {
    let graph = small(2);
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(2, 8, 8));
    let first = b.append(&graph, &[x]).unwrap();
    let second = b.append(&graph, &[x]).unwrap();
    let sum = b.push(Op::Add, &[first[0], second[0]]).unwrap();
    let whole = b.finish(&[sum]);
    assert_eq!((whole.weights.len(), whole.inputs.len(), whole.nodes.len()), (1, 1, 6));
    assert_eq!(whole.nodes[first[0].0].layer, Some(LayerIndex(3)));
    assert!(Arc::ptr_eq(&whole.weights[0].values, &graph.weights[0].values));
}

#[test]
fn splicing_says_what_does_not_fit() {
    let graph = small(2);
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(3, 8, 8));
    assert_eq!(b.append(&graph, &[]), Err(GraphError::SpliceCount { expected: 1, got: 0 }));
    assert!(matches!(b.append(&graph, &[x]), Err(GraphError::SpliceInput { index: 0, .. })));
    let x = b.input(Shape::new(2, 8, 8));
    b.weight("w", vec![1], vec![0.0]).unwrap();
    assert_eq!(b.append(&graph, &[x]), Err(GraphError::WeightClash("w".into())));
}

#[test]
fn weights_must_have_as_many_values_as_their_dimensions_say() {
    let mut b = GraphBuilder::new();
    let error = b.weight("w", vec![2, 3], vec![0.0; 5]).unwrap_err();
    assert_eq!(error, GraphError::WeightLen { name: "w".into(), expected: 6, got: 5 });
    assert!(b.weight("w", vec![usize::MAX, 2], vec![0.0]).is_err());
}

#[test]
fn a_weight_of_other_dimensions_is_refused_by_its_operator() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(2, 8, 8));
    let w = b.weight("w", vec![72], vec![0.0; 72]).unwrap();
    assert!(matches!(b.push(conv(w, None, 4), &[x]), Err(GraphError::WeightDims { .. })));
    assert_eq!(b.push(conv(WeightId(7), None, 4), &[x]), Err(GraphError::UnknownWeight(7)));
    assert_eq!(b.push(Op::Add, &[x, NodeId(9)]), Err(GraphError::UnknownNode(9)));
}

#[test]
fn bytes_go_only_into_from_plane() {
    let mut b = GraphBuilder::new();
    let floats = b.input(Shape::new(1, 4, 4));
    let bytes = b.push(Op::ToPlane, &[floats]).unwrap();
    assert!(b.push(Op::FromPlane, &[bytes]).is_ok());
    assert!(matches!(b.push(Op::Activate(Activation::Relu), &[bytes]), Err(GraphError::Kind { .. })));
    assert!(matches!(b.push(Op::FromPlane, &[floats]), Err(GraphError::Kind { .. })));
}

#[test]
fn tiles_and_crops_take_their_given_shape() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(5, 4, 6));
    let plane = b.push(Op::Tile { cols: 3, rows: 2 }, &[x]).unwrap();
    assert_eq!(b.shape(plane), Shape::new(1, 8, 18));
    let untile = Op::Untile { cols: 3, rows: 2 };
    assert!(matches!(b.push(untile.clone(), &[plane]), Err(GraphError::NeedsShape { .. })));
    assert!(b.push_shaped(untile.clone(), &[plane], Shape::new(5, 4, 6)).is_ok());
    assert!(b.push_shaped(untile, &[plane], Shape::new(7, 4, 6)).is_err());
    assert!(b.push_shaped(Op::Crop, &[x], Shape::new(5, 3, 6)).is_ok());
    assert!(b.push_shaped(Op::Crop, &[x], Shape::new(5, 5, 6)).is_err());
    assert!(b.push(Op::Tile { cols: 2, rows: 2 }, &[x]).is_err());
}

#[test]
fn products_spread_one_map_or_one_value() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(3, 4, 4));
    let mask = b.input(Shape::new(1, 4, 4));
    let gain = b.input(Shape::new(1, 1, 1));
    let other = b.input(Shape::new(2, 4, 4));
    for (a, c) in [(x, mask), (mask, x), (x, gain), (gain, x), (x, x)] {
        let product = b.push(Op::Mul, &[a, c]).unwrap();
        assert_eq!(b.shape(product), Shape::new(3, 4, 4));
    }
    assert!(b.push(Op::Mul, &[x, other]).is_err());
    assert!(b.push(Op::Add, &[x, mask]).is_err());
}

#[test]
fn nonsense_sizes_are_refused_and_never_overflow() {
    let mut b = GraphBuilder::new();
    let x = b.input(Shape::new(3, 4, 4));
    let pool = |size, stride, pad| Op::MaxPool { size, stride, pad_begin: pad, pad_end: pad };
    for op in [
        pool(0, 1, 0),
        pool(2, 0, 0),
        pool(3, 1, 3),
        pool(5, 1, 0),
        Op::Upsample { factor: usize::MAX },
        Op::Upsample { factor: 0 },
        Op::SpaceToDepth { block: 0 },
        Op::SpaceToDepth { block: 3 },
        Op::DepthToSpace { block: 2 },
        Op::Slice { start: usize::MAX, len: 2 },
        Op::Slice { start: 2, len: 2 },
        Op::PadEdge { bottom: usize::MAX, right: 0 },
        Op::Concat,
    ] {
        let inputs: &[NodeId] = if op == Op::Concat { &[] } else { &[x] };
        assert!(matches!(b.push(op.clone(), inputs), Err(GraphError::Inputs { .. })), "{op:?}");
    }
}

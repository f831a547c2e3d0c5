//! Random small graphs against the reference interpreter.

use autotiler_core::Shape;
use autotiler_graph::{Activation, Graph, GraphBuilder, GraphError, NodeId, Op};
use proptest::{collection::vec, prelude::*};

use crate::comparison::{distance_to_reference, noise};

/// Rounding piles up over the operators of a graph; relative to the largest value.
const TOLERANCE: f32 = 1e-4;
const ACTIVATIONS: [Activation; 7] = [
    Activation::Linear,
    Activation::Leaky,
    Activation::Relu,
    Activation::Relu6,
    Activation::Mish,
    Activation::Swish,
    Activation::Logistic,
];

/// What to do next: which operator, on which of the values so far, with which numbers.
type Step = (u8, u8, u8, u8);

/// The graph of a recipe; steps that do not fit are left out.
fn cook(maps: usize, side: usize, steps: &[Step]) -> Graph {
    let mut builder = GraphBuilder::new();
    let floats = builder.input(Shape::new(maps, side, side + 2));
    let plane = builder.input_u8(Shape::new(1, side, side + 2));
    let mut values = vec![floats, builder.push(Op::FromPlane, &[plane]).unwrap()];
    for (number, step) in steps.iter().enumerate() {
        values.extend(put(&mut builder, &values, number, *step).ok().filter(|id| small(builder.shape(*id))));
    }
    let last = values[values.len() - 1];
    let middle = values[values.len() / 2];
    builder.finish(&[last, middle])
}

fn small(shape: Shape) -> bool {
    shape.len() <= 20_000
}

fn put(b: &mut GraphBuilder, values: &[NodeId], number: usize, step: Step) -> Result<NodeId, GraphError> {
    let (kind, from, p, q) = step;
    let (p, q) = (usize::from(p), usize::from(q));
    let x = values[usize::from(from) % values.len()];
    let shape = b.shape(x);
    let like = |shape: Shape| values.iter().rev().copied().find(|id| *id != x && b.shape(*id) == shape);
    match kind % 17 {
        0..3 => conv(b, x, number, p, q),
        16 => conv_transpose(b, x, number, p, q),
        3 => batch_norm(b, x, number),
        4 | 5 => b.push(Op::Activate(ACTIVATIONS[p % ACTIVATIONS.len()]), &[x]),
        6 => b.push(Op::Add, &[x, like(shape).unwrap_or(x)]),
        7 => {
            let spread = like(Shape::new(1, shape.h, shape.w)).or(like(Shape::new(1, 1, 1))).unwrap_or(x);
            b.push(Op::Mul, &[x, spread])
        }
        8 => b.push(Op::Concat, &[x, values[p % values.len()], x][..1 + q % 3]),
        9 => b.push(Op::Slice { start: p % shape.c, len: 1 + q % (shape.c - p % shape.c) }, &[x]),
        10 => b.push(Op::Upsample { factor: 1 + p % 2 }, &[x]),
        11 => {
            let size = 2 + p % 3;
            let pad_begin = q % size;
            b.push(Op::MaxPool { size, stride: 1 + q % 2, pad_begin, pad_end: (p + q) % size }, &[x])
        }
        12 if p % 3 == 0 => b.push(Op::GlobalAvgPool, &[x]),
        12 if p % 3 == 1 => b.push(Op::SpaceToDepth { block: 2 + q % 2 }, &[x]),
        12 => b.push(Op::DepthToSpace { block: 2 + q % 2 }, &[x]),
        13 => b.push(Op::PadEdge { bottom: p % 4, right: q % 4 }, &[x]),
        14 => b.push_shaped(Op::Crop, &[x], Shape::new(shape.c, 1 + p % shape.h, 1 + q % shape.w)),
        _ => tile_and_back(b, x, 1 + p % 5),
    }
}

fn conv(b: &mut GraphBuilder, x: NodeId, number: usize, p: usize, q: usize) -> Result<NodeId, GraphError> {
    let maps = b.shape(x).c;
    let groups = if p.is_multiple_of(4) { maps } else { 1 };
    let out = if groups == 1 { 1 + p % 20 } else { maps };
    let size = 1 + q % 4;
    let taps = maps / groups * size * size;
    // Keeps values about as large as they were.
    let kernel: Vec<f32> =
        noise(number as u64, out * taps).iter().map(|w| w * 1.5 / (taps as f32).sqrt()).collect();
    let weight = b.weight(format!("{number}.weight"), vec![out, maps / groups, size, size], kernel)?;
    let bias = match q % 3 {
        0 => None,
        _ => Some(b.weight(format!("{number}.bias"), vec![out], noise(number as u64 + 99, out))?),
    };
    let (stride, dilation) = (1 + q % 2, 1 + (p + q) % 2);
    b.push(Op::Conv { weight, bias, out, size, stride, pad: p % size, dilation, groups }, &[x])
}

fn conv_transpose(
    b: &mut GraphBuilder,
    x: NodeId,
    number: usize,
    p: usize,
    q: usize,
) -> Result<NodeId, GraphError> {
    let (maps, out, stride) = (b.shape(x).c, 1 + p % 6, 1 + q % 3);
    let size = stride + p % 4;
    let taps = maps * size * size;
    let kernel =
        noise(number as u64, out * taps).iter().map(|w| w * 1.5 / (taps as f32).sqrt()).collect::<Vec<_>>();
    let weight = b.weight(format!("{number}.weight"), vec![maps, out, size, size], kernel)?;
    let bias = Some(b.weight(format!("{number}.bias"), vec![out], noise(number as u64 + 99, out))?);
    b.push(Op::ConvTranspose { weight, bias, out, size, stride }, &[x])
}

fn batch_norm(b: &mut GraphBuilder, x: NodeId, number: usize) -> Result<NodeId, GraphError> {
    let maps = b.shape(x).c;
    let mut weight = |name: &str, values: Vec<f32>| b.weight(format!("{number}.{name}"), vec![maps], values);
    let seed = number as u64;
    let scale = weight("scale", noise(seed, maps))?;
    let shift = weight("shift", noise(seed + 1, maps))?;
    let mean = weight("mean", noise(seed + 2, maps))?;
    let variance = weight("variance", noise(seed + 3, maps).iter().map(|x| x.abs() + 0.5).collect())?;
    b.push(Op::BatchNorm { scale, shift, mean, variance }, &[x])
}

fn tile_and_back(b: &mut GraphBuilder, x: NodeId, cols: usize) -> Result<NodeId, GraphError> {
    let shape = b.shape(x);
    let rows = shape.c.div_ceil(cols);
    let plane = b.push(Op::Tile { cols, rows }, &[x])?;
    let plane = b.push(Op::Activate(Activation::Leaky), &[plane])?;
    b.push_shaped(Op::Untile { cols, rows }, &[plane], shape)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree(
        maps in 1_usize..18,
        side in 4_usize..12,
        steps in vec(any::<Step>(), 1..12),
        seed in 0_u64..1000,
    ) {
        let graph = cook(maps, side, &steps);
        let distance = distance_to_reference(&graph, seed);
        prop_assert!(distance <= TOLERANCE, "{distance} in {:?}", graph.nodes);
    }
}

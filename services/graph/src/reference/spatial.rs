//! Operators that look at other places than their own.

use autotiler_core::Shape;

use super::Maps;
use crate::op::Op;

/// Rows and columns of a square window.
pub(super) fn window(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |y| (0..size).map(move |x| (y, x)))
}

/// What a spatial operator with result `shape` yields for `input`.
pub(super) fn execute(op: &Op, shape: Shape, input: &Maps) -> Maps {
    let last = (input.shape.h.saturating_sub(1), input.shape.w.saturating_sub(1));
    match *op {
        Op::Upsample { factor } => Maps::each(shape, |c, y, x| input.at(c, y / factor, x / factor)),
        Op::MaxPool { size, stride, pad_begin, .. } => Maps::each(shape, |c, y, x| {
            let values = window(size).filter_map(|(ky, kx)| {
                let row = (y * stride + ky) as isize - pad_begin as isize;
                input.at_padded(c, row, (x * stride + kx) as isize - pad_begin as isize)
            });
            values.fold(f32::NEG_INFINITY, f32::max)
        }),
        Op::GlobalAvgPool => Maps::each(shape, |c, _, _| {
            let pixels = input.shape.h * input.shape.w;
            let map = &input.values[c * pixels..(c + 1) * pixels];
            (map.iter().map(|&x| f64::from(x)).sum::<f64>() / pixels as f64) as f32
        }),
        Op::SpaceToDepth { block } => Maps::each(shape, |c, y, x| {
            let (place, map) = (c / input.shape.c, c % input.shape.c);
            input.at(map, y * block + place / block, x * block + place % block)
        }),
        Op::DepthToSpace { block } => Maps::each(shape, |c, y, x| {
            let place = y % block * block + x % block;
            input.at(place * shape.c + c, y / block, x / block)
        }),
        Op::PadEdge { .. } => Maps::each(shape, |c, y, x| input.at(c, y.min(last.0), x.min(last.1))),
        Op::Crop => Maps::each(shape, |c, y, x| input.at(c, y, x)),
        Op::Tile { cols, .. } => Maps::each(shape, |_, y, x| {
            let map = y / input.shape.h * cols + x / input.shape.w;
            if map < input.shape.c { input.at(map, y % input.shape.h, x % input.shape.w) } else { 0.0 }
        }),
        Op::Untile { cols, .. } => {
            Maps::each(shape, |c, y, x| input.at(0, c / cols * shape.h + y, c % cols * shape.w + x))
        }
        Op::Expand => Maps::each(shape, |_, _, _| input.at(0, 0, 0)),
        _ => unreachable!("all other operators are executed by the interpreter itself"),
    }
}

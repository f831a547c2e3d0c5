//! Shapes of results, and the dimensions of weights, from an operator and the shapes of its inputs.

use autotiler_core::Shape;

use crate::{
    graph::{GraphError, WeightId},
    op::{Op, transpose_padding},
};

/// Largest number of values in one feature map: what fits a runtime's signed 32-bit sizes.
const MAX_VALUES: usize = i32::MAX as usize;

/// Shape of what `op` yields.
pub(crate) fn shape(op: &Op, inputs: &[Shape]) -> Result<Shape, GraphError> {
    if matches!(op, Op::Input | Op::InputU8 | Op::Crop | Op::Untile { .. } | Op::Expand) {
        return Err(GraphError::NeedsShape { op: op.name().to_owned() });
    }
    yielded(op, inputs).filter(fits).ok_or_else(|| no_fit(op, inputs))
}

/// Checks a shape that was given for what `op` yields.
pub(crate) fn check_given(op: &Op, inputs: &[Shape], given: Shape) -> Result<(), GraphError> {
    let possible = match (op, inputs) {
        (Op::Input | Op::InputU8, []) => return Err(GraphError::NeedsShape { op: op.name().to_owned() }),
        (Op::Crop, [x]) => given.c == x.c && given.h <= x.h && given.w <= x.w,
        (Op::Untile { cols, rows }, [plane]) => {
            let cells = cols.checked_mul(*rows);
            let fits_plane = given.h.checked_mul(*rows) == Some(plane.h)
                && given.w.checked_mul(*cols) == Some(plane.w)
                && plane.c == 1;
            fits_plane && cells.is_some_and(|cells| given.c <= cells)
        }
        (Op::Expand, [x]) => *x == Shape::new(1, 1, 1) && given.c == 1,
        (Op::Crop | Op::Untile { .. } | Op::Expand, _) => return Err(no_fit(op, inputs)),
        _ => shape(op, inputs)? == given,
    };
    if possible && fits(&given) {
        Ok(())
    } else {
        Err(GraphError::Shape { op: op.name().to_owned(), shape: given })
    }
}

/// The weights of `op` with the dimensions that they must have.
pub(crate) fn weight_dims(op: &Op, inputs: &[Shape]) -> Result<Vec<(WeightId, Vec<usize>)>, GraphError> {
    match (op, inputs) {
        (Op::Conv { weight, bias, out, size, groups, .. }, [x]) => {
            if *groups == 0 || !x.c.is_multiple_of(*groups) || !out.is_multiple_of(*groups) {
                return Err(no_fit(op, inputs));
            }
            let kernel = (*weight, vec![*out, x.c / groups, *size, *size]);
            Ok(std::iter::once(kernel).chain(bias.map(|bias| (bias, vec![*out]))).collect())
        }
        (Op::ConvTranspose { weight, bias, out, size, .. }, [x]) => {
            let kernel = (*weight, vec![x.c, *out, *size, *size]);
            Ok(std::iter::once(kernel).chain(bias.map(|bias| (bias, vec![*out]))).collect())
        }
        (Op::BatchNorm { .. }, [x]) => Ok(op.weights().into_iter().map(|id| (id, vec![x.c])).collect()),
        _ => Ok(Vec::new()),
    }
}

fn no_fit(op: &Op, inputs: &[Shape]) -> GraphError {
    GraphError::Inputs { op: format!("{op:?}"), inputs: inputs.to_vec() }
}

fn fits(shape: &Shape) -> bool {
    let values = shape.c.checked_mul(shape.h).and_then(|n| n.checked_mul(shape.w));
    values.is_some_and(|n| (1..=MAX_VALUES).contains(&n))
}

/// Windows along one side: `floor((length + begin + end - window) / stride) + 1`.
fn windows(length: usize, begin: usize, end: usize, window: usize, stride: usize) -> Option<usize> {
    let padded = length.checked_add(begin)?.checked_add(end)?;
    Some(padded.checked_sub(window)?.checked_div(stride)? + 1)
}

fn yielded(op: &Op, inputs: &[Shape]) -> Option<Shape> {
    match (op, inputs) {
        (Op::Conv { out, size, stride, pad, dilation, .. }, [x]) => {
            let reach = size.checked_sub(1)?.checked_mul(*dilation)?.checked_add(1)?;
            if *dilation == 0 {
                return None;
            }
            let side = |length| windows(length, *pad, *pad, reach, *stride);
            Some(Shape::new(*out, side(x.h)?, side(x.w)?))
        }
        (Op::ConvTranspose { out, size, stride, .. }, [x]) => {
            transpose_padding(*size, *stride)?;
            Some(Shape::new(*out, x.h.checked_mul(*stride)?, x.w.checked_mul(*stride)?))
        }
        (Op::MaxPool { size, stride, pad_begin, pad_end }, [x]) => {
            // A window that sees nothing but padding would have no maximum.
            if pad_begin >= size || pad_end >= size {
                return None;
            }
            let side = |length| windows(length, *pad_begin, *pad_end, *size, *stride);
            Some(Shape::new(x.c, side(x.h)?, side(x.w)?))
        }
        (Op::BatchNorm { .. } | Op::Activate(_), [x]) => Some(*x),
        (Op::ToPlane | Op::FromPlane, [x]) => Some(*x),
        (Op::Add, [a, b]) => (a == b).then_some(*a),
        (Op::Mul, [a, b]) => spread(*a, *b).or_else(|| spread(*b, *a)),
        (Op::Concat, [first, ..]) => {
            let same = inputs.iter().all(|x| (x.h, x.w) == (first.h, first.w));
            let c = inputs.iter().try_fold(0_usize, |sum, x| sum.checked_add(x.c))?;
            same.then_some(Shape::new(c, first.h, first.w))
        }
        (Op::Slice { start, len }, [x]) => {
            (start.checked_add(*len)? <= x.c).then_some(Shape::new(*len, x.h, x.w))
        }
        (Op::Upsample { factor }, [x]) => {
            Some(Shape::new(x.c, x.h.checked_mul(*factor)?, x.w.checked_mul(*factor)?))
        }
        (Op::GlobalAvgPool, [x]) => Some(Shape::new(x.c, 1, 1)),
        (Op::SpaceToDepth { block }, [x]) => {
            let whole = *block > 0 && x.h.is_multiple_of(*block) && x.w.is_multiple_of(*block);
            let maps = x.c.checked_mul(block.checked_mul(*block)?)?;
            whole.then(|| Shape::new(maps, x.h / block, x.w / block))
        }
        (Op::DepthToSpace { block }, [x]) => {
            let maps = block.checked_mul(*block)?;
            let whole = maps > 0 && x.c.is_multiple_of(maps);
            let (h, w) = (x.h.checked_mul(*block)?, x.w.checked_mul(*block)?);
            whole.then(|| Shape::new(x.c / maps, h, w))
        }
        (Op::PadEdge { bottom, right }, [x]) => {
            Some(Shape::new(x.c, x.h.checked_add(*bottom)?, x.w.checked_add(*right)?))
        }
        (Op::Tile { cols, rows }, [x]) => {
            let room = x.c <= cols.checked_mul(*rows)?;
            let (h, w) = (x.h.checked_mul(*rows)?, x.w.checked_mul(*cols)?);
            room.then_some(Shape::new(1, h, w))
        }
        _ => None,
    }
}

/// Shape of `whole * part` where `part` may be spread over `whole`.
fn spread(whole: Shape, part: Shape) -> Option<Shape> {
    let one_map = part == Shape::new(1, whole.h, whole.w);
    (part == whole || one_map || part == Shape::new(1, 1, 1)).then_some(whole)
}

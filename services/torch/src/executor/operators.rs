//! One operator on libtorch tensors; meanings are those of [`autotiler_graph::Op`].

use autotiler_graph::{Activation, BATCH_NORM_EPSILON, Node, Op, WeightId, op::transpose_padding};
use tch::{Kind, TchError, Tensor};

use super::{Mode, thin};

/// Value of a plane's middle.
const PLANE_MIDDLE: f64 = 128.0;
/// Slope of the leaky activation below zero.
const LEAKY_SLOPE: f64 = 0.1;

/// Why one operator did not run.
#[derive(Debug)]
pub(super) enum Fault {
    /// An input or weight is missing.
    Reference,
    /// A transposed convolution that does not enlarge by its stride alone.
    Transpose {
        /// Kernel width.
        size: usize,
        /// Enlargement.
        stride: usize,
    },
    /// libtorch refused.
    Torch(TchError),
}

impl From<TchError> for Fault {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

/// The value of `node` for these inputs.
pub(super) fn apply(
    node: &Node,
    inputs: &[&Tensor],
    weights: &[Tensor],
    mode: Mode,
) -> Result<Tensor, Fault> {
    let weight = |id: &WeightId| weights.get(id.0).ok_or(Fault::Reference);
    let first = *inputs.first().ok_or(Fault::Reference)?;
    let (h, w) = (node.shape.h as i64, node.shape.w as i64);
    let value = match &node.op {
        // Inputs have no inputs, so they end above.
        Op::Input | Op::InputU8 => return Err(Fault::Reference),
        Op::Conv { weight: kernel, bias, stride, pad, dilation, groups, .. } => {
            let bias = bias.as_ref().map(weight).transpose()?;
            let [stride, pad, dilation] = [*stride, *pad, *dilation].map(|n| [n as i64; 2]);
            let kernel = weight(kernel)?;
            let same = stride == [1; 2] && pad == [kernel.size().get(2).map_or(0, |size| size / 2); 2];
            if same && dilation == [1; 2] && *groups == 1 && thin::suits(first, kernel) {
                return Ok(thin::conv(first, kernel, bias)?);
            }
            first.f_conv2d(kernel, bias, stride, pad, dilation, *groups as i64)?
        }
        Op::ConvTranspose { weight: kernel, bias, size, stride, .. } => {
            let bias = bias.as_ref().map(weight).transpose()?;
            let (pad, added) =
                transpose_padding(*size, *stride).ok_or(Fault::Transpose { size: *size, stride: *stride })?;
            let [stride, pad, added] = [*stride, pad, added].map(|n| [n as i64; 2]);
            first.f_conv_transpose2d(weight(kernel)?, bias, stride, pad, added, 1, [1, 1])?
        }
        Op::BatchNorm { scale, shift, mean, variance } => first.f_batch_norm(
            Some(weight(scale)?),
            Some(weight(shift)?),
            Some(weight(mean)?),
            Some(weight(variance)?),
            mode.batch_norm_momentum.is_some(),
            mode.batch_norm_momentum.unwrap_or(0.0),
            f64::from(BATCH_NORM_EPSILON),
            true,
        )?,
        Op::Activate(activation) => activate(first, *activation)?,
        Op::Add => first.f_add(*inputs.get(1).ok_or(Fault::Reference)?)?,
        Op::Mul => first.f_mul(*inputs.get(1).ok_or(Fault::Reference)?)?,
        Op::Concat => Tensor::f_cat(inputs, 1)?,
        Op::Slice { start, len } => first.f_narrow(1, *start as i64, *len as i64)?,
        Op::Upsample { .. } => first.f_upsample_nearest2d([h, w], None, None)?,
        Op::MaxPool { size, stride, pad_begin, pad_end } => {
            max_pool(first, [*size, *stride, *pad_begin, *pad_end].map(|n| n as i64))?
        }
        Op::GlobalAvgPool => first.f_mean_dim([2i64, 3].as_slice(), true, None)?,
        Op::SpaceToDepth { block } => space_to_depth(first, *block as i64)?,
        Op::DepthToSpace { block } => depth_to_space(first, *block as i64)?,
        Op::PadEdge { bottom, right } => first.f_replication_pad2d([0, *right as i64, 0, *bottom as i64])?,
        Op::Crop => first.f_narrow(2, 0, h)?.f_narrow(3, 0, w)?,
        Op::Tile { cols, rows } => tile(first, *cols as i64, *rows as i64)?,
        Op::Untile { cols, rows } => untile(first, *cols as i64, *rows as i64, node.shape.c as i64)?,
        Op::Expand => first.f_expand([-1, -1, h, w], false)?,
        Op::ToPlane => to_plane(first, mode.straight_through)?,
        Op::FromPlane => first.f_sub_scalar(PLANE_MIDDLE)?,
    };
    Ok(value)
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
    match activation {
        Activation::Linear => Ok(x.shallow_clone()),
        // `leaky_relu` of the bindings has a fixed slope of 0.01. Its derivative's formula, applied to the
        // value itself, is the function with a slope of our choice, in one pass.
        Activation::Leaky => x.f_detach()?.f_leaky_relu_backward(x, LEAKY_SLOPE, false),
        Activation::Relu => x.f_relu(),
        Activation::Relu6 => x.f_clamp(0.0, 6.0),
        Activation::Mish => x.f_mish(),
        Activation::Swish => x.f_silu(),
        Activation::Logistic => x.f_sigmoid(),
    }
}

fn max_pool(x: &Tensor, [size, stride, begin, end]: [i64; 4]) -> Result<Tensor, TchError> {
    let padded = match (begin, end) {
        (0, 0) => x.shallow_clone(),
        _ => x.f_pad([begin, end, begin, end], "constant", f64::NEG_INFINITY)?,
    };
    padded.f_max_pool2d([size, size], [stride, stride], [0, 0], [1, 1], false)
}

fn space_to_depth(x: &Tensor, b: i64) -> Result<Tensor, TchError> {
    let (n, c, h, w) = x.size4()?;
    x.f_reshape([n, c, h / b, b, w / b, b])?.f_permute([0, 3, 5, 1, 2, 4])?.f_reshape([
        n,
        b * b * c,
        h / b,
        w / b,
    ])
}

fn depth_to_space(x: &Tensor, b: i64) -> Result<Tensor, TchError> {
    let (n, c, h, w) = x.size4()?;
    let c = c / (b * b);
    x.f_reshape([n, b, b, c, h, w])?.f_permute([0, 3, 4, 1, 5, 2])?.f_reshape([n, c, h * b, w * b])
}

fn tile(x: &Tensor, cols: i64, rows: i64) -> Result<Tensor, TchError> {
    let (n, c, h, w) = x.size4()?;
    let empty = cols * rows - c;
    let filled = if empty == 0 {
        x.shallow_clone()
    } else {
        Tensor::f_cat(&[x, &x.f_new_zeros([n, empty, h, w], (x.kind(), x.device()))?], 1)?
    };
    let cells = filled.f_reshape([n, rows, cols, h, w])?;
    cells.f_permute([0, 1, 3, 2, 4])?.f_reshape([n, 1, rows * h, cols * w])
}

fn untile(plane: &Tensor, cols: i64, rows: i64, maps: i64) -> Result<Tensor, TchError> {
    let (n, _, h, w) = plane.size4()?;
    let (h, w) = (h / rows, w / cols);
    let cells = plane.f_reshape([n, rows, h, cols, w])?.f_permute([0, 1, 3, 2, 4])?;
    cells.f_reshape([n, rows * cols, h, w])?.f_narrow(1, 0, maps)
}

fn to_plane(x: &Tensor, straight_through: bool) -> Result<Tensor, TchError> {
    // Halves of a bfloat16 near 128 are lost, so the sum is made in full precision.
    let raised = x.f_to_kind(Kind::Float)?.f_add_scalar(PLANE_MIDDLE)?;
    let coded = raised.f_detach()?.f_round()?.f_clamp(0.0, 255.0)?;
    let coded = if straight_through { raised.f_add(&coded.f_sub(&raised.f_detach()?)?)? } else { coded };
    coded.f_to_kind(x.kind())
}

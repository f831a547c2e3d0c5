//! Operators.

use crate::graph::WeightId;

/// Point-wise functions, by their Darknet names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`
    Linear,
    /// `max(x, 0.1 x)`
    Leaky,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x tanh(ln(1 + e^x))`
    Mish,
    /// `x / (1 + e^-x)`
    Swish,
    /// `1 / (1 + e^-x)`
    Logistic,
}

/// What [`Op::BatchNorm`] adds to the variance inside the root. Darknet itself disagrees: the original divides
/// by `sqrt(variance) + 1e-6`, AlexeyAB's fold by `sqrt(variance + 1e-5)`. The golden layer outputs of the
/// shared detector, whose smallest variances are near zero, agree with this to 4e-5; 1e-5 is off by 1.1e-3.
pub const BATCH_NORM_EPSILON: f32 = 1e-6;

/// Rows cut from the upper side of a transposed convolution's result, and rows added below, so that it is
/// exactly `stride` times as high (columns alike). None when there is no such pair.
pub fn transpose_padding(size: usize, stride: usize) -> Option<(usize, usize)> {
    let pad = size.checked_sub(stride)?.div_ceil(2);
    let added = (2 * pad + stride).checked_sub(size)?;
    // Runtimes refuse to add a whole step.
    (added < stride).then_some((pad, added))
}

/// One operator. All tensors are N, C, H, W; "maps" are channels.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// An input of floats of the node's shape.
    Input,
    /// An input of bytes of the node's shape.
    InputU8,
    /// Convolution with a square kernel and equal zero padding on all sides.
    /// Weights `[out, in/groups, size, size]`, bias `[out]`.
    Conv {
        /// Kernel, `[out, in/groups, size, size]`.
        weight: WeightId,
        /// Bias, `[out]`.
        bias: Option<WeightId>,
        /// Output maps.
        out: usize,
        /// Kernel width and height.
        size: usize,
        /// Step.
        stride: usize,
        /// Zero padding on each side.
        pad: usize,
        /// Spacing of kernel taps; 1 is dense.
        dilation: usize,
        /// Groups; equal to the input maps for a depth-wise convolution.
        groups: usize,
    },
    /// Transposed convolution that enlarges by exactly `stride`: each pixel adds `size x size` taps around its
    /// place. Cut by [`transpose_padding`]; `size` is at least `stride`, and odd where `stride` is 1.
    ConvTranspose {
        /// Kernel, `[in, out, size, size]`.
        weight: WeightId,
        /// Bias, `[out]`.
        bias: Option<WeightId>,
        /// Output maps.
        out: usize,
        /// Kernel width and height.
        size: usize,
        /// Enlargement in both directions.
        stride: usize,
    },
    /// Batch normalisation, `scale * (x - mean) / sqrt(variance + 1e-6) + shift`: see
    /// [`BATCH_NORM_EPSILON`]. The fold of the Darknet reader uses the same, so both yield the same.
    /// Only in graphs for training; folded away in all others.
    BatchNorm {
        /// Scale, `[c]`.
        scale: WeightId,
        /// Shift, `[c]`.
        shift: WeightId,
        /// Running mean, `[c]`.
        mean: WeightId,
        /// Running variance, `[c]`.
        variance: WeightId,
    },
    /// A point-wise function.
    Activate(Activation),
    /// Sum of two inputs of one shape.
    Add,
    /// Product; an input of one map, or of shape 1x1x1, is spread over the other's maps and pixels.
    Mul,
    /// Joins the maps of its inputs.
    Concat,
    /// Maps `start .. start + len`.
    Slice {
        /// First map.
        start: usize,
        /// Number of maps.
        len: usize,
    },
    /// Nearest-neighbour enlargement.
    Upsample {
        /// Factor in both directions.
        factor: usize,
    },
    /// Maximum over windows; padding never wins.
    MaxPool {
        /// Window.
        size: usize,
        /// Step.
        stride: usize,
        /// Padding on the left and above.
        pad_begin: usize,
        /// Padding on the right and below.
        pad_end: usize,
    },
    /// Mean of each map: output 1x1.
    GlobalAvgPool,
    /// `b x b` pixels become `b * b` maps, ordered `(dy, dx, c)` as in ONNX SpaceToDepth.
    SpaceToDepth {
        /// Block size.
        block: usize,
    },
    /// Inverse of [`Op::SpaceToDepth`] (ONNX DepthToSpace in DCR mode).
    DepthToSpace {
        /// Block size.
        block: usize,
    },
    /// Repeats the last row and column.
    PadEdge {
        /// Rows added below.
        bottom: usize,
        /// Columns added at the right.
        right: usize,
    },
    /// Keeps the upper left part of the node's shape.
    Crop,
    /// Lays the maps side by side, row by row, into one plane of `rows * h` by `cols * w`; cells without a
    /// map are zero.
    Tile {
        /// Maps across.
        cols: usize,
        /// Maps down.
        rows: usize,
    },
    /// Inverse of [`Op::Tile`], keeping the first maps of the node's shape.
    Untile {
        /// Maps across.
        cols: usize,
        /// Maps down.
        rows: usize,
    },
    /// Spreads a 1x1x1 input over the node's height and width.
    Expand,
    /// Floats to plane bytes: `clamp(round(x + 128), 0, 255)`, half to even.
    ToPlane,
    /// Plane bytes to floats: `x - 128`.
    FromPlane,
}

impl Op {
    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "Input",
            Op::InputU8 => "InputU8",
            Op::Conv { .. } => "Conv",
            Op::ConvTranspose { .. } => "ConvTranspose",
            Op::BatchNorm { .. } => "BatchNorm",
            Op::Activate(_) => "Activate",
            Op::Add => "Add",
            Op::Mul => "Mul",
            Op::Concat => "Concat",
            Op::Slice { .. } => "Slice",
            Op::Upsample { .. } => "Upsample",
            Op::MaxPool { .. } => "MaxPool",
            Op::GlobalAvgPool => "GlobalAvgPool",
            Op::SpaceToDepth { .. } => "SpaceToDepth",
            Op::DepthToSpace { .. } => "DepthToSpace",
            Op::PadEdge { .. } => "PadEdge",
            Op::Crop => "Crop",
            Op::Tile { .. } => "Tile",
            Op::Untile { .. } => "Untile",
            Op::Expand => "Expand",
            Op::ToPlane => "ToPlane",
            Op::FromPlane => "FromPlane",
        }
    }

    /// The weights it uses, in the order of its fields.
    pub fn weights(&self) -> Vec<WeightId> {
        match *self {
            Op::Conv { weight, bias, .. } | Op::ConvTranspose { weight, bias, .. } => {
                std::iter::once(weight).chain(bias).collect()
            }
            Op::BatchNorm { scale, shift, mean, variance } => vec![scale, shift, mean, variance],
            _ => Vec::new(),
        }
    }

    /// The same operator with its weights replaced by `map` of them.
    #[must_use]
    pub fn with_weights(&self, mut map: impl FnMut(WeightId) -> WeightId) -> Self {
        let mut op = self.clone();
        match &mut op {
            Op::Conv { weight, bias, .. } | Op::ConvTranspose { weight, bias, .. } => {
                *weight = map(*weight);
                *bias = bias.map(map);
            }
            Op::BatchNorm { scale, shift, mean, variance } => {
                for id in [scale, shift, mean, variance] {
                    *id = map(*id);
                }
            }
            _ => {}
        }
        op
    }
}

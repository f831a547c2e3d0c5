//! Chains of convolutions, of which the paper's auto-tilers and its autoencoder are made.

use super::{TilerSpec, weight, weight_named};
use crate::{
    builder::GraphBuilder,
    graph::{GraphError, NodeId, Weight},
    op::{Activation, Op},
};

/// Deviation of greys (values of 0 to 1 around 0.5) that a start is made for.
const GREY_DEVIATION: f32 = 0.25;
/// Middle of greys.
const GREY_MIDDLE: f32 = 0.5;
/// Grey of a white plane sample.
const WHITE: f32 = 255.0;
/// Plane byte of a zero.
const PLANE_ZERO: f32 = 128.0;

/// How a layer changes the size of its maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Convolution, padded by half the kernel; the step divides the size.
    Plain {
        /// Step.
        stride: usize,
    },
    /// Transposed convolution; the step multiplies the size.
    Transposed {
        /// Enlargement.
        stride: usize,
    },
}

/// What follows the convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Leaky rectifier.
    Leaky,
    /// Sigmoid: the bottleneck, greys of 0 to 1.
    Sigmoid,
    /// Nothing.
    Linear,
    /// Nothing, but the values are meant to be greys again.
    Grey,
}

/// One convolution with its activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Name of its weights, less `.weight` and `.bias`.
    pub name: String,
    /// Step.
    pub kernel: Kernel,
    /// Input maps.
    pub from: usize,
    /// Output maps.
    pub to: usize,
    /// Kernel width and height.
    pub size: usize,
    /// What follows.
    pub end: End,
    /// Whether its input is greys, not values around zero.
    pub sees_grey: bool,
}

impl Layer {
    /// A layer that keeps the size, ends in the leaky rectifier and sees values around zero.
    pub(super) fn new(name: String, size: usize, (from, to): (usize, usize)) -> Self {
        let kernel = Kernel::Plain { stride: 1 };
        Self { name, kernel, from, to, size, end: End::Leaky, sees_grey: false }
    }

    pub(super) fn halving(self) -> Self {
        Self { kernel: Kernel::Plain { stride: 2 }, ..self }
    }

    pub(super) fn doubling(self) -> Self {
        Self { kernel: Kernel::Transposed { stride: 2 }, ..self }
    }

    pub(super) fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    pub(super) fn seeing_grey(self) -> Self {
        Self { sees_grey: true, ..self }
    }

    /// Number of its weights and biases.
    pub fn parameters(&self) -> usize {
        self.from * self.to * self.size * self.size + self.to
    }

    /// Dimensions of its kernel.
    fn dims(&self) -> [usize; 4] {
        match self.kernel {
            Kernel::Plain { .. } => [self.to, self.from, self.size, self.size],
            Kernel::Transposed { .. } => [self.from, self.to, self.size, self.size],
        }
    }

    /// Taps that one output value sees in each input map.
    fn taps(&self) -> f32 {
        let all = (self.size * self.size) as f32;
        match self.kernel {
            Kernel::Plain { .. } => all,
            Kernel::Transposed { stride } => all / (stride * stride) as f32,
        }
    }

    /// Weights that keep the deviation of values from layer to layer (He et al.), with greys put around zero
    /// at the entrance and back around their middle at the exit; a sigmoid so starts at mid-grey.
    pub(super) fn start(&self, random: &mut impl FnMut() -> f32) -> [Weight; 2] {
        let gain = if self.end == End::Leaky { 2.0 } else { 1.0 };
        let mut deviation = (gain / (self.from as f32 * self.taps())).sqrt();
        if self.sees_grey {
            deviation /= GREY_DEVIATION;
        }
        if self.end == End::Grey {
            deviation *= GREY_DEVIATION;
        }
        let dims = self.dims();
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| deviation * random()).collect();
        let middle = if self.end == End::Grey { GREY_MIDDLE } else { 0.0 };
        let mut bias = vec![middle; self.to];
        if self.sees_grey {
            let share = self.taps() / (self.size * self.size) as f32;
            for (index, value) in values.iter().enumerate() {
                let map = index / (self.size * self.size);
                let map =
                    if matches!(self.kernel, Kernel::Plain { .. }) { map / self.from } else { map % self.to };
                bias[map] -= GREY_MIDDLE * share * value;
            }
        }
        let [kernel, biases] = ["weight", "bias"].map(|part| format!("{}.{part}", self.name));
        [weight(&kernel, &dims, values), weight(&biases, &[self.to], bias)]
    }

    fn push(&self, b: &mut GraphBuilder, source: &[Weight], input: NodeId) -> Result<NodeId, GraphError> {
        let [kernel, bias] = ["weight", "bias"].map(|part| format!("{}.{part}", self.name));
        let values = weight_named(source, &kernel);
        let weight = b.weight(kernel, self.dims().to_vec(), values)?;
        let values = weight_named(source, &bias);
        let bias = Some(b.weight(bias, vec![self.to], values)?);
        let (out, size) = (self.to, self.size);
        let op = match self.kernel {
            Kernel::Plain { stride } => {
                Op::Conv { weight, bias, out, size, stride, pad: size / 2, dilation: 1, groups: 1 }
            }
            Kernel::Transposed { stride } => Op::ConvTranspose { weight, bias, out, size, stride },
        };
        let node = b.push(op, &[input])?;
        match self.end {
            End::Leaky => b.push(Op::Activate(Activation::Leaky), &[node]),
            End::Sigmoid => b.push(Op::Activate(Activation::Logistic), &[node]),
            End::Linear | End::Grey => Ok(node),
        }
    }
}

/// Number of weights and biases of a chain.
pub(super) fn parameters(chain: &[Layer]) -> usize {
    chain.iter().map(Layer::parameters).sum()
}

/// The layers one after the other.
pub(super) fn push(
    b: &mut GraphBuilder,
    chain: &[Layer],
    source: &[Weight],
    input: NodeId,
) -> Result<NodeId, GraphError> {
    chain.iter().try_fold(input, |node, layer| layer.push(b, source, node))
}

/// Fresh weights of all layers.
pub(super) fn start(chain: &[Layer], mut random: impl FnMut() -> f32) -> Vec<Weight> {
    chain.iter().flat_map(|layer| layer.start(&mut random)).collect()
}

/// Fits fresh weights to feature maps of this deviation and mean: the first kernel of the encoder and the
/// last of the decoder are scaled, and their biases moved.
pub(super) fn fit(
    (encoder, decoder): (&[Layer], &[Layer]),
    weights: &mut [Weight],
    (mean, deviation): (f32, f32),
) {
    let deviation = deviation.max(f32::MIN_POSITIVE);
    let mut change = |name: String, change: &dyn Fn(usize, f32) -> f32| {
        for weight in weights.iter_mut().filter(|weight| weight.name == name) {
            weight.values =
                std::sync::Arc::new(weight.values.iter().enumerate().map(|(i, &v)| change(i, v)).collect());
        }
    };
    if let Some(first) = encoder.first() {
        change(format!("{}.weight", first.name), &|_, v| v / deviation);
    }
    if let Some(last) = decoder.last() {
        change(format!("{}.weight", last.name), &|_, v| v * deviation);
        change(format!("{}.bias", last.name), &|_, v| v + mean);
    }
}

/// Each of `maps` maps times `scale` plus `shift`; constants of the format, not weights.
fn affine(
    b: &mut GraphBuilder,
    name: &str,
    maps: usize,
    (scale, shift): (f32, f32),
    input: NodeId,
) -> Result<NodeId, GraphError> {
    let weight = b.weight(format!("{name}.weight"), vec![maps, 1, 1, 1], vec![scale; maps])?;
    let bias = Some(b.weight(format!("{name}.bias"), vec![maps], vec![shift; maps])?);
    let op = Op::Conv { weight, bias, out: maps, size: 1, stride: 1, pad: 0, dilation: 1, groups: maps };
    b.push(op, &[input])
}

/// Greys of 0 to 1 to what [`Op::ToPlane`] makes `255 grey` of.
pub(super) fn from_grey(b: &mut GraphBuilder, maps: usize, greys: NodeId) -> Result<NodeId, GraphError> {
    affine(b, "tiler.unit", maps, (WHITE, -PLANE_ZERO), greys)
}

/// Plane samples around zero to greys of 0 to 1.
pub(super) fn to_grey(b: &mut GraphBuilder, maps: usize, samples: NodeId) -> Result<NodeId, GraphError> {
    affine(b, "untiler.unit", maps, (WHITE.recip(), PLANE_ZERO / WHITE), samples)
}

/// The error for a chain that ends in another shape than `spec` says.
pub(super) fn check(b: &GraphBuilder, node: NodeId, spec: &TilerSpec) -> Result<(), GraphError> {
    if b.shape(node) == spec.feature {
        return Ok(());
    }
    Err(GraphError::Shape { op: "untiler".to_owned(), shape: b.shape(node) })
}

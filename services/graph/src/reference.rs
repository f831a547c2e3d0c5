//! What every operator means: a slow interpreter, obviously right, that other engines are held to.
//!
//! Each operator is one loop over its result, written as its definition in [`Op`] reads. Sums are made in
//! double precision and rounded once. For tests and for explaining; far too slow for anything else.

mod spatial;

use autotiler_core::Shape;

use crate::{
    engine::{Engine, EngineError, Session},
    graph::{Graph, GraphError, Node},
    op::{Activation, BATCH_NORM_EPSILON, Op, transpose_padding},
    tensor::{Tensor, TensorData},
};

/// Name of the engine.
const NAME: &str = "reference";

/// The slow engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

struct Interpreter {
    graph: Graph,
}

/// One value for each place of a map, in C, H, W order.
#[derive(Clone)]
pub(crate) struct Maps {
    pub(crate) shape: Shape,
    pub(crate) values: Vec<f32>,
}

impl Maps {
    /// Computes each value from its channel, row and column.
    fn each(shape: Shape, value: impl Fn(usize, usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(shape.len());
        for c in 0..shape.c {
            for y in 0..shape.h {
                for x in 0..shape.w {
                    values.push(value(c, y, x));
                }
            }
        }
        Self { shape, values }
    }

    fn at(&self, c: usize, y: usize, x: usize) -> f32 {
        self.values[(c * self.shape.h + y) * self.shape.w + x]
    }

    /// The value at a place that may be outside.
    fn at_padded(&self, c: usize, y: isize, x: isize) -> Option<f32> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.shape.h && x < self.shape.w).then(|| self.at(c, y, x))
    }

    fn map(&self, value: impl Fn(f32) -> f32) -> Self {
        Self { shape: self.shape, values: self.values.iter().map(|&x| value(x)).collect() }
    }
}

impl Engine for Reference {
    fn name(&self) -> &str {
        NAME
    }

    fn load(&self, graph: &Graph) -> Result<Box<dyn Session>, EngineError> {
        check(graph).map_err(|source| EngineError::Load { engine: NAME, source: Box::new(source) })?;
        Ok(Box::new(Interpreter { graph: graph.clone() }))
    }
}

/// Puts the graph together anew, so that every operator, shape and weight is checked.
fn check(graph: &Graph) -> Result<(), GraphError> {
    let mut builder = crate::GraphBuilder::new();
    let mut inputs = Vec::new();
    for id in &graph.inputs {
        let node = graph.node(*id).ok_or(GraphError::UnknownNode(id.0))?;
        let bytes = node.is_bytes();
        inputs.push(if bytes { builder.input_u8(node.shape) } else { builder.input(node.shape) });
    }
    builder.append(graph, &inputs).map(drop)
}

impl Session for Interpreter {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let batch = self.check_inputs(inputs)?;
        let mut outputs: Vec<Tensor> =
            self.graph.outputs.iter().map(|id| empty(self.node(id.0), batch)).collect();
        for picture in 0..batch {
            let values = self.run_one(inputs, picture);
            for (id, tensor) in self.graph.outputs.iter().zip(&mut outputs) {
                match &mut tensor.data {
                    TensorData::F32(all) => all.extend(&values[id.0].values),
                    TensorData::U8(all) => all.extend(values[id.0].values.iter().map(|&x| x as u8)),
                }
            }
        }
        Ok(outputs)
    }
}

fn empty(node: &Node, batch: usize) -> Tensor {
    let data = if node.is_bytes() { TensorData::U8(Vec::new()) } else { TensorData::F32(Vec::new()) };
    Tensor { batch, shape: node.shape, data }
}

impl Interpreter {
    fn node(&self, index: usize) -> &Node {
        &self.graph.nodes[index]
    }

    /// The common batch size.
    fn check_inputs(&self, inputs: &[Tensor]) -> Result<usize, EngineError> {
        let batch = inputs.first().map_or(1, |tensor| tensor.batch);
        if inputs.len() != self.graph.inputs.len() {
            let (expected, got) = (self.graph.inputs.len(), inputs.len());
            let (expected, got) = (format!("{expected} inputs"), format!("{got}"));
            return Err(EngineError::Input { index: inputs.len(), expected, got });
        }
        for (index, (tensor, id)) in inputs.iter().zip(&self.graph.inputs).enumerate() {
            let node = self.node(id.0);
            let kind = tensor.as_u8().is_some() == node.is_bytes();
            if !kind || tensor.shape != node.shape || tensor.batch != batch || !tensor.is_consistent() {
                let words = |bytes| if bytes { "bytes" } else { "floats" };
                let expected = format!("{batch} x {} of {}", node.shape, words(node.is_bytes()));
                let got =
                    format!("{} x {} of {}", tensor.batch, tensor.shape, words(tensor.as_u8().is_some()));
                return Err(EngineError::Input { index, expected, got });
            }
        }
        Ok(batch)
    }

    fn run_one(&self, inputs: &[Tensor], picture: usize) -> Vec<Maps> {
        let mut values: Vec<Maps> = Vec::with_capacity(self.graph.nodes.len());
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let given = self.graph.inputs.iter().position(|id| id.0 == index).and_then(|at| inputs.get(at));
            let maps = match given {
                Some(tensor) => one(tensor, picture),
                None => {
                    let from: Vec<&Maps> = node.inputs.iter().map(|id| &values[id.0]).collect();
                    self.execute(node, &from)
                }
            };
            values.push(maps);
        }
        values
    }

    fn weight(&self, id: crate::WeightId) -> &[f32] {
        &self.graph.weights[id.0].values
    }

    /// What `node` yields. Its inputs were checked when the graph was loaded.
    fn execute(&self, node: &Node, inputs: &[&Maps]) -> Maps {
        let x = inputs.first().copied().expect("every operator but Input has an input");
        match &node.op {
            Op::Input | Op::InputU8 => x.clone(),
            Op::Conv { weight, bias, size, stride, pad, dilation, groups, .. } => {
                let (kernel, bias) = (self.weight(*weight), bias.map(|bias| self.weight(bias)));
                let (maps_in, maps_out) = (x.shape.c / groups, node.shape.c / groups);
                Maps::each(node.shape, |c, y, col| {
                    let mut sum = bias.map_or(0.0, |bias| f64::from(bias[c]));
                    for i in 0..maps_in {
                        for (ky, kx) in spatial::window(*size) {
                            let row = (y * stride + ky * dilation) as isize - *pad as isize;
                            let column = (col * stride + kx * dilation) as isize - *pad as isize;
                            let tap = kernel[((c * maps_in + i) * size + ky) * size + kx];
                            let value = x.at_padded(c / maps_out * maps_in + i, row, column).unwrap_or(0.0);
                            sum += f64::from(tap) * f64::from(value);
                        }
                    }
                    sum as f32
                })
            }
            Op::ConvTranspose { weight, bias, out, size, stride } => {
                let (kernel, bias) = (self.weight(*weight), bias.map(|bias| self.weight(bias)));
                let (pad, _) = transpose_padding(*size, *stride).expect("checked when the graph was loaded");
                // The input row or column whose tap `k` falls on `place`, if one does.
                let source = |place: usize, k: usize| {
                    (place + pad).checked_sub(k).filter(|at| at.is_multiple_of(*stride)).map(|at| at / stride)
                };
                Maps::each(node.shape, |c, y, col| {
                    let mut sum = bias.map_or(0.0, |bias| f64::from(bias[c]));
                    for (ky, kx) in spatial::window(*size) {
                        let (Some(row), Some(column)) = (source(y, ky), source(col, kx)) else { continue };
                        for i in 0..x.shape.c {
                            let tap = kernel[((i * out + c) * size + ky) * size + kx];
                            let value = x.at_padded(i, row as isize, column as isize).unwrap_or(0.0);
                            sum += f64::from(tap) * f64::from(value);
                        }
                    }
                    sum as f32
                })
            }
            Op::BatchNorm { scale, shift, mean, variance } => {
                let [scale, shift, mean, variance] =
                    [scale, shift, mean, variance].map(|id| self.weight(*id));
                Maps::each(node.shape, |c, y, col| {
                    let deviation = (f64::from(variance[c]) + f64::from(BATCH_NORM_EPSILON)).sqrt();
                    let normal = (f64::from(x.at(c, y, col)) - f64::from(mean[c])) / deviation;
                    (f64::from(scale[c]) * normal + f64::from(shift[c])) as f32
                })
            }
            Op::Activate(activation) => x.map(|value| activate(*activation, value)),
            Op::Add => Maps::each(node.shape, |c, y, col| x.at(c, y, col) + inputs[1].at(c, y, col)),
            Op::Mul => {
                let factor = |maps: &Maps, c: usize, y: usize, col: usize| match maps.shape {
                    Shape { c: 1, h: 1, w: 1 } => maps.at(0, 0, 0),
                    Shape { c: 1, .. } => maps.at(0, y, col),
                    _ => maps.at(c, y, col),
                };
                Maps::each(node.shape, |c, y, col| factor(x, c, y, col) * factor(inputs[1], c, y, col))
            }
            Op::Concat => {
                let values = inputs.iter().flat_map(|maps| &maps.values).copied().collect();
                Maps { shape: node.shape, values }
            }
            Op::Slice { start, .. } => Maps::each(node.shape, |c, y, col| x.at(c + start, y, col)),
            Op::ToPlane => x.map(|value| (value + 128.0).round_ties_even().clamp(0.0, 255.0)),
            Op::FromPlane => x.map(|value| value - 128.0),
            op => spatial::execute(op, node.shape, x),
        }
    }
}

/// One picture of a batch; bytes become floats of the same value.
fn one(tensor: &Tensor, picture: usize) -> Maps {
    let range = picture * tensor.shape.len()..(picture + 1) * tensor.shape.len();
    let values = match &tensor.data {
        TensorData::F32(all) => all[range].to_vec(),
        TensorData::U8(all) => all[range].iter().map(|&byte| f32::from(byte)).collect(),
    };
    Maps { shape: tensor.shape, values }
}

/// The value of a point-wise function.
pub fn activate(activation: Activation, x: f32) -> f32 {
    let wide = f64::from(x);
    match activation {
        Activation::Linear => x,
        Activation::Leaky => x.max(0.1 * x),
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Mish => (wide * softplus(wide).tanh()) as f32,
        Activation::Swish => (wide / (1.0 + (-wide).exp())) as f32,
        Activation::Logistic => (1.0 / (1.0 + (-wide).exp())) as f32,
    }
}

/// `ln(1 + e^x)` that does not overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests;

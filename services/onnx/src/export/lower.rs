//! One operator of ours as one or a few ONNX nodes.

mod layout;

use autotiler_core::Shape;
use autotiler_graph::{Activation, BATCH_NORM_EPSILON, Node, Op, WeightId, op::transpose_padding};

use super::{
    ExportError, Exporter, Kind,
    format::{AttributeProto, TensorProto},
    proto,
};

/// Darknet's slope of the leaky rectifier below zero.
const LEAKY_SLOPE: f32 = 0.1;
/// Plane byte of a zero.
const PLANE_ZERO: f32 = 128.0;

/// Writes node `index` of the graph, whose inputs have been written; yields what its value is called.
pub(super) fn lower(exporter: &mut Exporter<'_>, index: usize, node: &Node) -> Result<String, ExportError> {
    let name = exporter.value_name(index, node);
    Lowering { exporter, index, node, name }.run()
}

/// A node on its way into the model.
struct Lowering<'a, 'g> {
    exporter: &'a mut Exporter<'g>,
    index: usize,
    node: &'a Node,
    /// What its value is to be called.
    name: String,
}

impl Lowering<'_, '_> {
    fn run(mut self) -> Result<String, ExportError> {
        let node = self.node;
        match &node.op {
            Op::Input | Op::InputU8 => self.graph_input(),
            Op::Conv { .. } => self.conv(),
            Op::ConvTranspose { .. } => self.conv_transpose(),
            Op::BatchNorm { scale, shift, mean, variance } => {
                let epsilon = vec![proto::float("epsilon", BATCH_NORM_EPSILON)];
                self.weighted("BatchNormalization", &[*scale, *shift, *mean, *variance], epsilon)
            }
            Op::Activate(activation) => self.activate(*activation),
            Op::Add => self.pairwise("Add"),
            Op::Mul => self.pairwise("Mul"),
            Op::Concat => self.concat(),
            Op::Slice { start, len } => {
                let x = self.input(0)?;
                Ok(self.slice(&x, 1, &[*start], &[start + len]))
            }
            Op::Upsample { factor } => self.upsample(*factor),
            Op::MaxPool { size, stride, pad_begin, pad_end } => {
                self.max_pool(*size, *stride, *pad_begin, *pad_end)
            }
            Op::GlobalAvgPool => self.unary("GlobalAveragePool", vec![]),
            Op::SpaceToDepth { block } => self.unary("SpaceToDepth", vec![proto::int("blocksize", *block)]),
            Op::DepthToSpace { block } => {
                self.unary("DepthToSpace", vec![proto::int("blocksize", *block), proto::text("mode", "DCR")])
            }
            Op::PadEdge { bottom, right } => self.pad_edge(*bottom, *right),
            Op::Crop => {
                let x = self.input(0)?;
                Ok(self.slice(&x, 2, &[0, 0], &[node.shape.h, node.shape.w]))
            }
            Op::Tile { cols, rows } => self.tile(*cols, *rows),
            Op::Untile { cols, rows } => self.untile(*cols, *rows),
            Op::Expand => self.expand(),
            Op::ToPlane => self.plane_bytes(),
            Op::FromPlane => self.plane_floats(),
        }
    }

    fn graph_input(&self) -> Result<String, ExportError> {
        let port = self.exporter.graph.inputs.iter().position(|id| id.0 == self.index);
        port.map(|port| format!("input{port}")).ok_or(ExportError::Ports { list: "inputs" })
    }

    fn conv(&mut self) -> Result<String, ExportError> {
        let Op::Conv { weight, bias, size, stride, pad, dilation, groups, out: _ } = &self.node.op else {
            unreachable!("called for convolutions only");
        };
        let attributes = vec![
            proto::int_list("kernel_shape", &[*size; 2]),
            proto::int_list("strides", &[*stride; 2]),
            proto::int_list("pads", &[*pad; 4]),
            proto::int_list("dilations", &[*dilation; 2]),
            proto::int("group", *groups),
        ];
        let weights: Vec<WeightId> = std::iter::once(*weight).chain(*bias).collect();
        self.weighted("Conv", &weights, attributes)
    }

    fn conv_transpose(&mut self) -> Result<String, ExportError> {
        let Op::ConvTranspose { weight, bias, size, stride, out: _ } = &self.node.op else {
            unreachable!("called for transposed convolutions only");
        };
        let (node, size, stride) = (self.index, *size, *stride);
        let (pad, added) =
            transpose_padding(size, stride).ok_or(ExportError::Transpose { node, size, stride })?;
        let attributes = vec![
            proto::int_list("kernel_shape", &[size; 2]),
            proto::int_list("strides", &[stride; 2]),
            proto::int_list("pads", &[pad; 4]),
            proto::int_list("output_padding", &[added; 2]),
        ];
        let weights: Vec<WeightId> = std::iter::once(*weight).chain(*bias).collect();
        self.weighted("ConvTranspose", &weights, attributes)
    }

    /// Writes the last ONNX node of an operator with one input and weights.
    fn weighted(
        &mut self,
        op: &str,
        weights: &[WeightId],
        attributes: Vec<AttributeProto>,
    ) -> Result<String, ExportError> {
        let mut inputs = vec![self.input(0)?];
        for id in weights {
            inputs.push(self.weight(*id)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.last(op, &inputs, attributes))
    }

    fn activate(&mut self, activation: Activation) -> Result<String, ExportError> {
        let x = self.input(0)?;
        Ok(match activation {
            Activation::Linear => x,
            Activation::Leaky => self.last("LeakyRelu", &[&x], vec![proto::float("alpha", LEAKY_SLOPE)]),
            Activation::Relu => self.last("Relu", &[&x], vec![]),
            Activation::Relu6 => {
                let (low, high) = (self.scalar("low", 0.0), self.scalar("high", 6.0));
                self.last("Clip", &[&x, &low, &high], vec![])
            }
            Activation::Mish => {
                let softplus = self.step("softplus", "Softplus", &[&x], vec![]);
                let tanh = self.step("tanh", "Tanh", &[&softplus], vec![]);
                self.last("Mul", &[&x, &tanh], vec![])
            }
            Activation::Swish => {
                let sigmoid = self.step("sigmoid", "Sigmoid", &[&x], vec![]);
                self.last("Mul", &[&x, &sigmoid], vec![])
            }
            Activation::Logistic => self.last("Sigmoid", &[&x], vec![]),
        })
    }

    fn unary(&mut self, op: &str, attributes: Vec<AttributeProto>) -> Result<String, ExportError> {
        let x = self.input(0)?;
        Ok(self.last(op, &[&x], attributes))
    }

    fn pairwise(&mut self, op: &str) -> Result<String, ExportError> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        Ok(self.last(op, &[&a, &b], vec![]))
    }

    fn max_pool(
        &mut self,
        size: usize,
        stride: usize,
        pad_begin: usize,
        pad_end: usize,
    ) -> Result<String, ExportError> {
        let attributes = vec![
            proto::int_list("kernel_shape", &[size; 2]),
            proto::int_list("strides", &[stride; 2]),
            proto::int_list("pads", &[pad_begin, pad_begin, pad_end, pad_end]),
        ];
        self.unary("MaxPool", attributes)
    }

    fn expand(&mut self) -> Result<String, ExportError> {
        let x = self.input(0)?;
        let Shape { h, w, .. } = self.node.shape;
        // A product with ones keeps the batch open, where ONNX's own Expand would need it as a number.
        let ones = self.constant(proto::floats(&self.part("ones"), &[1, 1, h, w], &vec![1.0; h * w]));
        Ok(self.last("Mul", &[&x, &ones], vec![]))
    }

    fn plane_bytes(&mut self) -> Result<String, ExportError> {
        let x = self.input(0)?;
        let (zero, low, high) =
            (self.scalar("zero", PLANE_ZERO), self.scalar("low", 0.0), self.scalar("high", 255.0));
        let shifted = self.step("shifted", "Add", &[&x, &zero], vec![]);
        let rounded = self.step("rounded", "Round", &[&shifted], vec![]);
        let clamped = self.step("clamped", "Clip", &[&rounded, &low, &high], vec![]);
        Ok(self.last("Cast", &[&clamped], vec![proto::int("to", proto::data_type(Kind::U8) as usize)]))
    }

    fn plane_floats(&mut self) -> Result<String, ExportError> {
        let x = self.input(0)?;
        let zero = self.scalar("zero", PLANE_ZERO);
        let to = vec![proto::int("to", proto::data_type(Kind::F32) as usize)];
        let floats = self.step("floats", "Cast", &[&x], to);
        Ok(self.last("Sub", &[&floats, &zero], vec![]))
    }

    /// What an input of the node is called.
    fn input(&self, input: usize) -> Result<String, ExportError> {
        let name = self.node.inputs.get(input).and_then(|id| self.exporter.names.get(id.0));
        name.cloned().ok_or(ExportError::Input { node: self.index, input })
    }

    /// The shape of the node's first input.
    fn input_shape(&self) -> Result<Shape, ExportError> {
        let node = self.node.inputs.first().and_then(|id| self.exporter.graph.node(*id));
        node.map(|node| node.shape).ok_or(ExportError::Input { node: self.index, input: 0 })
    }

    fn weight(&mut self, id: WeightId) -> Result<String, ExportError> {
        self.exporter.weight(id).ok_or(ExportError::Weight { node: self.index, weight: id.0 })
    }

    /// Writes the ONNX node that yields the node's own value.
    fn last(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.exporter.proto.node.push(proto::node(&self.name, op, inputs, attributes));
        self.name.clone()
    }

    /// Writes an ONNX node on the way to the node's value.
    fn step(&mut self, part: &str, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.part(part);
        self.exporter.proto.node.push(proto::node(&name, op, inputs, attributes));
        name
    }

    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone().unwrap_or_default();
        self.exporter.proto.initializer.push(tensor);
        name
    }

    fn scalar(&mut self, part: &str, value: f32) -> String {
        self.constant(proto::floats(&self.part(part), &[], &[value]))
    }

    fn ints(&mut self, part: &str, values: &[usize]) -> String {
        self.constant(proto::ints(&self.part(part), values))
    }
}

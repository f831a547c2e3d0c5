//! Writes a [`Graph`] as an ONNX model.
//!
//! Plain nodes of the standard operator set are preferred over clever ones: ONNX Runtime's optimiser knows how
//! to fuse those. The batch dimension stays open. Inputs are called `input0`, `input1`, …, results `output0`, ….

mod format;
mod lower;
mod proto;

use autotiler_core::Shape;
use autotiler_graph::{Graph, Node, NodeId, Op, WeightId};
use prost::Message as _;

use self::format::{GraphProto, ModelProto, OperatorSetIdProto};

/// Operator set: all operators used here had settled by then, and every runtime of the last years reads it.
const OPSET: i64 = 17;
/// Version of the file format that goes with [`OPSET`].
const IR_VERSION: i64 = 8;

/// Why a graph cannot be written. None of these happens to a graph from the
/// [`GraphBuilder`](autotiler_graph::GraphBuilder).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A node lacks an input, or has one that does not come before it.
    #[error("node {node}: input {input} is missing or not an earlier node")]
    Input {
        /// Position of the node.
        node: usize,
        /// Position among its inputs.
        input: usize,
    },
    /// A node refers to a weight that the graph does not have.
    #[error("node {node}: weight {weight} is not in the graph")]
    Weight {
        /// Position of the node.
        node: usize,
        /// Position of the weight.
        weight: usize,
    },
    /// A transposed convolution that does not enlarge by its stride alone.
    #[error("node {node}: a transposed convolution of size {size} cannot enlarge by exactly {stride}")]
    Transpose {
        /// Position of the node.
        node: usize,
        /// Kernel width.
        size: usize,
        /// Enlargement.
        stride: usize,
    },
    /// The graph's list of inputs lacks an input node or names something else, or its list of outputs names a
    /// node that does not exist.
    #[error("the graph's list of {list} does not fit its nodes")]
    Ports {
        /// `inputs` or `outputs`.
        list: &'static str,
    },
}

/// What the values of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 32-bit floats.
    F32,
    /// Bytes.
    U8,
}

/// A tensor that enters or leaves a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    /// Shape of one picture's share.
    pub(crate) shape: Shape,
    /// Floats or bytes.
    pub(crate) kind: Kind,
}

impl Port {
    fn of(node: &Node) -> Self {
        Self { shape: node.shape, kind: if node.is_bytes() { Kind::U8 } else { Kind::F32 } }
    }
}

/// A graph as ONNX, with what enters and leaves it.
pub(crate) struct Exported {
    /// The serialised `ModelProto`.
    pub(crate) bytes: Vec<u8>,
    /// As in [`Graph::inputs`].
    pub(crate) inputs: Vec<Port>,
    /// As in [`Graph::outputs`].
    pub(crate) outputs: Vec<Port>,
}

/// The ONNX model of `graph`: the bytes of an `.onnx` file, with all weights inside.
///
/// Inputs `input0`… and results `output0`… are in the order of the graph's own lists, each `[N, C, H, W]` with
/// an open N. Values that are the output of a Darknet layer are called `layer<number>.<node>`.
///
/// # Errors
/// [`ExportError`] when the graph refers to nodes or weights that it does not have.
pub fn to_onnx(graph: &Graph) -> Result<Vec<u8>, ExportError> {
    Ok(export(graph)?.bytes)
}

/// As [`to_onnx`], with the ports.
pub(crate) fn export(graph: &Graph) -> Result<Exported, ExportError> {
    let mut exporter = Exporter::new(graph);
    let inputs = exporter.declare_inputs()?;
    for (index, node) in graph.nodes.iter().enumerate() {
        let name = lower::lower(&mut exporter, index, node)?;
        exporter.names.push(name);
    }
    let outputs = exporter.declare_outputs()?;
    Ok(Exported { bytes: exporter.finish().encode_to_vec(), inputs, outputs })
}

/// The model under construction.
struct Exporter<'g> {
    graph: &'g Graph,
    proto: GraphProto,
    /// What the values of the nodes written so far are called.
    names: Vec<String>,
    /// Which weights have been written.
    written: Vec<bool>,
}

impl<'g> Exporter<'g> {
    fn new(graph: &'g Graph) -> Self {
        let proto = GraphProto { name: Some("autotiler".to_owned()), ..GraphProto::default() };
        Self { graph, proto, names: Vec::new(), written: vec![false; graph.weights.len()] }
    }

    /// Declares the model's inputs, in the graph's order.
    fn declare_inputs(&mut self) -> Result<Vec<Port>, ExportError> {
        let mut ports = Vec::with_capacity(self.graph.inputs.len());
        for (index, id) in self.graph.inputs.iter().enumerate() {
            let node = self.graph.node(*id).filter(|node| matches!(node.op, Op::Input | Op::InputU8));
            let port = Port::of(node.ok_or(ExportError::Ports { list: "inputs" })?);
            self.proto.input.push(proto::value_info(&format!("input{index}"), port));
            ports.push(port);
        }
        Ok(ports)
    }

    /// Declares the model's results, in the graph's order.
    fn declare_outputs(&mut self) -> Result<Vec<Port>, ExportError> {
        let mut ports = Vec::with_capacity(self.graph.outputs.len());
        for (index, id) in self.graph.outputs.iter().enumerate() {
            let found = self.graph.node(*id).zip(self.names.get(id.0));
            let (node, value) = found.ok_or(ExportError::Ports { list: "outputs" })?;
            let port = Port::of(node);
            let name = format!("output{index}");
            if *value != name {
                // An input that leaves unchanged, a linear activation, or a node that leaves twice.
                self.proto.node.push(proto::node(&name, "Identity", &[value], vec![]));
            }
            self.proto.output.push(proto::value_info(&name, port));
            ports.push(port);
        }
        Ok(ports)
    }

    fn finish(self) -> ModelProto {
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("autotiler".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.proto),
            // The empty domain is that of the standard operators.
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        }
    }

    /// What the value of node `index` is to be called: by its place among the results where it leaves the
    /// graph, else by its Darknet layer where it has one.
    fn value_name(&self, index: usize, node: &Node) -> String {
        if let Some(port) = self.graph.outputs.iter().position(|id| *id == NodeId(index)) {
            return format!("output{port}");
        }
        match node.layer {
            Some(layer) => format!("layer{layer}.{index}"),
            None => format!("node{index}"),
        }
    }

    /// The name of a weight in the model, written on first use; `None` for a weight that the graph lacks.
    fn weight(&mut self, id: WeightId) -> Option<String> {
        let weight = self.graph.weight(id)?;
        let written = self.written.get_mut(id.0)?;
        // The position keeps it apart from the exporter's own names and from a second weight of one name.
        let name = format!("{}#{}", weight.name, id.0);
        if !std::mem::replace(written, true) {
            self.proto.initializer.push(proto::floats(&name, &weight.dims, &weight.values));
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::LayerIndex;
    use autotiler_graph::{Activation, GraphBuilder};

    use super::{format::Dimension, *};

    const SHAPE: Shape = Shape::new(2, 3, 4);

    fn model(graph: &Graph) -> GraphProto {
        let model = ModelProto::decode(to_onnx(graph).unwrap().as_slice()).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (Some(IR_VERSION), Some(OPSET)));
        model.graph.unwrap()
    }

    #[test]
    fn the_batch_is_open_and_all_else_is_fixed() {
        let mut builder = GraphBuilder::new();
        let x = builder.input(SHAPE);
        let graph = model(&builder.finish(&[x]));
        for port in graph.input.iter().chain(&graph.output) {
            let shape = port.r#type.clone().unwrap().tensor_type.unwrap().shape.unwrap();
            let fixed = |dim| Dimension { dim_value: Some(dim), dim_param: None };
            let batch = Dimension { dim_value: None, dim_param: Some("N".to_owned()) };
            assert_eq!(shape.dim, [batch, fixed(2), fixed(3), fixed(4)]);
        }
    }

    #[test]
    fn values_are_called_by_port_layer_or_node() {
        let mut builder = GraphBuilder::new();
        let x = builder.input(SHAPE);
        let relu = || Op::Activate(Activation::Relu);
        let plain = builder.push(relu(), &[x]).unwrap();
        let layer = builder.push(relu(), &[plain]).unwrap();
        builder.mark_layer(layer, LayerIndex(16));
        let result = builder.push(relu(), &[layer]).unwrap();
        let graph = model(&builder.finish(&[result]));
        let names: Vec<&str> = graph.node.iter().map(|node| node.output[0].as_str()).collect();
        assert_eq!(names, ["node1", "layer16.2", "output0"]);
        assert_eq!(graph.node[0].input, ["input0"]);
    }

    #[test]
    fn weights_that_are_used_are_written_once_and_others_not() {
        let mut builder = GraphBuilder::new();
        let x = builder.input(SHAPE);
        let weight = builder.weight("kernel", vec![2, 2, 1, 1], vec![1.0, 0.0, 0.5, -2.0]).unwrap();
        builder.weight("unused", vec![1], vec![7.0]).unwrap();
        let conv =
            || Op::Conv { weight, bias: None, out: 2, size: 1, stride: 1, pad: 0, dilation: 1, groups: 1 };
        let once = builder.push(conv(), &[x]).unwrap();
        let twice = builder.push(conv(), &[once]).unwrap();
        let graph = model(&builder.finish(&[twice]));
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(graph.initializer[0].name.as_deref(), Some("kernel#0"));
        let values = [1.0_f32, 0.0, 0.5, -2.0].map(f32::to_le_bytes).concat();
        assert_eq!(graph.initializer[0].raw_data, Some(values));
    }
}

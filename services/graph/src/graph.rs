//! A graph of operators with its weights.

use std::sync::Arc;

use autotiler_core::{LayerIndex, Shape};

use crate::op::Op;

/// Position of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// Position of a weight in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// One operator, its inputs (all earlier in the graph) and what it yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// What it yields, per picture.
    pub shape: Shape,
    /// The Darknet layer whose output this is, if it is one.
    pub layer: Option<LayerIndex>,
}

/// A named weight tensor. Cheap to clone: heads and tails share the values of their network.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Stable name, the key in safetensors files, like `16.weight` or `tiler.encoder.0.bias`.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Values, row-major.
    pub values: Arc<Vec<f32>>,
}

impl Node {
    /// Whether it yields bytes; all other nodes yield floats.
    pub fn is_bytes(&self) -> bool {
        matches!(self.op, Op::InputU8 | Op::ToPlane)
    }
}

/// Operators in topological order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// All nodes; a node's inputs come before it.
    pub nodes: Vec<Node>,
    /// All weights.
    pub weights: Vec<Weight>,
    /// Nodes that are [`Op::Input`] or [`Op::InputU8`], in the order of an engine's arguments.
    pub inputs: Vec<NodeId>,
    /// Nodes whose values leave the graph, in the order of an engine's results.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    /// The node at `id`, if there is one.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    /// The weight at `id`, if there is one.
    pub fn weight(&self, id: WeightId) -> Option<&Weight> {
        self.weights.get(id.0)
    }

    /// The node whose output is that of Darknet layer `layer`, if the graph has it.
    pub fn layer(&self, layer: LayerIndex) -> Option<NodeId> {
        self.nodes.iter().rposition(|node| node.layer == Some(layer)).map(NodeId)
    }
}

/// Why an operator or a weight cannot be put into a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Shapes or counts of the inputs do not fit the operator.
    #[error("{op}: inputs {inputs:?} do not fit")]
    Inputs {
        /// The operator.
        op: String,
        /// Shapes of its inputs.
        inputs: Vec<Shape>,
    },
    /// Bytes where the operator takes floats, or the reverse.
    #[error("{op}: bytes go into FromPlane and nothing else does")]
    Kind {
        /// The operator.
        op: String,
    },
    /// The shape of the result does not follow from the inputs, so it must be given.
    #[error("{op}: the shape of the result must be given")]
    NeedsShape {
        /// The operator.
        op: String,
    },
    /// The given shape is not what the operator yields.
    #[error("{op}: cannot yield {shape}")]
    Shape {
        /// The operator.
        op: String,
        /// The shape that was asked for.
        shape: Shape,
    },
    /// A node that is not in the graph.
    #[error("node {0} is not in the graph")]
    UnknownNode(usize),
    /// A weight that is not in the graph.
    #[error("weight number {0} is not in the graph")]
    UnknownWeight(usize),
    /// A weight has the wrong number of values.
    #[error("weight {name}: {expected} values expected, {got} found")]
    WeightLen {
        /// The weight.
        name: String,
        /// Product of its dimensions.
        expected: usize,
        /// Values found.
        got: usize,
    },
    /// A weight whose dimensions do not fit the operator that uses it.
    #[error("{op}: weight {name} has dimensions {got:?}, {expected:?} expected")]
    WeightDims {
        /// The operator.
        op: String,
        /// The weight.
        name: String,
        /// What the operator wants.
        expected: Vec<usize>,
        /// What it has.
        got: Vec<usize>,
    },
    /// Two different weights of one name.
    #[error("weight {0} exists already with other values")]
    WeightClash(String),
    /// The inputs given to a spliced graph are not as many as it has.
    #[error("spliced graph has {expected} inputs, {got} given")]
    SpliceCount {
        /// Inputs of the spliced graph.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input given to a spliced graph has another shape or kind.
    #[error("input {index} of the spliced graph is {expected}, {got} given")]
    SpliceInput {
        /// Which input.
        index: usize,
        /// What the spliced graph wants.
        expected: String,
        /// What was given.
        got: String,
    },
}

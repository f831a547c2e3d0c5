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

/// Why an operator cannot be put there.
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
}

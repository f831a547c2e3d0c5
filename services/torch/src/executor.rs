//! Runs a graph operator by operator on libtorch tensors, with gradients where the weights ask for them.
//!
//! Values inside are floats throughout, also those of planes (0 to 255), so that gradients can pass.

mod operators;
mod thin;

use std::sync::Arc;

use autotiler_graph::{Graph, NodeId, Op};
use tch::Tensor;

/// How a graph is run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mode {
    /// Momentum of the running statistics: normalise by the batch's own statistics and update the running
    /// ones. `None` normalises by the running statistics.
    pub batch_norm_momentum: Option<f64>,
    /// Let gradients pass the rounding and clamping of [`Op::ToPlane`] unchanged.
    pub straight_through: bool,
}

/// Why a graph did not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// More or fewer inputs or weights than the graph has.
    #[error("{what}: {expected} expected, {got} given")]
    Count {
        /// `inputs` or `weights`.
        what: &'static str,
        /// How many the graph has.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// The graph names a node or weight that does not exist or comes later.
    #[error("node {node}: refers to a node or weight that is not there")]
    Reference {
        /// The node.
        node: usize,
    },
    /// A transposed convolution that does not enlarge by its stride alone.
    #[error("node {node}: a transposed convolution of size {size} cannot enlarge by exactly {stride}")]
    Transpose {
        /// The node.
        node: usize,
        /// Kernel width.
        size: usize,
        /// Enlargement.
        stride: usize,
    },
    /// libtorch refused an operator.
    #[error("node {node}: {op}")]
    Operator {
        /// The node.
        node: usize,
        /// The operator.
        op: String,
        /// libtorch's own words.
        #[source]
        source: tch::TchError,
    },
}

/// A graph made ready: which values can be freed when. Holds no weights.
#[derive(Debug, Clone)]
pub struct Executor {
    graph: Arc<Graph>,
    /// Nodes whose values are needed for the last time by this node.
    last_used_by: Vec<Vec<NodeId>>,
}

impl Executor {
    /// Looks the graph over.
    ///
    /// # Errors
    /// [`ExecutorError::Reference`] when a node names what is not there.
    pub fn try_new(graph: Arc<Graph>) -> Result<Self, ExecutorError> {
        let mut last_use: Vec<Option<usize>> = vec![None; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                if input.0 >= index {
                    return Err(ExecutorError::Reference { node: index });
                }
                last_use[input.0] = Some(index);
            }
        }
        for kept in &graph.outputs {
            *last_use.get_mut(kept.0).ok_or(ExecutorError::Reference { node: kept.0 })? = None;
        }
        let mut last_used_by = vec![Vec::new(); graph.nodes.len()];
        for (node, user) in last_use.into_iter().enumerate() {
            if let Some(user) = user {
                last_used_by[user].push(NodeId(node));
            }
        }
        Ok(Self { graph, last_used_by })
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Runs one batch. `weights` stand at the places of the graph's weights, `inputs` (N, C, H, W, floats;
    /// of the weights' kind, pictures and planes as 0 to 255) and results in the graph's order.
    ///
    /// # Errors
    /// [`ExecutorError`] for wrong counts or shapes.
    pub fn run(
        &self,
        weights: &[Tensor],
        inputs: &[Tensor],
        mode: Mode,
    ) -> Result<Vec<Tensor>, ExecutorError> {
        count("inputs", self.graph.inputs.len(), inputs.len())?;
        count("weights", self.graph.weights.len(), weights.len())?;
        let mut values: Vec<Option<Tensor>> = Vec::new();
        values.resize_with(self.graph.nodes.len(), || None);
        for (id, input) in self.graph.inputs.iter().zip(inputs) {
            let slot = values.get_mut(id.0).ok_or(ExecutorError::Reference { node: id.0 })?;
            *slot = Some(input.shallow_clone());
        }
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if matches!(node.op, Op::Input | Op::InputU8) {
                continue;
            }
            let arguments = node.inputs.iter().map(|id| values.get(id.0).and_then(Option::as_ref));
            let arguments: Vec<&Tensor> =
                arguments.collect::<Option<_>>().ok_or(ExecutorError::Reference { node: index })?;
            let value = operators::apply(node, &arguments, weights, mode).map_err(|fault| match fault {
                operators::Fault::Reference => ExecutorError::Reference { node: index },
                operators::Fault::Transpose { size, stride } => {
                    ExecutorError::Transpose { node: index, size, stride }
                }
                operators::Fault::Torch(source) => {
                    ExecutorError::Operator { node: index, op: format!("{:?}", node.op), source }
                }
            })?;
            values[index] = Some(value);
            for spent in &self.last_used_by[index] {
                values[spent.0] = None;
            }
        }
        let kept = self.graph.outputs.iter().map(|id| values.get(id.0).and_then(Option::as_ref));
        kept.map(|value| value.map(Tensor::shallow_clone))
            .collect::<Option<_>>()
            .ok_or(ExecutorError::Reference { node: self.graph.nodes.len() })
    }
}

fn count(what: &'static str, expected: usize, got: usize) -> Result<(), ExecutorError> {
    if expected == got { Ok(()) } else { Err(ExecutorError::Count { what, expected, got }) }
}

//! Builds graphs, checking every operator as it is put in.

pub(crate) mod infer;

use std::{collections::HashMap, sync::Arc};

use autotiler_core::{LayerIndex, Shape};

use crate::{
    graph::{Graph, GraphError, Node, NodeId, Weight, WeightId},
    op::Op,
};

/// A graph in the making. Every node's shape is known and every weight fits, so what
/// [`finish`](Self::finish) yields is valid.
///
/// Bytes ([`Op::InputU8`], [`Op::ToPlane`]) can only go into [`Op::FromPlane`] or leave the graph.
/// Batch normalisation here and the fold of the Darknet reader use the same epsilon in the same place
/// ([`BATCH_NORM_EPSILON`](crate::op::BATCH_NORM_EPSILON)).
#[derive(Debug, Clone, Default)]
pub struct GraphBuilder {
    graph: Graph,
    names: HashMap<String, WeightId>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input of floats.
    pub fn input(&mut self, shape: Shape) -> NodeId {
        self.add_input(Op::Input, shape)
    }

    /// Adds an input of bytes.
    pub fn input_u8(&mut self, shape: Shape) -> NodeId {
        self.add_input(Op::InputU8, shape)
    }

    fn add_input(&mut self, op: Op, shape: Shape) -> NodeId {
        let id = self.add(op, Vec::new(), shape);
        self.graph.inputs.push(id);
        id
    }

    /// Adds a weight, or finds the one that is there already with the same name and values.
    ///
    /// # Errors
    /// [`GraphError::WeightLen`] when `values` are not as many as `dims` say, [`GraphError::WeightClash`]
    /// when the name is taken by other dimensions or values.
    pub fn weight(
        &mut self,
        name: impl Into<String>,
        dims: Vec<usize>,
        values: impl Into<Arc<Vec<f32>>>,
    ) -> Result<WeightId, GraphError> {
        self.add_weight(Weight { name: name.into(), dims, values: values.into() })
    }

    fn add_weight(&mut self, weight: Weight) -> Result<WeightId, GraphError> {
        let expected = weight.dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if expected != Some(weight.values.len()) {
            let (name, got) = (weight.name, weight.values.len());
            return Err(GraphError::WeightLen { name, expected: expected.unwrap_or(usize::MAX), got });
        }
        if let Some(&id) = self.names.get(&weight.name) {
            let present = &self.graph.weights[id.0];
            let same = Arc::ptr_eq(&present.values, &weight.values) || present.values == weight.values;
            let same = same && present.dims == weight.dims;
            return if same { Ok(id) } else { Err(GraphError::WeightClash(weight.name)) };
        }
        let id = WeightId(self.graph.weights.len());
        self.names.insert(weight.name.clone(), id);
        self.graph.weights.push(weight);
        Ok(id)
    }

    /// Adds an operator whose result's shape follows from its inputs.
    ///
    /// # Errors
    /// [`GraphError`] when the inputs or weights do not fit, or when the shape must be given
    /// ([`Op::Crop`], [`Op::Untile`], [`Op::Expand`]: see [`push_shaped`](Self::push_shaped)).
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let shapes = self.check(&op, inputs)?;
        let shape = infer::shape(&op, &shapes)?;
        Ok(self.add(op, inputs.to_vec(), shape))
    }

    /// Adds an operator with the shape of its result. For operators that [`push`](Self::push) takes too, the
    /// shape must be the one that follows.
    ///
    /// # Errors
    /// [`GraphError`] when the inputs, weights or shape do not fit.
    pub fn push_shaped(&mut self, op: Op, inputs: &[NodeId], shape: Shape) -> Result<NodeId, GraphError> {
        let shapes = self.check(&op, inputs)?;
        infer::check_given(&op, &shapes, shape)?;
        Ok(self.add(op, inputs.to_vec(), shape))
    }

    /// Says that `node` is the output of a Darknet layer. Does nothing for a node that is not there.
    pub fn mark_layer(&mut self, node: NodeId, layer: LayerIndex) {
        if let Some(node) = self.graph.nodes.get_mut(node.0) {
            node.layer = Some(layer);
        }
    }

    /// Shape of what `node` yields.
    ///
    /// # Panics
    /// When `node` did not come from this builder.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.graph.nodes[node.0].shape
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Puts `other` in, with `inputs` in place of its inputs; yields its outputs as nodes here. Weights of
    /// one name and the same values become one. So a tiler's encoder is fused to a head, its decoder to a
    /// tail. On an error the builder keeps what was put in so far and should be dropped.
    ///
    /// # Errors
    /// [`GraphError`] when the inputs differ from what `other` wants in number, shape or kind, or a weight's
    /// name is taken by other values.
    pub fn append(&mut self, other: &Graph, inputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        let (expected, got) = (other.inputs.len(), inputs.len());
        if expected != got {
            return Err(GraphError::SpliceCount { expected, got });
        }
        let mut placed: HashMap<NodeId, NodeId> = HashMap::with_capacity(other.nodes.len());
        for (index, (theirs, ours)) in other.inputs.iter().zip(inputs).enumerate() {
            let want = other.node(*theirs).ok_or(GraphError::UnknownNode(theirs.0))?;
            let have = self.graph.node(*ours).ok_or(GraphError::UnknownNode(ours.0))?;
            if (want.shape, want.is_bytes()) != (have.shape, have.is_bytes()) {
                let (expected, got) = (described(want), described(have));
                return Err(GraphError::SpliceInput { index, expected, got });
            }
            placed.insert(*theirs, *ours);
        }
        let weights =
            other.weights.iter().map(|w| self.add_weight(w.clone())).collect::<Result<Vec<_>, _>>()?;
        let find = |placed: &HashMap<NodeId, NodeId>, id: NodeId| {
            placed.get(&id).copied().ok_or(GraphError::UnknownNode(id.0))
        };
        for (index, node) in other.nodes.iter().enumerate() {
            if placed.contains_key(&NodeId(index)) {
                continue;
            }
            if let Some(lost) = node.op.weights().into_iter().find(|id| id.0 >= weights.len()) {
                return Err(GraphError::UnknownWeight(lost.0));
            }
            let op = node.op.with_weights(|id| weights[id.0]);
            let from = node.inputs.iter().map(|&id| find(&placed, id)).collect::<Result<Vec<_>, _>>()?;
            let id = self.push_shaped(op, &from, node.shape)?;
            self.graph.nodes[id.0].layer = node.layer;
            placed.insert(NodeId(index), id);
        }
        other.outputs.iter().map(|&id| find(&placed, id)).collect()
    }

    /// The graph, with the values of `outputs` leaving it in this order.
    ///
    /// # Panics
    /// When an output did not come from this builder.
    pub fn finish(mut self, outputs: &[NodeId]) -> Graph {
        assert!(outputs.iter().all(|id| id.0 < self.graph.nodes.len()), "outputs come from this builder");
        self.graph.outputs = outputs.to_vec();
        self.graph
    }

    fn add(&mut self, op: Op, inputs: Vec<NodeId>, shape: Shape) -> NodeId {
        let id = NodeId(self.graph.nodes.len());
        self.graph.nodes.push(Node { op, inputs, shape, layer: None });
        id
    }

    /// Checks that the inputs exist, their kinds and the weights; yields the shapes of the inputs.
    fn check(&self, op: &Op, inputs: &[NodeId]) -> Result<Vec<Shape>, GraphError> {
        let nodes = inputs
            .iter()
            .map(|id| self.graph.node(*id).ok_or(GraphError::UnknownNode(id.0)))
            .collect::<Result<Vec<_>, _>>()?;
        let takes_bytes = matches!(op, Op::FromPlane);
        if nodes.iter().any(|node| node.is_bytes() != takes_bytes) {
            return Err(GraphError::Kind { op: op.name().to_owned() });
        }
        let shapes: Vec<Shape> = nodes.iter().map(|node| node.shape).collect();
        for (id, expected) in infer::weight_dims(op, &shapes)? {
            let weight = self.graph.weight(id).ok_or(GraphError::UnknownWeight(id.0))?;
            if weight.dims != expected {
                let (name, got) = (weight.name.clone(), weight.dims.clone());
                return Err(GraphError::WeightDims { op: op.name().to_owned(), name, expected, got });
            }
        }
        Ok(shapes)
    }
}

fn described(node: &Node) -> String {
    format!("{} of {}", node.shape, if node.is_bytes() { "bytes" } else { "floats" })
}

#[cfg(test)]
mod tests;

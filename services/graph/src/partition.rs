//! Where a network can be cut, and the cutting.

use std::collections::BTreeSet;

use autotiler_core::{LayerIndex, Shape};

use crate::{
    builder::GraphBuilder,
    darknet::Network,
    graph::{Graph, GraphError, NodeId},
    macs,
    op::Op,
};

/// A layer after which one tensor alone carries all that the rest of the network needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPoint {
    /// The layer.
    pub layer: LayerIndex,
    /// Shape of its output: the feature map.
    pub shape: Shape,
    /// Multiply-accumulates from the picture to the feature map.
    pub head_macs: u64,
    /// Multiply-accumulates from the feature map to the raw heads.
    pub tail_macs: u64,
}

/// Why a graph cannot be cut there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// The network has no such layer.
    #[error("layer {0} does not exist")]
    NoLayer(LayerIndex),
    /// After this layer more or other tensors are needed than its output.
    #[error("layer {layer} is no partition point: after it, {alive} tensors are alive or its output is not")]
    NotSingle {
        /// The layer.
        layer: LayerIndex,
        /// How many tensors the rest needs.
        alive: usize,
    },
    /// A part needs an input of the graph that is not among its own.
    #[error("the part needs input node {0}, which is not given")]
    Open(usize),
    /// The parts do not make graphs.
    #[error("cutting the graph")]
    Graph(#[from] GraphError),
}

/// All partition points, in order of their layers. Layers whose output leaves the network are none: no
/// tail would be left.
pub fn points(network: &Network) -> Vec<PartitionPoint> {
    let needed = ancestors(&network.graph, &network.graph.outputs);
    let last_use = last_uses(&network.graph, &needed);
    let whole: u64 = needed.iter().map(|id| macs::node(&network.graph, *id)).sum();
    let mut points = Vec::new();
    let mut position = 0;
    for layer in &network.layers {
        position = position.max(layer.node.0);
        if alive(&needed, &last_use, position) == [layer.node] && last_use[layer.node.0] != usize::MAX {
            let head = ancestors(&network.graph, &[layer.node]);
            let head_macs = head.iter().map(|id| macs::node(&network.graph, *id)).sum();
            let tail_macs = whole - head_macs;
            points.push(PartitionPoint { layer: layer.index, shape: layer.shape, head_macs, tail_macs });
        }
    }
    points
}

/// Cuts the network after `layer`: the head from picture to feature map, the tail from feature map to the
/// raw heads. The values of weights are shared, not copied.
///
/// # Errors
/// [`PartitionError`] when the layer is no partition point.
pub fn split(network: &Network, layer: LayerIndex) -> Result<(Graph, Graph), PartitionError> {
    let cut = network.layer(layer).ok_or(PartitionError::NoLayer(layer))?;
    let graph = &network.graph;
    let needed = ancestors(graph, &graph.outputs);
    let last_use = last_uses(graph, &needed);
    let before = network.layers.iter().take(usize::from(layer.0) + 1);
    let position = before.map(|layer| layer.node.0).max().unwrap_or(0);
    let alive = alive(&needed, &last_use, position);
    if alive != [cut.node] || last_use[cut.node.0] == usize::MAX {
        return Err(PartitionError::NotSingle { layer, alive: alive.len() });
    }
    let head = extract(graph, &graph.inputs, &[cut.node])?;
    let tail = extract(graph, &[cut.node], &graph.outputs)?;
    Ok((head, tail))
}

/// The part of `graph` that computes the nodes `to` from the nodes `from`, which become its inputs in this
/// order. Any node may be asked for, so this also shows what is within a network.
///
/// # Errors
/// [`PartitionError`] when `to` needs an input of the graph that is not in `from`, or a node does not exist.
pub fn extract(graph: &Graph, from: &[NodeId], to: &[NodeId]) -> Result<Graph, PartitionError> {
    let needed = between(graph, from, to)?;
    let mut builder = GraphBuilder::new();
    let mut placed = vec![None; graph.nodes.len()];
    for id in from {
        let node = graph.node(*id).ok_or(GraphError::UnknownNode(id.0))?;
        let input = if node.is_bytes() { builder.input_u8(node.shape) } else { builder.input(node.shape) };
        if let Some(layer) = node.layer {
            builder.mark_layer(input, layer);
        }
        placed[id.0] = Some(input);
    }
    let find = |placed: &[Option<NodeId>], id: NodeId| {
        placed.get(id.0).copied().flatten().ok_or(GraphError::UnknownNode(id.0))
    };
    for id in needed {
        let node = graph.node(id).ok_or(GraphError::UnknownNode(id.0))?;
        let mut weights = Vec::new();
        for old in node.op.weights() {
            let weight = graph.weight(old).ok_or(GraphError::UnknownWeight(old.0))?;
            weights.push(builder.weight(weight.name.clone(), weight.dims.clone(), weight.values.clone())?);
        }
        let mut new = weights.into_iter();
        let op = node.op.with_weights(|old| new.next().unwrap_or(old));
        let inputs = node.inputs.iter().map(|&id| find(&placed, id)).collect::<Result<Vec<_>, _>>()?;
        let here = builder.push_shaped(op, &inputs, node.shape)?;
        if let Some(layer) = node.layer {
            builder.mark_layer(here, layer);
        }
        placed[id.0] = Some(here);
    }
    let outputs = to.iter().map(|&id| find(&placed, id)).collect::<Result<Vec<_>, _>>()?;
    Ok(builder.finish(&outputs))
}

/// Nodes, in order, that must be computed to get `to` from `from`.
fn between(graph: &Graph, from: &[NodeId], to: &[NodeId]) -> Result<BTreeSet<NodeId>, PartitionError> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<NodeId> = to.to_vec();
    while let Some(id) = open.pop() {
        if from.contains(&id) || !needed.insert(id) {
            continue;
        }
        let node = graph.node(id).ok_or(GraphError::UnknownNode(id.0))?;
        if matches!(node.op, Op::Input | Op::InputU8) {
            return Err(PartitionError::Open(id.0));
        }
        open.extend(&node.inputs);
    }
    Ok(needed)
}

/// `nodes` and all that they are computed from.
fn ancestors(graph: &Graph, nodes: &[NodeId]) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<NodeId> = nodes.to_vec();
    while let Some(id) = open.pop() {
        if let Some(node) = graph.node(id).filter(|_| found.insert(id)) {
            open.extend(&node.inputs);
        }
    }
    found
}

/// For each node, the last needed node that reads it; `usize::MAX` when it leaves the graph, 0 when nothing
/// needed reads it.
fn last_uses(graph: &Graph, needed: &BTreeSet<NodeId>) -> Vec<usize> {
    let mut last = vec![0; graph.nodes.len()];
    for id in needed {
        for input in graph.node(*id).map_or(&[][..], |node| &node.inputs) {
            last[input.0] = id.0;
        }
    }
    for output in &graph.outputs {
        last[output.0] = usize::MAX;
    }
    last
}

/// Needed nodes up to `position` that are read after it.
fn alive(needed: &BTreeSet<NodeId>, last_use: &[usize], position: usize) -> Vec<NodeId> {
    needed.range(..=NodeId(position)).filter(|id| last_use[id.0] > position).copied().collect()
}

#[cfg(test)]
mod tests;

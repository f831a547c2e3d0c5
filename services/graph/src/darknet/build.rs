//! A graph from a cfg and its weights.

use autotiler_core::{LayerIndex, Shape};

use super::{
    cfg::Cfg,
    error::CfgError,
    plan::{self, Anchor, ConvPlan, Kind, Plan, PlannedLayer, Source, YoloPlan},
    weights::{ConvWeights, Weights},
};
use crate::{
    builder::GraphBuilder,
    graph::{Graph, GraphError, NodeId, WeightId},
    macs,
    op::{Activation, Op},
};

/// What becomes of batch normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNorm {
    /// Folded into kernels and biases: for inference.
    Folded,
    /// Kept as [`Op::BatchNorm`]: for training.
    Kept,
}

/// A whole detector.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// From one picture (floats in \[0, 1\], RGB) to the raw heads before their yolo layers, in the order of
    /// `heads`; to the last layer when there is no yolo layer.
    pub graph: Graph,
    /// All layers, by their number.
    pub layers: Vec<Layer>,
    /// The yolo layers.
    pub heads: Vec<YoloHead>,
    /// Shape of the picture.
    pub input: Shape,
}

/// One layer of a cfg.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its number.
    pub index: LayerIndex,
    /// Its section, like `convolutional`.
    pub section: String,
    /// Line of the section in the cfg.
    pub line: usize,
    /// The node that yields its output. A dropout, a route of one whole layer and a yolo layer have no node
    /// of their own: theirs is that of their input.
    pub node: NodeId,
    /// Shape of its output.
    pub shape: Shape,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
}

/// One yolo layer: how a raw head becomes boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloHead {
    /// Number of the yolo layer.
    pub layer: LayerIndex,
    /// The raw map, of `mask.len() * (5 + classes)` maps.
    pub node: NodeId,
    /// Shape of the raw map.
    pub shape: Shape,
    /// All anchors of the network, in pixels of its input.
    pub anchors: Vec<Anchor>,
    /// Which of them this head uses.
    pub mask: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Stretch of the cell offsets about their middle; 1 is none.
    pub scale_x_y: f32,
    /// In training, overlap from which a box without an object of its own is not held to be wrong.
    pub ignore_threshold: f32,
}

/// Why no network can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The cfg is wrong.
    #[error("building the network")]
    Cfg(#[from] CfgError),
    /// The weights are those of another cfg.
    #[error("layer {layer}: the weights are not those of this cfg")]
    OtherWeights {
        /// First layer that differs; the number of layers when there are weights left over.
        layer: LayerIndex,
    },
    /// A layer does not fit the graph.
    #[error("layer {layer}: putting it into the graph")]
    Graph {
        /// The layer.
        layer: LayerIndex,
        /// Why.
        #[source]
        source: GraphError,
    },
}

impl Network {
    /// Makes the graph of `cfg` with `weights`.
    ///
    /// # Errors
    /// [`BuildError`] when the cfg describes no network, or the weights are those of another.
    pub fn build(cfg: &Cfg, weights: &Weights, batch_norm: BatchNorm) -> Result<Self, BuildError> {
        let plan = Plan::new(cfg)?;
        let mut assembly = Assembly::new(plan.input, batch_norm);
        let mut convs = weights.layers.iter();
        for (index, layer) in (0_u16..).zip(&plan.layers) {
            let index = LayerIndex(index);
            let node = match &layer.kind {
                Kind::Conv(conv) => {
                    let fits = |found: &&ConvWeights| {
                        found.layer == index
                            && found.dims == conv.dims
                            && found.norm.is_some() == conv.batch_norm
                    };
                    let found = convs.next().filter(fits).ok_or(BuildError::OtherWeights { layer: index })?;
                    assembly.conv(layer, conv, found)
                }
                _ => assembly.other(layer, &plan),
            };
            let node = node.map_err(|source| BuildError::Graph { layer: index, source })?;
            assembly.close(index, layer, node);
        }
        if let Some(left) = convs.next() {
            return Err(BuildError::OtherWeights { layer: left.layer });
        }
        Ok(assembly.finish(plan.input))
    }

    /// The layer of this number, if the network has it.
    pub fn layer(&self, layer: LayerIndex) -> Option<&Layer> {
        self.layers.get(usize::from(layer.0))
    }

    /// Multiply-accumulates of the whole network for one picture.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }
}

/// A network in the making.
struct Assembly {
    builder: GraphBuilder,
    batch_norm: BatchNorm,
    picture: NodeId,
    /// Nodes whose multiply-accumulates are in `layers`.
    counted: usize,
    layers: Vec<Layer>,
    heads: Vec<YoloHead>,
}

impl Assembly {
    fn new(input: Shape, batch_norm: BatchNorm) -> Self {
        let mut builder = GraphBuilder::new();
        let picture = builder.input(input);
        Self { builder, batch_norm, picture, counted: 0, layers: Vec::new(), heads: Vec::new() }
    }

    fn node(&self, source: Source) -> NodeId {
        match source {
            Source::Picture => self.picture,
            Source::Layer(layer) => self.layers[layer].node,
        }
    }

    fn inputs(&self, layer: &PlannedLayer) -> Vec<NodeId> {
        layer.sources.iter().map(|source| self.node(*source)).collect()
    }

    fn conv(
        &mut self,
        layer: &PlannedLayer,
        plan: &ConvPlan,
        found: &ConvWeights,
    ) -> Result<NodeId, GraphError> {
        let folded = match self.batch_norm {
            BatchNorm::Folded => found.fold(),
            BatchNorm::Kept => found.clone(),
        };
        let inputs = self.inputs(layer);
        let weight = |builder: &mut GraphBuilder,
                      name: &str,
                      dims: &[usize],
                      values: &_|
         -> Result<WeightId, _> {
            builder.weight(format!("{}.{name}", found.layer), dims.to_vec(), std::sync::Arc::clone(values))
        };
        let b = &mut self.builder;
        let maps = [plan.out];
        let kernel = weight(b, "weight", &folded.dims, &folded.kernel)?;
        let node = match &folded.norm {
            None => {
                let bias = weight(b, "bias", &maps, &folded.bias)?;
                b.push(plan.op(kernel, Some(bias)), &inputs)?
            }
            Some(norm) => {
                let scale = weight(b, "scale", &maps, &norm.scale)?;
                let shift = weight(b, "shift", &maps, &folded.bias)?;
                let mean = weight(b, "mean", &maps, &norm.mean)?;
                let variance = weight(b, "variance", &maps, &norm.variance)?;
                let raw = b.push(plan.op(kernel, None), &inputs)?;
                b.push(Op::BatchNorm { scale, shift, mean, variance }, &[raw])?
            }
        };
        self.activate(node, plan.activation)
    }

    fn other(&mut self, layer: &PlannedLayer, plan: &Plan) -> Result<NodeId, GraphError> {
        let inputs = self.inputs(layer);
        match &layer.kind {
            Kind::Shortcut(activation) => {
                let mut sum = inputs[0];
                for other in &inputs[1..] {
                    sum = self.builder.push(Op::Add, &[sum, *other])?;
                }
                self.activate(sum, *activation)
            }
            Kind::Route { groups, group } => {
                let mut parts = inputs;
                if *groups > 1 {
                    for (part, source) in parts.iter_mut().zip(&layer.sources) {
                        let len = plan.source_shape(*source).c / groups;
                        *part = self.builder.push(Op::Slice { start: group * len, len }, &[*part])?;
                    }
                }
                if let [whole] = parts[..] { Ok(whole) } else { self.builder.push(Op::Concat, &parts) }
            }
            Kind::Upsample { factor } => self.builder.push(Op::Upsample { factor: *factor }, &inputs),
            Kind::MaxPool { size, stride, padding } => {
                self.builder.push(plan::max_pool(*size, *stride, *padding), &inputs)
            }
            Kind::AvgPool => self.builder.push(Op::GlobalAvgPool, &inputs),
            Kind::Yolo(yolo) => {
                self.head(yolo, inputs[0]);
                Ok(inputs[0])
            }
            Kind::Conv(_) | Kind::Dropout => Ok(inputs[0]),
        }
    }

    fn activate(&mut self, node: NodeId, activation: Activation) -> Result<NodeId, GraphError> {
        match activation {
            Activation::Linear => Ok(node),
            _ => self.builder.push(Op::Activate(activation), &[node]),
        }
    }

    fn head(&mut self, yolo: &YoloPlan, node: NodeId) {
        let shape = self.builder.shape(node);
        self.heads.push(YoloHead {
            layer: LayerIndex(self.layers.len() as u16),
            node,
            shape,
            anchors: yolo.anchors.clone(),
            mask: yolo.mask.clone(),
            classes: yolo.classes,
            scale_x_y: yolo.scale_x_y,
            ignore_threshold: yolo.ignore_threshold,
        });
    }

    fn close(&mut self, index: LayerIndex, layer: &PlannedLayer, node: NodeId) {
        let own = self.builder.graph().node(node).is_some_and(|node| node.layer.is_none());
        let graph = self.builder.graph();
        let new = std::mem::replace(&mut self.counted, graph.nodes.len())..graph.nodes.len();
        let macs = new.map(|node| macs::node(graph, NodeId(node))).sum();
        if own && node != self.picture {
            self.builder.mark_layer(node, index);
        }
        let (section, line) = (layer.section.clone(), layer.line);
        self.layers.push(Layer { index, section, line, node, shape: layer.shape, macs });
    }

    fn finish(self, input: Shape) -> Network {
        let last = self.layers.last().map_or(self.picture, |layer| layer.node);
        let raw: Vec<NodeId> = self.heads.iter().map(|head| head.node).collect();
        let outputs = if raw.is_empty() { vec![last] } else { raw };
        let graph = self.builder.finish(&outputs);
        Network { graph, layers: self.layers, heads: self.heads, input }
    }
}

#[cfg(test)]
mod tests;

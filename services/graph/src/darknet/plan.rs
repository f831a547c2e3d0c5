//! Layers with their options read, their references resolved and their shapes known.

mod read;

use autotiler_core::Shape;

use super::{
    cfg::{Cfg, Section},
    error::{CfgError, CfgFault},
    options::Options,
};
use crate::{
    builder::infer,
    graph::{GraphError, WeightId},
    op::{Activation, Op},
};

/// Most values that a network's weights may have: 4 GiB of them.
const MAX_VALUES: usize = 1 << 30;

/// Options of any layer that steer training alone.
const TRAINING: [&str; 6] =
    ["stopbackward", "onlyforward", "learning_rate", "burnin_update", "train_only_bn", "grad_centr"];

/// Options of a yolo layer that steer training, or Darknet's own NMS.
const YOLO_TRAINING: [&str; 25] = [
    "jitter",
    "resize",
    "truth_thresh",
    "random",
    "max",
    "iou_thresh",
    "cls_normalizer",
    "iou_normalizer",
    "obj_normalizer",
    "delta_normalizer",
    "max_delta",
    "label_smooth_eps",
    "iou_loss",
    "iou_thresh_kind",
    "nms_kind",
    "beta_nms",
    "focal_loss",
    "objectness_smooth",
    "counters_per_class",
    "show_details",
    "thresh",
    "classfix",
    "absolute",
    "map",
    "stopbackward",
];

/// Width and height of a prior box, in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// Where a layer takes its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Picture,
    Layer(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Conv(ConvPlan),
    Shortcut(Activation),
    Route { groups: usize, group: usize },
    Upsample { factor: usize },
    MaxPool { size: usize, stride: usize, padding: usize },
    AvgPool,
    Yolo(YoloPlan),
    Dropout,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConvPlan {
    pub(super) out: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
    pub(super) dilation: usize,
    pub(super) groups: usize,
    pub(super) batch_norm: bool,
    pub(super) activation: Activation,
    /// Dimensions of the kernel, `[out, in / groups, size, size]`; filled in when the input is known.
    pub(super) dims: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct YoloPlan {
    pub(super) anchors: Vec<Anchor>,
    pub(super) mask: Vec<usize>,
    pub(super) classes: usize,
    pub(super) scale_x_y: f32,
    pub(super) ignore_threshold: f32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlannedLayer {
    pub(super) section: String,
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) sources: Vec<Source>,
    pub(super) shape: Shape,
}

/// A whole network, checked but without numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) input: Shape,
    pub(super) layers: Vec<PlannedLayer>,
    /// Values in a weights file.
    pub(super) values: usize,
}

impl ConvPlan {
    /// Values in a weights file: biases, three arrays of batch normalisation, kernel.
    fn values(&self) -> Option<usize> {
        let kernel = self.dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
        kernel.checked_add(if self.batch_norm { 4 } else { 1 } * self.out)
    }

    pub(super) fn op(&self, weight: WeightId, bias: Option<WeightId>) -> Op {
        let Self { out, size, stride, pad, dilation, groups, .. } = *self;
        Op::Conv { weight, bias, out, size, stride, pad, dilation, groups }
    }
}

/// Darknet's window starts `padding / 2` before the map; what is left of the padding is behind it.
pub(super) fn max_pool(size: usize, stride: usize, padding: usize) -> Op {
    Op::MaxPool { size, stride, pad_begin: padding / 2, pad_end: padding - padding / 2 }
}

impl Plan {
    pub(super) fn new(cfg: &Cfg) -> Result<Self, CfgError> {
        let input = read::net(cfg.net())?;
        let mut plan = Self { input, layers: Vec::with_capacity(cfg.layers().len()), values: 0 };
        for section in cfg.layers() {
            let mut options = Options::new(section);
            if plan.layers.len() > usize::from(u16::MAX) {
                return Err(options.fault(CfgFault::TooManyLayers));
            }
            let (mut kind, sources) = plan.read(&mut options, section)?;
            plan.finish_options(options, &kind)?;
            let shape = plan.shape(&mut kind, &sources, &Options::new(section))?;
            if let Kind::Conv(conv) = &kind {
                let values = conv.values().and_then(|values| values.checked_add(plan.values));
                plan.values = values
                    .filter(|values| *values <= MAX_VALUES)
                    .ok_or_else(|| Options::new(section).fault(CfgFault::TooManyWeights))?;
            }
            let (section, line) = (section.name.clone(), section.line);
            plan.layers.push(PlannedLayer { section, line, kind, sources, shape });
        }
        Ok(plan)
    }

    pub(super) fn source_shape(&self, source: Source) -> Shape {
        match source {
            Source::Picture => self.input,
            Source::Layer(layer) => self.layers[layer].shape,
        }
    }

    fn read(&self, options: &mut Options<'_>, section: &Section) -> Result<(Kind, Vec<Source>), CfgError> {
        let kind = match section.name.as_str() {
            "convolutional" | "conv" => Kind::Conv(read::conv(options)?),
            "shortcut" => return self.read_shortcut(options),
            "route" => return self.read_route(options),
            "upsample" => {
                options.only("scale", "1")?;
                Kind::Upsample { factor: options.count("stride", 1, 2)? }
            }
            "maxpool" | "max" => read::max_pool(options)?,
            "avgpool" | "avg" => Kind::AvgPool,
            "yolo" => Kind::Yolo(read::yolo(options)?),
            "dropout" => Kind::Dropout,
            _ => return Err(options.fault(CfgFault::UnknownSection)),
        };
        Ok((kind, vec![self.previous(options)?]))
    }

    fn finish_options(&self, options: Options<'_>, kind: &Kind) -> Result<(), CfgError> {
        match kind {
            Kind::Yolo(_) => options.finish(&YOLO_TRAINING),
            Kind::Dropout => {
                options.finish(&["probability", "dropblock", "dropblock_size_rel", "dropblock_size_abs"])
            }
            _ => options.finish(&TRAINING),
        }
    }

    fn previous(&self, options: &Options<'_>) -> Result<Source, CfgError> {
        match self.layers.len().checked_sub(1) {
            None => Ok(Source::Picture),
            Some(layer) => self.not_yolo(layer).map_err(|fault| options.fault(fault)),
        }
    }

    fn not_yolo(&self, layer: usize) -> Result<Source, CfgFault> {
        match self.layers[layer].kind {
            Kind::Yolo(_) => Err(CfgFault::YoloAsInput(layer as i64)),
            _ => Ok(Source::Layer(layer)),
        }
    }

    /// A layer by its number, or counted back from this one when negative.
    fn referred(&self, reference: i64) -> Result<Source, CfgFault> {
        let here = self.layers.len() as i64;
        let absolute = if reference < 0 { here.saturating_add(reference) } else { reference };
        match usize::try_from(absolute) {
            Err(_) => Err(CfgFault::MissingLayer(absolute)),
            Ok(layer) if layer >= self.layers.len() => Err(CfgFault::ForwardLayer(absolute)),
            Ok(layer) => self.not_yolo(layer),
        }
    }

    fn read_references(&self, options: &mut Options<'_>, key: &'static str) -> Result<Vec<Source>, CfgError> {
        let references: Vec<i64> = options.list(key)?;
        if references.is_empty() {
            return Err(options.fault(CfgFault::MissingKey(key)));
        }
        let sources = references.into_iter().map(|reference| self.referred(reference));
        sources.collect::<Result<_, _>>().map_err(|fault| options.fault_at(key, fault))
    }

    fn read_shortcut(&self, options: &mut Options<'_>) -> Result<(Kind, Vec<Source>), CfgError> {
        options.only("weights_type", "none")?;
        let mut sources = vec![self.previous(options)?];
        sources.extend(self.read_references(options, "from")?);
        Ok((Kind::Shortcut(options.activation(Activation::Linear)?), sources))
    }

    fn read_route(&self, options: &mut Options<'_>) -> Result<(Kind, Vec<Source>), CfgError> {
        let sources = self.read_references(options, "layers")?;
        let groups = options.count("groups", 1, 1)?;
        let group = options.count("group_id", 0, 0)?;
        let uneven = |source: &Source| !self.source_shape(*source).c.is_multiple_of(groups);
        if group >= groups || sources.iter().any(uneven) {
            let (key, value) = ("groups".to_owned(), format!("{groups} with group_id={group}"));
            let expected =
                "a group_id below groups, and groups that divide the maps of every layer".to_owned();
            return Err(options.fault_at("groups", CfgFault::Value { key, value, expected }));
        }
        Ok((Kind::Route { groups, group }, sources))
    }

    fn shape(&self, kind: &mut Kind, sources: &[Source], options: &Options<'_>) -> Result<Shape, CfgError> {
        let inputs: Vec<Shape> = sources.iter().map(|source| self.source_shape(*source)).collect();
        let layer = |error| options.fault(CfgFault::Layer(Box::new(error)));
        let infer = |op: Op, inputs: &[Shape]| infer::shape(&op, inputs).map_err(layer);
        match kind {
            Kind::Conv(conv) => {
                let op = conv.op(WeightId(0), None);
                let mut dims = infer::weight_dims(&op, &inputs).map_err(layer)?;
                conv.dims = dims.pop().map(|(_, dims)| dims).unwrap_or_default();
                infer(op, &inputs)
            }
            Kind::Shortcut(_) => match inputs.iter().all(|shape| *shape == inputs[0]) {
                true => Ok(inputs[0]),
                false => Err(layer(GraphError::Inputs { op: "shortcut".to_owned(), inputs })),
            },
            Kind::Route { groups, .. } => {
                let parts: Vec<Shape> = inputs.iter().map(|x| Shape { c: x.c / *groups, ..*x }).collect();
                infer(Op::Concat, &parts)
            }
            Kind::Upsample { factor } => infer(Op::Upsample { factor: *factor }, &inputs),
            Kind::MaxPool { size, stride, padding } => infer(max_pool(*size, *stride, *padding), &inputs),
            Kind::AvgPool => infer(Op::GlobalAvgPool, &inputs),
            Kind::Dropout => Ok(inputs[0]),
            Kind::Yolo(yolo) => {
                let expected = yolo.mask.len() * (5 + yolo.classes);
                let fault = CfgFault::HeadMaps { expected, got: inputs[0] };
                if expected == inputs[0].c { Ok(inputs[0]) } else { Err(options.fault(fault)) }
            }
        }
    }
}

#[cfg(test)]
mod tests;

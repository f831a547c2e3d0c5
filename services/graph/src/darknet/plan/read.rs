//! Options of single layers.

use autotiler_core::Shape;

use super::{
    super::{
        cfg::Section,
        error::{CfgError, CfgFault},
        options::Options,
    },
    Anchor, ConvPlan, Kind, YoloPlan,
};
use crate::{
    builder::infer,
    op::{Activation, Op},
};

/// The picture's shape. All other options of `[net]` steer training, but for those that would change what
/// the network sees.
pub(super) fn net(net: &Section) -> Result<Shape, CfgError> {
    let mut options = Options::new(net);
    options.only("time_steps", "1")?;
    options.only("letter_box", "0")?;
    let (h, w) = (options.required("height", 1)?, options.required("width", 1)?);
    let picture = Shape::new(options.count("channels", 1, 3)?, h, w);
    let fault = |op| options.fault(CfgFault::Layer(Box::new(op)));
    // An operator that changes nothing, to have the size of the picture checked like that of any map.
    infer::shape(&Op::Concat, &[picture]).map_err(fault)
}

pub(super) fn conv(options: &mut Options<'_>) -> Result<ConvPlan, CfgError> {
    let size = options.count("size", 1, 1)?;
    let dilation = options.count("dilation", 1, 1)?;
    let padding = options.count("padding", 0, 0)?;
    let padding = if options.flag("pad", false)? { size / 2 } else { padding };
    Ok(ConvPlan {
        out: options.count("filters", 1, 1)?,
        size,
        stride: options.count("stride", 1, 1)?,
        // Darknet spreads the padding with the taps, so that a dilated kernel keeps the size of the map.
        pad: padding * dilation,
        dilation,
        groups: options.count("groups", 1, 1)?,
        batch_norm: options.flag("batch_normalize", false)?,
        activation: options.activation(Activation::Logistic)?,
        dims: Vec::new(),
    })
}

pub(super) fn max_pool(options: &mut Options<'_>) -> Result<Kind, CfgError> {
    options.only("maxpool_depth", "0")?;
    options.only("antialiasing", "0")?;
    let stride = options.count("stride", 1, 1)?;
    let size = options.count("size", 1, stride)?;
    Ok(Kind::MaxPool { size, stride, padding: options.count("padding", 0, size - 1)? })
}

pub(super) fn yolo(options: &mut Options<'_>) -> Result<YoloPlan, CfgError> {
    options.only("new_coords", "0")?;
    let classes = options.required("classes", 1)?;
    let sides: Vec<f32> = options.list("anchors")?;
    let anchors: Vec<Anchor> = sides.chunks_exact(2).map(|side| Anchor { w: side[0], h: side[1] }).collect();
    let positive = sides.iter().all(|side| side.is_finite() && *side > 0.0);
    let num = options.count("num", 1, anchors.len())?;
    if sides.is_empty() {
        return Err(options.fault(CfgFault::MissingKey("anchors")));
    }
    let value = |key: &str, value: String, expected: &str| {
        let (owned, expected) = (key.to_owned(), expected.to_owned());
        Err(options.fault_at(key, CfgFault::Value { key: owned, value, expected }))
    };
    if sides.len() % 2 == 1 || !positive || num != anchors.len() {
        return value("anchors", format!("{sides:?}"), "`num` pairs of width and height above 0");
    }
    let mut mask: Vec<usize> = options.list("mask")?;
    if mask.is_empty() {
        mask = (0..num).collect();
    }
    if mask.iter().any(|&anchor| anchor >= num) {
        let expected = "numbers of anchors".to_owned();
        let fault = CfgFault::Value { key: "mask".to_owned(), value: format!("{mask:?}"), expected };
        return Err(options.fault_at("mask", fault));
    }
    Ok(YoloPlan {
        anchors,
        mask,
        classes,
        scale_x_y: options.number("scale_x_y", 1.0)?,
        ignore_threshold: options.number("ignore_thresh", 0.5)?,
    })
}

//! Boxes and detections.

use serde::{Deserialize, Serialize};

/// A box by its corners, in shares of the picture's width and height (0 to 1 inside the picture).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BBox {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

/// One found object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Index into the network's class names.
    pub class: u16,
    /// Objectness times class probability, 0 to 1.
    pub score: f32,
    /// Where it is.
    pub bbox: BBox,
}

/// One annotated object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroundTruth {
    /// Index into the class names.
    pub class: u16,
    /// Where it is.
    pub bbox: BBox,
    /// Marked as hard to see: finding it counts neither for nor against a detector.
    pub difficult: bool,
}

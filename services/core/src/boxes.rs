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

impl BBox {
    /// The box of this middle and size.
    pub fn from_middle(x: f32, y: f32, width: f32, height: f32) -> Self {
        let (half_w, half_h) = (width / 2.0, height / 2.0);
        Self { x0: x - half_w, y0: y - half_h, x1: x + half_w, y1: y + half_h }
    }

    /// Width; 0 for an inverted box.
    pub fn width(&self) -> f32 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height; 0 for an inverted box.
    pub fn height(&self) -> f32 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Area, as a share of the picture's.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The part inside the picture.
    pub fn clipped(&self) -> Self {
        let inside = |v: f32| v.clamp(0.0, 1.0);
        Self { x0: inside(self.x0), y0: inside(self.y0), x1: inside(self.x1), y1: inside(self.y1) }
    }

    /// Area of the part shared with `other` over the area of both together, 0 to 1; 0 when both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = (self.x1.min(other.x1) - self.x0.max(other.x0)).max(0.0);
        let height = (self.y1.min(other.y1) - self.y0.max(other.y0)).max(0.0);
        let shared = width * height;
        let together = self.area() + other.area() - shared;
        if together > 0.0 { shared / together } else { 0.0 }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_half_shifted_boxes_is_a_third() {
        let a = BBox { x0: 0.0, y0: 0.0, x1: 0.2, y1: 0.2 };
        let b = BBox { x0: 0.1, y0: 0.0, x1: 0.3, y1: 0.2 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert!((a.iou(&a) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn empty_inverted_and_apart_boxes_share_nothing() {
        let a = BBox { x0: 0.0, y0: 0.0, x1: 0.2, y1: 0.2 };
        let inverted = BBox { x0: 0.2, y0: 0.0, x1: 0.0, y1: 0.2 };
        let apart = BBox { x0: 0.5, y0: 0.5, x1: 0.6, y1: 0.6 };
        let point = BBox { x0: 0.1, y0: 0.1, x1: 0.1, y1: 0.1 };
        assert_eq!((a.iou(&inverted), a.iou(&apart), point.iou(&point)), (0.0, 0.0, 0.0));
    }
}

//! From the raw output of a Darknet yolo head to detections.
//!
//! The head is a feature map of `anchors * (5 + classes)` channels: for each anchor x, y, width, height,
//! objectness and one channel per class, all before their activations.

use crate::{
    boxes::{BBox, Detection},
    shape::Shape,
};

/// Channels of an anchor before those of the classes.
const BOX_CHANNELS: usize = 5;

/// What a `[yolo]` section says of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloHead {
    /// Width and height of the head's own anchors (mask applied), in pixels of the network's input.
    pub anchors: Vec<(f32, f32)>,
    /// Number of classes.
    pub classes: usize,
    /// How far past its cell a middle may lie: 1 is not at all.
    pub scale_x_y: f32,
}

/// Why a feature map cannot be read as the output of a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Channels do not fit the head.
    #[error("yolo head of {anchors} anchors and {classes} classes needs {wanted} channels, got {got}")]
    Channels {
        /// Anchors of the head.
        anchors: usize,
        /// Classes of the head.
        classes: usize,
        /// Channels it needs.
        wanted: usize,
        /// Channels it got.
        got: usize,
    },
    /// The number of values is not that of the shape.
    #[error("yolo head of shape {shape} needs {} values, got {got}", shape.len())]
    Values {
        /// The shape.
        shape: Shape,
        /// Values given.
        got: usize,
    },
}

impl YoloHead {
    /// Channels of the head's feature map.
    pub fn channels(&self) -> usize {
        self.anchors.len() * (BOX_CHANNELS + self.classes)
    }

    /// Adds the detections of one picture to `found`.
    ///
    /// `raw` is one (C, H, W) feature map of `shape`, `input` the network's input as (width, height) in
    /// pixels. The score is objectness times class probability; every class of a box whose score is above
    /// `threshold` (0 to 1) gives a detection of its own, as in Darknet. Boxes are clipped to the picture, as
    /// annotations are; what lies outside as a whole and values that are not finite give no detection.
    ///
    /// # Errors
    /// [`DecodeError`] when `raw` or `shape` do not fit the head.
    pub fn decode(
        &self,
        raw: &[f32],
        shape: Shape,
        input: (usize, usize),
        threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        if shape.c != self.channels() {
            let (anchors, classes) = (self.anchors.len(), self.classes);
            return Err(DecodeError::Channels { anchors, classes, wanted: self.channels(), got: shape.c });
        }
        if raw.len() != shape.len() {
            return Err(DecodeError::Values { shape, got: raw.len() });
        }
        let cells = shape.h * shape.w;
        if cells == 0 {
            return Ok(());
        }
        // Neither factor of a score can be below the score: most cells fall at one comparison.
        let least_logit = logit(threshold);
        for (anchor, channels) in
            self.anchors.iter().zip(raw.chunks_exact((BOX_CHANNELS + self.classes) * cells))
        {
            let objectness = &channels[4 * cells..5 * cells];
            for (cell, &logit) in objectness.iter().enumerate() {
                if logit > least_logit {
                    let values = Cell { channels, cells, cell, shape, objectness: sigmoid(logit) };
                    self.decode_cell(&values, *anchor, input, (threshold, least_logit), found);
                }
            }
        }
        Ok(())
    }

    fn decode_cell(
        &self,
        at: &Cell<'_>,
        anchor: (f32, f32),
        input: (usize, usize),
        (threshold, least_logit): (f32, f32),
        found: &mut Vec<Detection>,
    ) {
        let mut bbox = None;
        for class in 0..self.classes {
            let logit = at.value(BOX_CHANNELS + class);
            if logit <= least_logit {
                continue;
            }
            let score = at.objectness * sigmoid(logit);
            if score > threshold {
                let bbox = *bbox.get_or_insert_with(|| self.bbox(at, anchor, input));
                if bbox.area() > 0.0 {
                    // A class number is below 65536 wherever class names come from.
                    found.push(Detection { class: class as u16, score, bbox });
                }
            }
        }
    }

    /// The part inside the picture; empty when a value is not finite.
    fn bbox(&self, at: &Cell<'_>, anchor: (f32, f32), input: (usize, usize)) -> BBox {
        let Shape { h, w, .. } = at.shape;
        let middle = |value: f32, cell: usize, cells: usize| {
            let offset = sigmoid(value) * self.scale_x_y - 0.5 * (self.scale_x_y - 1.0);
            (offset + cell as f32) / cells as f32
        };
        let x = middle(at.value(0), at.cell % w, w);
        let y = middle(at.value(1), at.cell / w, h);
        let width = at.value(2).exp() * anchor.0 / input.0 as f32;
        let height = at.value(3).exp() * anchor.1 / input.1 as f32;
        let whole = BBox::from_middle(x, y, width, height);
        let finite = [whole.x0, whole.y0, whole.x1, whole.y1].iter().all(|v| v.is_finite());
        if finite { whole.clipped() } else { BBox { x0: 0.0, y0: 0.0, x1: 0.0, y1: 0.0 } }
    }
}

/// One cell of one anchor.
struct Cell<'a> {
    /// The anchor's channels.
    channels: &'a [f32],
    cells: usize,
    cell: usize,
    shape: Shape,
    objectness: f32,
}

impl Cell<'_> {
    fn value(&self, channel: usize) -> f32 {
        self.channels[channel * self.cells + self.cell]
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The value whose sigmoid is `p`, a little lower so that rounding excludes nothing.
fn logit(p: f32) -> f32 {
    if p <= 0.0 { f32::NEG_INFINITY } else { (p / (1.0 - p).max(f32::MIN_POSITIVE)).ln() - 1e-4 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> YoloHead {
        YoloHead { anchors: vec![(32.0, 64.0)], classes: 2, scale_x_y: 1.0 }
    }

    /// A 2x2 head in which nothing is seen but in cell (column 1, row 0).
    fn raw(values: [f32; 7]) -> Vec<f32> {
        let cell = |v: f32| [-9.0, v, -9.0, -9.0];
        values.into_iter().flat_map(cell).collect()
    }

    fn decode(head: &YoloHead, raw: &[f32], threshold: f32) -> Vec<Detection> {
        let mut found = Vec::new();
        head.decode(raw, Shape::new(7, 2, 2), (320, 320), threshold, &mut found).unwrap();
        found
    }

    #[test]
    fn box_and_score_by_hand() {
        let found = decode(&head(), &raw([0.0, 0.0, 0.0, 2f32.ln(), 0.0, 3f32.ln(), -9.0]), 0.2);
        // Objectness 0.5, class 0.75; middle of the cell right of the top left; 32 x 128 pixels of 320.
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].class, 0);
        assert!((found[0].score - 0.375).abs() < 1e-6);
        let BBox { x0, y0, x1, y1 } = found[0].bbox;
        for (got, wanted) in [(x0, 0.70), (y0, 0.05), (x1, 0.80), (y1, 0.45)] {
            assert!((got - wanted).abs() < 1e-6, "{got} {wanted}");
        }
    }

    #[test]
    fn scale_x_y_moves_the_middle_past_its_cell() {
        let head = YoloHead { scale_x_y: 1.1, ..head() };
        let found = decode(&head, &raw([-20.0, 20.0, 0.0, 0.0, 9.0, 9.0, -9.0]), 0.5);
        let middle = |a: f32, b: f32| (a + b) / 2.0;
        assert!((middle(found[0].bbox.x0, found[0].bbox.x1) - 0.95 / 2.0).abs() < 1e-5);
        assert!((middle(found[0].bbox.y0, found[0].bbox.y1) - 1.05 / 2.0).abs() < 1e-5);
    }

    #[test]
    fn boxes_are_clipped_to_the_picture() {
        // Ten times the anchor: 320 x 640 pixels about the middle of a cell.
        let found = decode(&head(), &raw([0.0, 0.0, 10f32.ln(), 10f32.ln(), 9.0, 9.0, -9.0]), 0.5);
        let BBox { x0, y0, x1, y1 } = found[0].bbox;
        assert!((x0 - 0.25).abs() < 1e-6);
        assert_eq!((y0, x1, y1), (0.0, 1.0, 1.0));
    }

    #[test]
    fn every_class_above_the_threshold_is_a_detection() {
        assert_eq!(decode(&head(), &raw([0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 1.0]), 0.4).len(), 2);
    }

    #[test]
    fn values_that_are_not_finite_give_nothing() {
        for bad in [f32::NAN, f32::INFINITY] {
            for channel in [0, 1, 2, 3] {
                let mut values = [0.0, 0.0, 0.0, 0.0, 9.0, 9.0, -9.0];
                values[channel] = bad;
                let found = decode(&head(), &raw(values), 0.1);
                // The logistic of infinity is 1: a middle on the edge of its cell, and a fine box.
                assert!(found.is_empty() || (channel < 2 && bad.is_infinite()), "{channel} {bad}");
            }
        }
        assert!(decode(&head(), &raw([f32::NAN; 7]), 0.0).iter().all(|d| d.score.is_finite()));
    }

    #[test]
    fn what_does_not_fit_the_head_is_refused() {
        let mut found = Vec::new();
        let refuse = head().decode(&[0.0; 32], Shape::new(8, 2, 2), (320, 320), 0.1, &mut found);
        assert!(matches!(refuse, Err(DecodeError::Channels { wanted: 7, got: 8, .. })));
        let refuse = head().decode(&[0.0; 27], Shape::new(7, 2, 2), (320, 320), 0.1, &mut found);
        assert!(matches!(refuse, Err(DecodeError::Values { got: 27, .. })));
        assert!(found.is_empty());
    }

    proptest! {
        #[test]
        fn the_fast_path_finds_what_scoring_every_cell_finds(
            raw in prop::collection::vec(-6.0f32..6.0, 28),
            threshold in 0.001f32..0.9,
        ) {
            let fast = decode(&head(), &raw, threshold);
            let slow = (0..4).flat_map(|cell| (0..2).map(move |class| (cell, class)));
            let slow = slow.filter(|&(cell, class)| {
                sigmoid(raw[4 * 4 + cell]) * sigmoid(raw[(5 + class) * 4 + cell]) > threshold
            });
            prop_assert_eq!(fast.len(), slow.count());
        }
    }
}

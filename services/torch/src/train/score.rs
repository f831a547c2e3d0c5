//! How well a network in training finds what is there, by the scorer that everything else uses.

use autotiler_core::{
    GroundTruth, Shape,
    average_precision::{Score, Scorer},
    nms,
    yolo::{DecodeError, YoloHead},
};

use super::yolo::HeadLayout;

/// Scores up to this are no detections: the cut of the standard average precision.
pub const SCORE_THRESHOLD: f32 = 0.005;
/// Of two detections of one class that overlap by more than this, the weaker goes.
pub const NMS_IOU: f32 = 0.45;

/// Gathers what a detector found.
#[derive(Debug)]
pub struct DetectorScorer {
    heads: Vec<(YoloHead, Shape)>,
    scorer: Scorer,
}

impl DetectorScorer {
    /// A scorer that has seen nothing.
    pub fn new(heads: &[HeadLayout], classes: usize) -> Self {
        let heads = heads.iter().map(|layout| {
            let anchors = layout.anchors.iter().map(|[w, h]| (*w, *h)).collect();
            let head = YoloHead { anchors, classes, scale_x_y: 1.0 };
            let shape = Shape::new(head.channels(), layout.rows, layout.cols);
            (head, shape)
        });
        Self { heads: heads.collect(), scorer: Scorer::new(classes) }
    }

    /// Adds one picture: its raw heads, (C, H, W) each, and what is in it.
    ///
    /// # Errors
    /// [`DecodeError`] when heads and layout do not fit.
    pub fn add(&mut self, raw: &[&[f32]], truth: &[GroundTruth]) -> Result<(), DecodeError> {
        let mut found = Vec::new();
        for ((head, shape), raw) in self.heads.iter().zip(raw) {
            // Anchors are shares of the picture, so the picture is of one pixel.
            head.decode(raw, *shape, (1, 1), SCORE_THRESHOLD, &mut found)?;
        }
        self.scorer.add(&nms::suppress(found, NMS_IOU), truth);
        Ok(())
    }

    /// The score of all pictures.
    pub fn score(&self) -> Score {
        self.scorer.score()
    }
}

//! Raw heads to boxes.

use autotiler_core::{Detection, Shape, nms, yolo::YoloHead};
use autotiler_graph::darknet::Network;

use crate::{error::PipelineError, server::RawHeads};

/// Which boxes are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxOptions {
    /// Boxes scoring at most this are dropped.
    pub score_threshold: f32,
    /// Of two boxes of one class that overlap more than this the weaker is dropped.
    pub nms_iou: f32,
    /// The best so many are kept.
    pub max_detections: usize,
}

impl Default for BoxOptions {
    /// For scoring: all that can count. Services cut higher.
    fn default() -> Self {
        Self { score_threshold: 0.005, nms_iou: nms::DEFAULT_IOU, max_detections: usize::from(u16::MAX) }
    }
}

/// Reads the heads of one network.
#[derive(Debug, Clone)]
pub struct BoxFinder {
    heads: Vec<(YoloHead, Shape)>,
    input: (usize, usize),
    options: BoxOptions,
}

impl BoxFinder {
    /// A finder for the heads of `network`.
    pub fn new(network: &Network, options: BoxOptions) -> Self {
        let heads = network.heads.iter().map(|head| {
            let own = head.mask.iter().filter_map(|&at| head.anchors.get(at));
            let anchors = own.map(|anchor| (anchor.w, anchor.h)).collect();
            (YoloHead { anchors, classes: head.classes, scale_x_y: head.scale_x_y }, head.shape)
        });
        Self { heads: heads.collect(), input: (network.input.w, network.input.h), options }
    }

    /// The boxes of one picture, best first.
    ///
    /// # Errors
    /// [`PipelineError::Output`] when the heads are not those of the network.
    pub fn find(&self, heads: &RawHeads) -> Result<Vec<Detection>, PipelineError> {
        if heads.0.len() != self.heads.len() {
            let (got, expected) = (heads.0.len(), self.heads.len());
            return Err(PipelineError::Output(format!("{got} heads, the network has {expected}")));
        }
        let mut found = Vec::new();
        for ((head, shape), raw) in self.heads.iter().zip(&heads.0) {
            head.decode(raw, *shape, self.input, self.options.score_threshold, &mut found)?;
        }
        let mut kept = nms::suppress(found, self.options.nms_iou);
        kept.truncate(self.options.max_detections);
        Ok(kept)
    }
}

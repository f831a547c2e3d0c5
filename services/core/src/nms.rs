//! Non-maximum suppression: of boxes of one class that lie on each other, the surest stays.

use crate::boxes::Detection;

/// Overlap above which the less sure of two boxes goes, as the field uses it for YOLO.
pub const DEFAULT_IOU: f32 = 0.45;

/// Greedy suppression within each class. Returns what stays, the surest first.
///
/// A box goes when its IoU with a surer one that stays is above `iou`. Of equal scores, the one given
/// first counts as surer. Detections whose score is no number are dropped.
pub fn suppress(mut detections: Vec<Detection>, iou: f32) -> Vec<Detection> {
    detections.retain(|d| !d.score.is_nan());
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::with_capacity(detections.len().min(64));
    for found in detections {
        let hidden = kept.iter().any(|k| k.class == found.class && k.bbox.iou(&found.bbox) > iou);
        if !hidden {
            kept.push(found);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::boxes::BBox;

    fn at(class: u16, score: f32, x0: f32) -> Detection {
        Detection { class, score, bbox: BBox { x0, y0: 0.0, x1: x0 + 0.2, y1: 0.2 } }
    }

    #[test]
    fn the_surest_of_a_heap_stays_and_other_classes_are_untouched() {
        let kept = suppress(vec![at(0, 0.5, 0.01), at(0, 0.9, 0.0), at(1, 0.3, 0.0), at(0, 0.2, 0.7)], 0.45);
        assert_eq!(kept, [at(0, 0.9, 0.0), at(1, 0.3, 0.0), at(0, 0.2, 0.7)]);
    }

    #[test]
    fn what_is_suppressed_suppresses_nothing() {
        // Neighbours overlap by a half (IoU 1/3), the outer two do not touch.
        let kept = suppress(vec![at(0, 0.9, 0.0), at(0, 0.8, 0.1), at(0, 0.7, 0.2)], 0.3);
        assert_eq!(kept, [at(0, 0.9, 0.0), at(0, 0.7, 0.2)]);
    }

    #[test]
    fn a_score_that_is_no_number_is_dropped() {
        assert!(suppress(vec![at(0, f32::NAN, 0.0)], 0.45).is_empty());
    }

    proptest! {
        #[test]
        fn a_second_pass_changes_nothing(
            found in prop::collection::vec((0u16..3, 0.0f32..1.0, 0.0f32..1.0), 0..40),
        ) {
            let found = found.into_iter().map(|(class, score, x)| at(class, score, x)).collect();
            let once = suppress(found, DEFAULT_IOU);
            prop_assert_eq!(suppress(once.clone(), DEFAULT_IOU), once);
        }
    }
}

//! Average precision: how well detections match the truth over a set of pictures.
//!
//! A detection is right when its IoU with an unclaimed object of its class is at least 0.5; the surest
//! detection of a picture claims first, and each looks only at the object that it overlaps most. AP is the
//! area under the precision envelope at all points of recall (PASCAL VOC since 2010). Difficult objects
//! count neither for nor against.

use crate::boxes::{Detection, GroundTruth};

/// Least overlap of a right detection.
pub const LEAST_IOU: f32 = 0.5;

/// Collects pictures, then says the score.
#[derive(Debug, Clone)]
pub struct Scorer {
    classes: Vec<ClassRecord>,
    pictures: usize,
}

/// What is known of one class.
#[derive(Debug, Clone, Default)]
struct ClassRecord {
    /// Objects to be found.
    objects: usize,
    /// Score of each detection, and whether it was right.
    found: Vec<(f32, bool)>,
}

/// The score of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Mean of the average precisions of the classes that occur in the truth; 0 when none does.
    pub map50: f64,
    /// Average precision of each class; `None` for one that does not occur in the truth.
    pub per_class: Vec<Option<f64>>,
    /// Pictures scored.
    pub pictures: usize,
    /// Objects to be found in them.
    pub objects: usize,
}

impl Scorer {
    /// A scorer that has seen no picture of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![ClassRecord::default(); classes], pictures: 0 }
    }

    /// Takes one picture. Boxes of classes out of range are ignored.
    pub fn add(&mut self, detections: &[Detection], truth: &[GroundTruth]) {
        self.pictures += 1;
        for object in truth.iter().filter(|object| !object.difficult) {
            if let Some(class) = self.classes.get_mut(usize::from(object.class)) {
                class.objects += 1;
            }
        }
        let mut surest_first: Vec<&Detection> = detections.iter().collect();
        surest_first.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut claimed = vec![false; truth.len()];
        for found in surest_first {
            let Some(class) = self.classes.get_mut(usize::from(found.class)) else { continue };
            let best = truth
                .iter()
                .zip(&mut claimed)
                .filter(|(object, _)| object.class == found.class)
                .map(|(object, claimed)| (found.bbox.iou(&object.bbox), object, claimed))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match best {
                Some((iou, object, _)) if iou >= LEAST_IOU && object.difficult => {}
                Some((iou, _, claimed)) if iou >= LEAST_IOU && !*claimed => {
                    *claimed = true;
                    class.found.push((found.score, true));
                }
                _ => class.found.push((found.score, false)),
            }
        }
    }

    /// The score of all pictures so far.
    pub fn score(&self) -> Score {
        let per_class: Vec<Option<f64>> = self.classes.iter().map(ClassRecord::average_precision).collect();
        let present: Vec<f64> = per_class.iter().flatten().copied().collect();
        let map50 = if present.is_empty() { 0.0 } else { present.iter().sum::<f64>() / present.len() as f64 };
        let objects = self.classes.iter().map(|class| class.objects).sum();
        Score { map50, per_class, pictures: self.pictures, objects }
    }
}

impl ClassRecord {
    fn average_precision(&self) -> Option<f64> {
        if self.objects == 0 {
            return None;
        }
        let mut found = self.found.clone();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut right = 0;
        let precision: Vec<(f64, bool)> = (1..)
            .zip(found)
            .map(|(count, (_, is_right))| {
                right += usize::from(is_right);
                (right as f64 / f64::from(count), is_right)
            })
            .collect();
        // Recall grows by one object at each right detection; the envelope there is the best precision
        // from there on.
        let (_, area) =
            precision.iter().rev().fold((0.0_f64, 0.0), |(best, area), &(precision, is_right)| {
                let best = best.max(precision);
                (best, area + if is_right { best } else { 0.0 })
            });
        Some(area / self.objects as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::BBox;

    /// A box in column `place`, shifted by `shift` of its width.
    fn place(place: u8, shift: f32) -> BBox {
        let x0 = f32::from(place) * 0.1 + shift * 0.05;
        BBox { x0, y0: 0.0, x1: x0 + 0.05, y1: 0.05 }
    }

    fn object(class: u16, at: u8) -> GroundTruth {
        GroundTruth { class, bbox: place(at, 0.0), difficult: false }
    }

    fn found(class: u16, score: f32, at: u8, shift: f32) -> Detection {
        Detection { class, score, bbox: place(at, shift) }
    }

    fn map50(detections: &[Detection], truth: &[GroundTruth]) -> f64 {
        let mut scorer = Scorer::new(2);
        scorer.add(detections, truth);
        scorer.score().map50
    }

    #[track_caller]
    fn assert_near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-9, "{got} is not {wanted}");
    }

    #[test]
    fn all_found_is_one_and_nothing_found_is_zero() {
        let truth = [object(0, 0), object(1, 1)];
        assert_near(map50(&[found(0, 0.9, 0, 0.0), found(1, 0.2, 1, 0.1)], &truth), 1.0);
        assert_near(map50(&[], &truth), 0.0);
        assert_near(map50(&[], &[]), 0.0);
    }

    #[test]
    fn area_under_the_envelope_by_hand() {
        // Right, wrong, right, of three objects: precisions 1, 1/2, 2/3; envelope 1 then 2/3.
        let truth = [object(0, 0), object(0, 1), object(0, 2)];
        let detections = [found(0, 0.9, 0, 0.0), found(0, 0.8, 5, 0.0), found(0, 0.7, 1, 0.0)];
        assert_near(map50(&detections, &truth), (1.0 + 2.0 / 3.0) / 3.0);
        // Wrong, right, right, of two: precisions 0, 1/2, 2/3; the envelope lifts 1/2 to 2/3.
        let truth = [object(0, 0), object(0, 1)];
        let detections = [found(0, 0.9, 5, 0.0), found(0, 0.8, 0, 0.0), found(0, 0.7, 1, 0.0)];
        assert_near(map50(&detections, &truth), 2.0 / 3.0);
    }

    #[test]
    fn a_second_hit_on_the_same_object_is_wrong() {
        let truth = [object(0, 0), object(0, 1)];
        let detections = [found(0, 0.9, 0, 0.0), found(0, 0.8, 0, 0.05), found(0, 0.7, 1, 0.0)];
        assert_near(map50(&detections, &truth), (1.0 + 2.0 / 3.0) / 2.0);
    }

    #[test]
    fn overlap_below_a_half_is_wrong() {
        let truth = [object(0, 0)];
        // Shifted by 0.3 of the width: IoU 0.7 / 1.3 = 0.54; by 0.4: 0.6 / 1.4 = 0.43.
        assert_near(map50(&[found(0, 0.9, 0, 0.3)], &truth), 1.0);
        assert_near(map50(&[found(0, 0.9, 0, 0.4)], &truth), 0.0);
    }

    #[test]
    fn difficult_objects_count_neither_way() {
        let truth = [object(0, 0), GroundTruth { difficult: true, ..object(0, 1) }];
        assert_near(map50(&[found(0, 0.9, 1, 0.0), found(0, 0.8, 0, 0.0)], &truth), 1.0);
        assert_near(map50(&[found(0, 0.8, 0, 0.0)], &truth), 1.0);
    }

    #[test]
    fn the_mean_is_over_classes_in_the_truth() {
        let mut scorer = Scorer::new(3);
        scorer.add(&[found(0, 0.9, 0, 0.0), found(2, 0.9, 4, 0.0)], &[object(0, 0), object(1, 1)]);
        scorer.add(&[found(7, 0.9, 0, 0.0)], &[]);
        let score = scorer.score();
        assert_eq!(score.per_class, [Some(1.0), Some(0.0), None]);
        assert_eq!((score.map50, score.pictures, score.objects), (0.5, 2, 2));
    }

    #[test]
    fn scores_are_ranked_over_all_pictures() {
        let mut scorer = Scorer::new(1);
        scorer.add(&[found(0, 0.3, 0, 0.0)], &[object(0, 0)]);
        scorer.add(&[found(0, 0.6, 3, 0.0)], &[]);
        // The surer detection is wrong: precision 1/2 at full recall.
        assert_near(scorer.score().map50, 0.5);
    }
}

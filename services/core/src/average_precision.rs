//! Average precision: how well detections match the truth over a set of pictures.
//!
//! A detection is right when its IoU with an unclaimed object of its class is at least 0.5; the surest
//! detection of a picture claims first, and each looks only at the object that it overlaps most. AP is the
//! area under the precision envelope at all points of recall (PASCAL VOC since 2010). Difficult objects
//! count neither for nor against.
//!
//! Matching is apart from scoring: [`match_picture`] says once what of a picture was right, and [`Ranking`]
//! scores that as often as wanted: cut at another score, or with pictures drawn more than once. A cut
//! afterwards is a cut before: suppression and matching let a box be decided by surer ones alone, so what is
//! below a cut never touches what is above.
//!
//! Two metrics are in use, both with suppression at IoU [`crate::nms::DEFAULT_IOU`]:
//!
//! | | cut at |
//! | --- | --- |
//! | all-point AP | [`UNCUT`] (of what a detector's own threshold, 0.005, left) |
//! | the paper's | [`PAPER_LEAST_SCORE`] |

mod matching;
mod ranking;

pub use matching::{Hit, LEAST_IOU, Matched, match_picture};
pub use ranking::{Ranking, Score};

use crate::boxes::{Detection, GroundTruth};

/// Keeps every detection.
pub const UNCUT: f32 = f32::NEG_INFINITY;
/// The paper's metric drops detections that score at most this, which cuts the precision-recall curve short: the
/// `obj_thresh` of the evaluator it was measured with (`experiencor/keras-yolo3`, `evaluate.py`), whose suppression
/// is at IoU 0.45 and whose AP is the same all-point one.
pub const PAPER_LEAST_SCORE: f32 = 0.5;

/// Collects pictures, then says the score: the simple way, for a set that is scored once.
#[derive(Debug, Clone)]
pub struct Scorer {
    classes: usize,
    pictures: Vec<Matched>,
}

impl Scorer {
    /// A scorer that has seen no picture of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, pictures: Vec::new() }
    }

    /// Takes one picture. Boxes of classes out of range are ignored.
    pub fn add(&mut self, detections: &[Detection], truth: &[GroundTruth]) {
        self.pictures.push(match_picture(detections, truth));
    }

    /// The score of all pictures so far.
    pub fn score(&self) -> Score {
        score(self.pictures.iter().map(|picture| (picture, 1)), self.classes, UNCUT)
    }

    /// The paper's metric of all pictures so far, see [`PAPER_LEAST_SCORE`].
    pub fn paper_score(&self) -> Score {
        score(self.pictures.iter().map(|picture| (picture, 1)), self.classes, PAPER_LEAST_SCORE)
    }
}

/// The score of pictures that each count as often as their weight says, without the detections that score at
/// most `least_score`. For many scores of the same pictures take a [`Ranking`].
pub fn score<'a>(
    pictures: impl IntoIterator<Item = (&'a Matched, u32)>,
    classes: usize,
    least_score: f32,
) -> Score {
    let (pictures, weights): (Vec<&Matched>, Vec<u32>) = pictures.into_iter().unzip();
    Ranking::new(pictures, classes).score(&weights, least_score)
}

#[cfg(test)]
mod tests;

//! Which detections of one picture are right.

use serde::{Deserialize, Serialize};

use crate::boxes::{Detection, GroundTruth};

/// Least overlap of a right detection.
pub const LEAST_IOU: f32 = 0.5;

/// A detection held to the truth. Travels as `[class, score, right]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u16, f32, bool)", into = "(u16, f32, bool)")]
pub struct Hit {
    /// Index into the class names.
    pub class: u16,
    /// Objectness times class probability, 0 to 1.
    pub score: f32,
    /// Whether it is the first to find an object of its class.
    pub right: bool,
}

/// What scoring needs of one picture.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Matched {
    /// The surest first. Detections of difficult objects are not among them.
    pub hits: Vec<Hit>,
    /// Class and number of the objects to be found, in order of classes. Difficult ones do not count.
    pub objects: Vec<(u16, u32)>,
}

impl From<(u16, f32, bool)> for Hit {
    fn from((class, score, right): (u16, f32, bool)) -> Self {
        Self { class, score, right }
    }
}

impl From<Hit> for (u16, f32, bool) {
    fn from(hit: Hit) -> Self {
        (hit.class, hit.score, hit.right)
    }
}

/// Holds the detections of one picture to its truth. Of equal scores, the one given first counts as surer;
/// detections whose score is not finite are dropped.
pub fn match_picture(detections: &[Detection], truth: &[GroundTruth]) -> Matched {
    let mut surest_first: Vec<&Detection> = detections.iter().filter(|d| d.score.is_finite()).collect();
    surest_first.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut claimed = vec![false; truth.len()];
    let hits = surest_first.into_iter().filter_map(|found| {
        let right = is_right(found, truth, &mut claimed)?;
        Some(Hit { class: found.class, score: found.score, right })
    });
    Matched { hits: hits.collect(), objects: count(truth) }
}

/// Whether a detection finds an object, which it then claims; none when it finds a difficult one.
fn is_right(found: &Detection, truth: &[GroundTruth], claimed: &mut [bool]) -> Option<bool> {
    let best = truth
        .iter()
        .zip(claimed)
        .filter(|(object, _)| object.class == found.class)
        .map(|(object, claimed)| (found.bbox.iou(&object.bbox), object, claimed))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((iou, object, _)) if iou >= LEAST_IOU && object.difficult => None,
        Some((iou, _, claimed)) if iou >= LEAST_IOU => Some(!std::mem::replace(claimed, true)),
        _ => Some(false),
    }
}

fn count(truth: &[GroundTruth]) -> Vec<(u16, u32)> {
    let mut classes: Vec<u16> = truth.iter().filter(|o| !o.difficult).map(|o| o.class).collect();
    classes.sort_unstable();
    classes.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u32))).collect()
}

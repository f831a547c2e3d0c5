//! How well a network in training finds what is there.

use autotiler_core::{BBox, Detection};

use super::yolo::HeadLayout;

/// Scores below this are no detections.
pub const SCORE_THRESHOLD: f32 = 0.005;
/// Of two detections of one class that overlap by more than this, the weaker goes.
pub const NMS_IOU: f32 = 0.45;
/// Overlap from which a detection counts as found.
pub const MATCH_IOU: f32 = 0.5;

/// Detections of one picture, strongest first. `raw` is `[predictions, 5 + classes]`.
pub fn detections(raw: &[f32], heads: &[HeadLayout], classes: usize) -> Vec<Detection> {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let mut rows = raw.chunks_exact(5 + classes);
    let mut found = Vec::new();
    for head in heads {
        for anchor in &head.anchors {
            for cell in 0..head.rows * head.cols {
                let Some(&[x, y, w, h, objectness, ref scores @ ..]) = rows.next() else { return found };
                let objectness = sigmoid(objectness);
                if objectness < SCORE_THRESHOLD {
                    continue;
                }
                let x = ((cell % head.cols) as f32 + sigmoid(x)) / head.cols as f32;
                let y = ((cell / head.cols) as f32 + sigmoid(y)) / head.rows as f32;
                let (w, h) = (w.exp() * anchor[0] * 0.5, h.exp() * anchor[1] * 0.5);
                let bbox = BBox { x0: x - w, y0: y - h, x1: x + w, y1: y + h };
                let scored = scores.iter().enumerate().map(|(class, &s)| (class, objectness * sigmoid(s)));
                found.extend(
                    scored.filter(|(_, score)| *score >= SCORE_THRESHOLD).map(|(class, score)| Detection {
                        class: class as u16,
                        score,
                        bbox,
                    }),
                );
            }
        }
    }
    suppress(found)
}

fn suppress(mut found: Vec<Detection>) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in found {
        let beaten =
            kept.iter().any(|k| k.class == candidate.class && iou(&k.bbox, &candidate.bbox) > NMS_IOU);
        if !beaten {
            kept.push(candidate);
        }
    }
    kept
}

/// Mean over the classes present of the area under the precision-recall curve, all points.
pub fn mean_average_precision(
    found: &[Vec<Detection>],
    truth: &[Vec<(u16, BBox)>],
    classes: usize,
) -> (f64, Vec<Option<f64>>) {
    let per_class: Vec<Option<f64>> =
        (0..classes).map(|class| average_precision(found, truth, class as u16)).collect();
    let present: Vec<f64> = per_class.iter().copied().flatten().collect();
    let mean = if present.is_empty() { 0.0 } else { present.iter().sum::<f64>() / present.len() as f64 };
    (mean, per_class)
}

fn average_precision(found: &[Vec<Detection>], truth: &[Vec<(u16, BBox)>], class: u16) -> Option<f64> {
    let objects = truth.iter().flatten().filter(|(c, _)| *c == class).count();
    if objects == 0 {
        return None;
    }
    let mut ranked: Vec<(usize, &Detection)> = found
        .iter()
        .enumerate()
        .flat_map(|(picture, list)| list.iter().map(move |d| (picture, d)))
        .filter(|(_, d)| d.class == class)
        .collect();
    ranked.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
    let mut taken: Vec<Vec<bool>> = truth.iter().map(|list| vec![false; list.len()]).collect();
    let (mut hits, mut points) = (0usize, Vec::with_capacity(ranked.len()));
    for (rank, (picture, detection)) in ranked.into_iter().enumerate() {
        let best = truth[picture]
            .iter()
            .enumerate()
            .filter(|(_, (c, _))| *c == class)
            .map(|(index, (_, bbox))| (index, iou(bbox, &detection.bbox)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, overlap)) = best
            && overlap >= MATCH_IOU
            && !taken[picture][index]
        {
            taken[picture][index] = true;
            hits += 1;
        }
        points.push((hits as f64 / objects as f64, hits as f64 / (rank + 1) as f64));
    }
    let (mut area, mut precision, mut right) = (0.0, 0.0f64, points.last().map_or(0.0, |p| p.0));
    for &(recall, here) in points.iter().rev() {
        area += (right - recall) * precision;
        precision = precision.max(here);
        right = recall;
    }
    Some(area + right * precision)
}

pub(super) fn iou(a: &BBox, b: &BBox) -> f32 {
    let w = a.x1.min(b.x1) - a.x0.max(b.x0);
    let h = a.y1.min(b.y1) - a.y0.max(b.y0);
    if w <= 0.0 || h <= 0.0 {
        return 0.0;
    }
    let area = |r: &BBox| (r.x1 - r.x0) * (r.y1 - r.y0);
    w * h / (area(a) + area(b) - w * h)
}

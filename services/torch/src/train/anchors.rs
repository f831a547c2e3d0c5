//! Prior boxes fitted to the objects that a detector will see.

use autotiler_core::BBox;
use autotiler_graph::darknet::Anchor;

/// Rounds of moving centres; they stand still long before.
const ROUNDS: usize = 60;

/// Nine anchors, small to large, in pixels of a picture of `side`, for boxes like these: k-means by overlap
/// of shapes (YOLO9000, <https://arxiv.org/abs/1612.08242>, section 2), begun at quantiles of the size.
/// `None` with fewer than nine boxes.
pub fn fit(boxes: &[BBox], side: usize) -> Option<[Anchor; 9]> {
    let side = side as f32;
    let mut shapes: Vec<[f32; 2]> =
        boxes.iter().map(|b| [(b.x1 - b.x0) * side, (b.y1 - b.y0) * side]).collect();
    shapes.retain(|[w, h]| *w > 0.0 && *h > 0.0);
    let area = |s: &[f32; 2]| s[0] * s[1];
    shapes.sort_by(|a, b| area(a).total_cmp(&area(b)));
    let mut centres: Vec<[f32; 2]> =
        (0..9).map(|k| shapes.get((2 * k + 1) * shapes.len() / 18).copied()).collect::<Option<_>>()?;
    for _ in 0..ROUNDS {
        let mut sums = [[0f32; 3]; 9];
        for shape in &shapes {
            let best =
                (0..9).max_by(|&a, &b| overlap(shape, &centres[a]).total_cmp(&overlap(shape, &centres[b])));
            let sum = &mut sums[best.unwrap_or(0)];
            *sum = [sum[0] + shape[0], sum[1] + shape[1], sum[2] + 1.0];
        }
        for (centre, sum) in centres.iter_mut().zip(sums) {
            if sum[2] > 0.0 {
                *centre = [sum[0] / sum[2], sum[1] / sum[2]];
            }
        }
    }
    centres.sort_by(|a, b| area(a).total_cmp(&area(b)));
    let tenth = |x: f32| ((x * 10.0).round() / 10.0).max(1.0);
    let anchors: Vec<Anchor> = centres.iter().map(|[w, h]| Anchor { w: tenth(*w), h: tenth(*h) }).collect();
    anchors.try_into().ok()
}

fn overlap(a: &[f32; 2], b: &[f32; 2]) -> f32 {
    let shared = a[0].min(b[0]) * a[1].min(b[1]);
    shared / (a[0] * a[1] + b[0] * b[1] - shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(w: f32, h: f32) -> BBox {
        BBox { x0: 0.0, y0: 0.0, x1: w, y1: h }
    }

    #[test]
    fn anchors_are_the_shapes_where_there_are_nine() {
        let sizes: Vec<(f32, f32)> = (1..=9).map(|k| (k as f32 * 0.1, k as f32 * 0.05)).collect();
        let boxes: Vec<BBox> = sizes.iter().flat_map(|&(w, h)| [sized(w, h); 5]).collect();
        let anchors = fit(&boxes, 100).unwrap();
        for (anchor, (w, h)) in anchors.iter().zip(&sizes) {
            assert!((anchor.w - w * 100.0).abs() < 0.11 && (anchor.h - h * 100.0).abs() < 0.11, "{anchor:?}");
        }
    }

    #[test]
    fn too_few_boxes_have_no_anchors() {
        assert_eq!(fit(&[], 100), None);
    }
}

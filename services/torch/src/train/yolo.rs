//! What a YOLO network should have said, and how far off it is.

use std::collections::BTreeMap;

use autotiler_core::{BBox, GroundTruth};
use tch::{Kind, Reduction, TchError, Tensor};

/// Predictions whose box overlaps a true one by more than this are not asked to be empty.
const IGNORE_IOU: f32 = 0.6;
/// Anchors whose shape overlaps a true box by more than this learn it too, beside the best one.
const SHARED_ANCHOR_IOU: f32 = 0.5;
/// Weight of the boxes' overlap in the loss.
const BOX_WEIGHT: f64 = 5.0;
/// Largest exponent of a width or height: keeps untrained networks finite.
const LONGEST_EXPONENT: f32 = 6.0;

/// One output of a YOLO network.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadLayout {
    /// Widths and heights, in shares of the picture.
    pub anchors: Vec<[f32; 2]>,
    /// Rows of cells.
    pub rows: usize,
    /// Columns of cells.
    pub cols: usize,
}

/// What each prediction of a batch should have been.
#[derive(Debug, Clone, PartialEq, Default)]
struct Targets {
    /// Objectness of each prediction.
    objectness: Vec<f32>,
    /// Whether it counts.
    counts: Vec<f32>,
    /// Predictions that have a box to learn.
    positive: Vec<i64>,
    /// Their cells' left and upper edges, in cells, and the numbers of cells: `[x, y, cols, rows]`.
    cells: Vec<f32>,
    /// Their anchors `[w, h]`.
    anchors: Vec<f32>,
    /// Their boxes `[x0, y0, x1, y1]`.
    boxes: Vec<f32>,
    /// One-hot classes.
    classes: Vec<f32>,
}

/// Parts of the loss, each per object.
#[derive(Debug)]
pub struct Loss {
    /// What is minimised.
    pub total: Tensor,
    /// Objectness, class and box, for the eye.
    pub parts: [Tensor; 3],
}

/// Predictions of all heads as `[n, predictions, 5 + classes]`, heads one after the other, each by anchor,
/// row, column.
///
/// # Errors
/// libtorch's, when outputs and heads do not fit.
pub fn flatten(outputs: &[Tensor], heads: &[HeadLayout], classes: usize) -> Result<Tensor, TchError> {
    let fields = 5 + classes as i64;
    let flat = outputs.iter().zip(heads).map(|(output, head)| {
        let (n, a) = (output.size()[0], head.anchors.len() as i64);
        let (h, w) = (head.rows as i64, head.cols as i64);
        let split = output.f_reshape([n, a, fields, h, w])?.f_permute([0, 1, 3, 4, 2])?;
        split.f_reshape([n, a * h * w, fields])
    });
    Tensor::f_cat(&flat.collect::<Result<Vec<_>, TchError>>()?, 1)
}

/// The loss of `outputs` against the true boxes of each picture.
///
/// # Errors
/// libtorch's.
pub fn loss(
    outputs: &[Tensor],
    heads: &[HeadLayout],
    classes: usize,
    truth: &[Vec<GroundTruth>],
) -> Result<Loss, TchError> {
    let flat = flatten(outputs, heads, classes)?;
    let device = flat.device();
    let targets = assign(&floats(&flat)?, heads, classes, truth);
    let fields = 5 + classes as i64;
    let all = flat.f_reshape([-1, fields])?;
    let objects = (targets.positive.len() as f64).max(1.0);
    let on = |values: &[f32], width: i64| {
        Tensor::f_from_slice(values)?.f_reshape([-1, width])?.f_to_device(device)
    };

    let objectness = all.f_narrow(1, 4, 1)?.f_binary_cross_entropy_with_logits(
        &on(&targets.objectness, 1)?,
        Some(on(&targets.counts, 1)?),
        None,
        Reduction::Sum,
    )?;
    let objectness = objectness.f_div_scalar(objects)?;
    let zero = Tensor::f_zeros([0; 0], (Kind::Float, device))?;
    let (class, boxes) = if targets.positive.is_empty() {
        (zero.shallow_clone(), zero)
    } else {
        let index = Tensor::f_from_slice(&targets.positive)?.f_to_device(device)?;
        let chosen = all.f_index_select(0, &index)?;
        let class = chosen.f_narrow(1, 5, classes as i64)?.f_binary_cross_entropy_with_logits::<Tensor>(
            &on(&targets.classes, classes as i64)?,
            None,
            None,
            Reduction::Sum,
        )?;
        let predicted = decode(&chosen, &on(&targets.cells, 4)?, &on(&targets.anchors, 2)?)?;
        let overlap = complete_iou(&predicted, &on(&targets.boxes, 4)?)?;
        let boxes = overlap.f_neg()?.f_add_scalar(1.0)?.f_sum(Kind::Float)?;
        (class.f_div_scalar(objects)?, boxes.f_mul_scalar(BOX_WEIGHT / objects)?)
    };
    let total = objectness.f_add(&class)?.f_add(&boxes)?;
    Ok(Loss { total, parts: [objectness.f_detach()?, class.f_detach()?, boxes.f_detach()?] })
}

/// Values of a tensor, row-major.
pub(super) fn floats(x: &Tensor) -> Result<Vec<f32>, TchError> {
    let x = x.f_detach()?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0f32; x.numel()];
    let len = values.len();
    x.f_copy_data(&mut values, len)?;
    Ok(values)
}

/// Corners `[x0, y0, x1, y1]` of raw predictions.
fn decode(raw: &Tensor, cells: &Tensor, anchors: &Tensor) -> Result<Tensor, TchError> {
    let centre = raw.f_narrow(1, 0, 2)?.f_sigmoid()?.f_add(&cells.f_narrow(1, 0, 2)?)?;
    let centre = centre.f_div(&cells.f_narrow(1, 2, 2)?)?;
    let half = raw.f_narrow(1, 2, 2)?.f_clamp_max(f64::from(LONGEST_EXPONENT))?.f_exp()?;
    let half = half.f_mul(anchors)?.f_mul_scalar(0.5)?;
    Tensor::f_cat(&[centre.f_sub(&half)?, centre.f_add(&half)?], 1)
}

/// Complete IoU (Zheng et al., 2020) of boxes `[m, 4]` row by row, `[m]`.
fn complete_iou(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    let low = |t: &Tensor| t.f_narrow(1, 0, 2);
    let high = |t: &Tensor| t.f_narrow(1, 2, 2);
    let (size_a, size_b) = (high(a)?.f_sub(&low(a)?)?, high(b)?.f_sub(&low(b)?)?);
    let shared = high(a)?.f_minimum(&high(b)?)?.f_sub(&low(a)?.f_maximum(&low(b)?)?)?.f_clamp_min(0.0)?;
    let area = |size: &Tensor| size.f_select(1, 0)?.f_mul(&size.f_select(1, 1)?);
    let shared = area(&shared)?;
    let union = area(&size_a)?.f_add(&area(&size_b)?)?.f_sub(&shared)?.f_add_scalar(1e-9)?;
    let iou = shared.f_div(&union)?;

    let hull = high(a)?.f_maximum(&high(b)?)?.f_sub(&low(a)?.f_minimum(&low(b)?)?)?;
    let squared = |t: &Tensor| t.f_square()?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    let between = low(a)?.f_add(&high(a)?)?.f_sub(&low(b)?)?.f_sub(&high(b)?)?.f_mul_scalar(0.5)?;
    let distance = squared(&between)?.f_div(&squared(&hull)?.f_add_scalar(1e-9)?)?;
    let angle =
        |size: &Tensor| size.f_select(1, 0)?.f_div(&size.f_select(1, 1)?.f_add_scalar(1e-9)?)?.f_atan();
    let shape = angle(&size_a)?.f_sub(&angle(&size_b)?)?.f_square()?;
    let shape = shape.f_mul_scalar(4.0 / (std::f64::consts::PI * std::f64::consts::PI))?;
    let weight = shape.f_div(&shape.f_sub(&iou)?.f_add_scalar(1.0 + 1e-9)?)?.f_detach()?;
    iou.f_sub(&distance)?.f_sub(&shape.f_mul(&weight)?)
}

/// Decides what each prediction should have been. `raw` as [`flatten`] yields it.
fn assign(raw: &[f32], heads: &[HeadLayout], classes: usize, truth: &[Vec<GroundTruth>]) -> Targets {
    let per_picture: usize = heads.iter().map(|head| head.anchors.len() * head.rows * head.cols).sum();
    let mut targets = Targets {
        objectness: vec![0.0; per_picture * truth.len()],
        counts: vec![1.0; per_picture * truth.len()],
        ..Targets::default()
    };
    for (picture, boxes) in truth.iter().enumerate() {
        let first = picture * per_picture;
        ignore_overlapping(&mut targets.counts, first, raw, heads, 5 + classes, boxes);
        // By prediction, so that two objects in one cell cannot both claim it: the smaller one, which is
        // harder to see, stays.
        let mut claimed: BTreeMap<usize, (Claim, &GroundTruth)> = BTreeMap::new();
        for object in boxes.iter().filter(|object| !object.difficult) {
            for claim in claims(heads, &object.bbox) {
                let smaller = |(_, other): &(Claim, &GroundTruth)| object.bbox.area() < other.bbox.area();
                if claimed.get(&claim.prediction).is_none_or(smaller) {
                    claimed.insert(claim.prediction, (claim, object));
                }
            }
        }
        for (claim, object) in claimed.into_values() {
            let index = first + claim.prediction;
            targets.objectness[index] = 1.0;
            targets.counts[index] = 1.0;
            targets.positive.push(index as i64);
            targets.cells.extend(claim.cell);
            targets.anchors.extend(claim.anchor);
            let BBox { x0, y0, x1, y1 } = object.bbox;
            targets.boxes.extend([x0, y0, x1, y1]);
            let one_hot = |class| if class == usize::from(object.class) { 1.0 } else { 0.0 };
            targets.classes.extend((0..classes).map(one_hot));
        }
    }
    targets
}

/// A prediction that should learn a box.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Claim {
    /// Its number within the picture.
    prediction: usize,
    /// Column and row of its cell, and the numbers of columns and rows.
    cell: [f32; 4],
    anchor: [f32; 2],
}

/// Predictions that should learn this box: those in the cell of its middle whose anchors are like it.
fn claims(heads: &[HeadLayout], truth: &BBox) -> Vec<Claim> {
    let (w, h) = (truth.width(), truth.height());
    let (x, y) = ((truth.x0 + truth.x1) * 0.5, (truth.y0 + truth.y1) * 0.5);
    if w <= 0.0 || h <= 0.0 || !(0.0..1.0).contains(&x) || !(0.0..1.0).contains(&y) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut offset = 0;
    for head in heads {
        let (col, row) = ((x * head.cols as f32) as usize, (y * head.rows as f32) as usize);
        let cell = [col as f32, row as f32, head.cols as f32, head.rows as f32];
        for &anchor in &head.anchors {
            let shared = anchor[0].min(w) * anchor[1].min(h);
            let overlap = shared / (anchor[0] * anchor[1] + w * h - shared);
            found.push((overlap, Claim { prediction: offset + row * head.cols + col, cell, anchor }));
            offset += head.rows * head.cols;
        }
    }
    let best = found.iter().map(|(overlap, _)| *overlap).fold(0.0, f32::max);
    let learns = |overlap: f32| overlap >= best || overlap > SHARED_ANCHOR_IOU;
    found.into_iter().filter(|(overlap, _)| learns(*overlap)).map(|(_, claim)| claim).collect()
}

/// Sets `counts` to 0 where a predicted box overlaps a true one well.
fn ignore_overlapping(
    counts: &mut [f32],
    first: usize,
    raw: &[f32],
    heads: &[HeadLayout],
    fields: usize,
    boxes: &[GroundTruth],
) {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let mut index = first;
    for head in heads {
        for anchor in &head.anchors {
            for cell in 0..head.rows * head.cols {
                let values = &raw[index * fields..][..4];
                let x = ((cell % head.cols) as f32 + sigmoid(values[0])) / head.cols as f32;
                let y = ((cell / head.cols) as f32 + sigmoid(values[1])) / head.rows as f32;
                let w = values[2].min(LONGEST_EXPONENT).exp() * anchor[0] * 0.5;
                let h = values[3].min(LONGEST_EXPONENT).exp() * anchor[1] * 0.5;
                let predicted = BBox { x0: x - w, y0: y - h, x1: x + w, y1: y + h };
                if boxes.iter().any(|truth| predicted.iou(&truth.bbox) > IGNORE_IOU) {
                    counts[index] = 0.0;
                }
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Vec<HeadLayout> {
        vec![
            HeadLayout { anchors: vec![[0.5, 0.5], [0.9, 0.9]], rows: 2, cols: 2 },
            HeadLayout { anchors: vec![[0.1, 0.1]], rows: 4, cols: 4 },
        ]
    }

    fn object(class: u16, x0: f32, y0: f32, size: f32) -> GroundTruth {
        GroundTruth { class, bbox: BBox { x0, y0, x1: x0 + size, y1: y0 + size }, difficult: false }
    }

    /// 2 * 4 + 16 predictions of 5 + 2 fields that see nothing and have tiny boxes.
    fn blank() -> Vec<f32> {
        [0.0, 0.0, -5.0, -5.0, -9.0, 0.0, 0.0].repeat(24)
    }

    #[test]
    fn a_box_is_learned_by_the_anchors_like_it_in_its_cell() {
        let targets = assign(&blank(), &heads(), 2, &[vec![object(1, 0.55, 0.1, 0.1)]]);
        // Second head, middle (0.6, 0.15): column 2, row 0.
        assert_eq!(targets.positive, [8 + 2]);
        assert_eq!(targets.cells, [2.0, 0.0, 4.0, 4.0]);
        assert_eq!(targets.classes, [0.0, 1.0]);
        assert_eq!(targets.objectness.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn of_two_objects_in_one_cell_the_smaller_stays() {
        let both = vec![object(0, 0.5, 0.0, 0.12), object(1, 0.52, 0.0, 0.1)];
        assert_eq!(assign(&blank(), &heads(), 2, &[both]).classes, [0.0, 1.0]);
    }

    #[test]
    fn difficult_objects_are_not_learned() {
        let hard = GroundTruth { difficult: true, ..object(0, 0.5, 0.0, 0.1) };
        assert!(assign(&blank(), &heads(), 2, &[vec![hard]]).positive.is_empty());
    }

    #[test]
    fn a_good_box_without_an_object_of_its_own_does_not_count() {
        let mut raw = blank();
        // Anchor 0.5 of the upper left cell, at the cell's far corner: 0.25 to 0.75.
        raw[..4].copy_from_slice(&[9.0, 9.0, 0.0, 0.0]);
        let targets = assign(&raw, &heads(), 2, &[vec![object(0, 0.26, 0.26, 0.5)]]);
        assert!(targets.positive.contains(&3), "its middle is in the lower right cell");
        assert_eq!((targets.counts[0], targets.objectness[0]), (0.0, 0.0));
        let targets = assign(&raw, &heads(), 2, &[vec![object(0, 0.22, 0.22, 0.5)]]);
        assert_eq!((targets.counts[0], targets.objectness[0]), (1.0, 1.0), "its own object");
    }

    #[test]
    fn a_perfect_guess_has_no_box_loss_and_gradients_reach_the_outputs() {
        let heads = &heads()[1..];
        let output = Tensor::zeros([1, 7, 4, 4], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        // Middle of cell (1, 1) with the anchor's own size: what zeros mean.
        let truth = vec![object(0, 0.375 - 0.05, 0.375 - 0.05, 0.1)];
        let found = loss(&[output.shallow_clone()], heads, 2, &[truth]).unwrap();
        assert!(f64::try_from(&found.parts[2]).unwrap() < 1e-4);
        let gradient = Tensor::run_backward(&[&found.total], &[&output], false, false).remove(0);
        assert!(f64::try_from(gradient.abs().sum(Kind::Double)).unwrap() > 0.1);
    }

    #[test]
    fn a_picture_without_objects_has_a_loss() {
        let output = Tensor::zeros([1, 7, 4, 4], (Kind::Float, tch::Device::Cpu));
        let found = loss(&[output], &heads()[1..], 2, &[vec![]]).unwrap();
        assert!(f64::try_from(&found.total).unwrap() > 1.0);
    }
}

//! How far a detector's raw heads are from those it gives for the uncompressed feature map.
//!
//! Summed per picture, in nats: the Kullback-Leibler divergence of the objectness of each cell, and, weighted
//! by the objectness without compression, that of the classes plus twice the smooth L1 distance of the raw
//! boxes. Smooth in bits where mean average precision on some hundred pictures is not. The trainer's loss of
//! the same name computes the same number with gradients.

/// Weight of the boxes.
const BOX_WEIGHT: f64 = 2.0;
/// x, y, width, height.
const BOX_CHANNELS: usize = 4;

/// What one raw head is made of: `anchors * (5 + classes)` maps, for each anchor x, y, width, height,
/// objectness and the classes, all before their activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFields {
    /// Anchors.
    pub anchors: usize,
    /// Classes.
    pub classes: usize,
}

/// Why heads cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DivergenceError {
    /// Not the same number of heads on all sides.
    #[error("compare heads: {found} found, {reference} in the reference, {described} described")]
    Heads {
        /// Heads to be judged.
        found: usize,
        /// Heads of the reference.
        reference: usize,
        /// Heads described.
        described: usize,
    },
    /// A head's length is no whole number of cells, or not that of the reference.
    #[error("compare head {head}: {found} values, {reference} in the reference, maps come in {maps}")]
    Values {
        /// Which head.
        head: usize,
        /// Values to be judged.
        found: usize,
        /// Values of the reference.
        reference: usize,
        /// Maps of the head.
        maps: usize,
    },
}

/// The divergence of one picture's heads `found` from `reference`, in nats: 0 when they are equal. Heads are
/// (C, H, W) maps as `autotiler_pipeline::RawHeads` holds them.
///
/// # Errors
/// [`DivergenceError`] when heads, reference and fields do not fit each other.
pub fn divergence(
    found: &[Vec<f32>],
    reference: &[Vec<f32>],
    fields: &[HeadFields],
) -> Result<f64, DivergenceError> {
    if found.len() != reference.len() || found.len() != fields.len() {
        let (found, reference) = (found.len(), reference.len());
        return Err(DivergenceError::Heads { found, reference, described: fields.len() });
    }
    let heads = found.iter().zip(reference).zip(fields).enumerate();
    heads.map(|(head, ((found, reference), fields))| of_head(head, found, reference, *fields)).sum()
}

fn of_head(
    head: usize,
    found: &[f32],
    reference: &[f32],
    fields: HeadFields,
) -> Result<f64, DivergenceError> {
    let of_anchor = BOX_CHANNELS + 1 + fields.classes;
    let maps = fields.anchors * of_anchor;
    let fits = found.len() == reference.len() && maps > 0 && found.len().is_multiple_of(maps);
    if !fits {
        return Err(DivergenceError::Values { head, found: found.len(), reference: reference.len(), maps });
    }
    let cells = found.len() / maps;
    if cells == 0 {
        return Ok(0.0);
    }
    let anchors = found.chunks_exact(of_anchor * cells).zip(reference.chunks_exact(of_anchor * cells));
    Ok(anchors.map(|(found, reference)| of_one_anchor(found, reference, cells)).sum())
}

/// Of the maps of one anchor, `cells` values each.
fn of_one_anchor(found: &[f32], reference: &[f32], cells: usize) -> f64 {
    let maps = found.chunks_exact(cells).zip(reference.chunks_exact(cells));
    let mut object = vec![0.0; cells];
    let mut seen = vec![0.0; cells];
    for (map, (found, reference)) in maps.enumerate() {
        let values = found.iter().zip(reference).map(|(&f, &r)| (f64::from(f), f64::from(r)));
        match map {
            ..BOX_CHANNELS => {
                for ((found, reference), seen) in values.zip(&mut seen) {
                    *seen += BOX_WEIGHT * smooth_l1(found - reference);
                }
            }
            BOX_CHANNELS => {
                for ((found, reference), object) in values.zip(&mut object) {
                    *object = binary(found, reference);
                }
            }
            _ => {
                for ((found, reference), seen) in values.zip(&mut seen) {
                    *seen += binary(found, reference);
                }
            }
        }
    }
    let objectness = reference.iter().skip(BOX_CHANNELS * cells).map(|&logit| sigmoid(f64::from(logit)));
    object.iter().zip(&seen).zip(objectness).map(|((object, seen), weight)| object + weight * seen).sum()
}

/// Divergence of two coins whose logits are given, of `found` from `reference`, in nats.
fn binary(found: f64, reference: f64) -> f64 {
    // p (r - f) + softplus(f) - softplus(r), which overflows nowhere; rounding alone can put it below zero.
    (sigmoid(reference) * (reference - found) + softplus(found) - softplus(reference)).max(0.0)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(1 + e^x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn smooth_l1(difference: f64) -> f64 {
    let size = difference.abs();
    if size < 1.0 { 0.5 * size * size } else { size - 0.5 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: [HeadFields; 1] = [HeadFields { anchors: 1, classes: 1 }];

    fn of(found: &[f32], reference: &[f32]) -> f64 {
        divergence(&[found.to_vec()], &[reference.to_vec()], &FIELDS).unwrap()
    }

    #[test]
    fn equal_heads_do_not_diverge() {
        let head = [0.3, -0.2, 0.1, 0.0, 1.0, -2.0];
        assert_eq!(of(&head, &head), 0.0);
    }

    /// The same case, with the same result, as in the trainer's tests.
    #[test]
    fn one_cell_by_hand() {
        // Reference: object with 1/2, class with 1/2, box 0. Found: class with 1/4, box off by 2.
        let found = of(&[2.0, 0.0, 0.0, 0.0, 0.0, -(3f32.ln())], &[0.0; 6]);
        let class = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        let expected = 0.5 * (class + 2.0 * 1.5);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn objectness_counts_everywhere_and_the_rest_where_objects_are() {
        // No object: p(object) = 1/10 found as 1/2, and the box does not count for more than its tenth.
        let reference = [0.0, 0.0, 0.0, 0.0, -(9f32.ln()), 0.0];
        let found = of(&[0.5, 0.0, 0.0, 0.0, 0.0, 0.0], &reference);
        let object = 0.1 * (0.1f64 / 0.5).ln() + 0.9 * (0.9f64 / 0.5).ln();
        let expected = object + 0.1 * (2.0 * 0.125);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn cells_and_anchors_add_up() {
        let fields = [HeadFields { anchors: 2, classes: 1 }];
        // Two anchors of two cells: each map is two values long.
        let spread = |head: [f32; 6]| -> Vec<f32> { head.iter().flat_map(|&v| [v, v]).collect() };
        let (found, reference) = (spread([2.0, 0.0, 1.0, 0.0, 0.3, -1.0]), spread([0.0; 6]));
        let twice = |head: &[f32]| vec![[head, head].concat()];
        let four = divergence(&twice(&found), &twice(&reference), &fields).unwrap();
        let one = of(&[2.0, 0.0, 1.0, 0.0, 0.3, -1.0], &[0.0; 6]);
        assert!((four - 4.0 * one).abs() < 1e-9, "{four} {one}");
    }

    #[test]
    fn huge_logits_stay_finite() {
        // Surely no object and found one: the logit itself; what else there is does not count.
        let found = of(&[0.0, 0.0, 0.0, 0.0, 3e4, -3e4], &[0.0, 0.0, 0.0, 0.0, -3e4, 3e4]);
        assert!((found - 3e4).abs() < 1.0, "{found}");
        // Surely an object of another class, and the object is missed as well.
        let found = of(&[0.0, 0.0, 0.0, 0.0, -3e4, -3e4], &[0.0, 0.0, 0.0, 0.0, 3e4, 3e4]);
        assert!((found - 6e4).abs() < 1.0, "{found}");
    }

    #[test]
    fn misfits_are_refused() {
        let head = vec![vec![0.0; 6]];
        assert!(matches!(divergence(&head, &[], &FIELDS), Err(DivergenceError::Heads { .. })));
        let short = vec![vec![0.0; 5]];
        assert!(matches!(divergence(&short, &short, &FIELDS), Err(DivergenceError::Values { head: 0, .. })));
        let none = [HeadFields { anchors: 0, classes: 1 }];
        assert!(divergence(&head, &head, &none).is_err());
    }

    proptest! {
        #[test]
        fn never_below_zero(found in prop::array::uniform6(-20f32..20.0), reference in prop::array::uniform6(-20f32..20.0)) {
            prop_assert!(of(&found, &reference) >= 0.0);
        }
    }
}

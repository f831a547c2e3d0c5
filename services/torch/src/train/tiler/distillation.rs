//! How far a detector's raw heads are from those it gives for the uncompressed feature map.
//!
//! Summed per picture, in nats: the Kullback-Leibler divergence of the objectness of each cell, and, weighted
//! by the objectness without compression, that of the classes plus twice the smooth L1 distance of the raw
//! boxes. It is smooth in bits, unlike mean average precision on some hundred pictures.

use tch::{Kind, Reduction, TchError, Tensor};

/// Weight of the boxes.
const BOX_WEIGHT: f64 = 2.0;

/// What one raw head is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFields {
    /// Anchors.
    pub anchors: usize,
    /// Classes.
    pub classes: usize,
}

/// The divergence of each picture, `[n]`, summed over the heads.
///
/// # Errors
/// libtorch's, when heads and fields do not fit.
pub fn divergence(student: &[Tensor], teacher: &[Tensor], fields: &[HeadFields]) -> Result<Tensor, TchError> {
    let mut sum: Option<Tensor> = None;
    for ((student, teacher), fields) in student.iter().zip(teacher).zip(fields) {
        let head = of_head(student, teacher, *fields)?;
        sum = Some(match sum {
            None => head,
            Some(sum) => sum.f_add(&head)?,
        });
    }
    sum.map_or_else(|| Tensor::f_zeros([0], (Kind::Float, tch::Device::Cpu)), Ok)
}

fn of_head(student: &Tensor, teacher: &Tensor, fields: HeadFields) -> Result<Tensor, TchError> {
    let (n, _, h, w) = student.size4()?;
    let classes = fields.classes as i64;
    let split = |x: &Tensor| x.f_reshape([n, fields.anchors as i64, 5 + classes, h * w]);
    let (student, teacher) = (split(student)?, split(teacher)?);
    let part = |x: &Tensor, start: i64, len: i64| x.f_narrow(2, start, len);
    let object = part(&teacher, 4, 1)?.f_sigmoid()?;
    let objectness = binary(&part(&student, 4, 1)?, &part(&teacher, 4, 1)?)?;
    let class = binary(&part(&student, 5, classes)?, &part(&teacher, 5, classes)?)?;
    let class = class.f_sum_dim_intlist([2i64].as_slice(), true, Kind::Float)?;
    let boxes = part(&student, 0, 4)?.f_smooth_l1_loss(&part(&teacher, 0, 4)?, Reduction::None, 1.0)?;
    let boxes = boxes.f_sum_dim_intlist([2i64].as_slice(), true, Kind::Float)?;
    let seen = class.f_add(&boxes.f_mul_scalar(BOX_WEIGHT)?)?.f_mul(&object)?;
    objectness.f_add(&seen)?.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float)
}

/// Divergence of two coins whose logits are given, value by value.
fn binary(student: &Tensor, teacher: &Tensor) -> Result<Tensor, TchError> {
    let p = teacher.f_sigmoid()?;
    let cross = |logits: &Tensor| {
        logits.f_binary_cross_entropy_with_logits::<Tensor>(&p, None, None, Reduction::None)
    };
    cross(student)?.f_sub(&cross(teacher)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [HeadFields; 1] = [HeadFields { anchors: 1, classes: 1 }];

    fn head(values: [f32; 6]) -> Vec<Tensor> {
        vec![Tensor::from_slice(&values).reshape([1, 6, 1, 1])]
    }

    #[test]
    fn equal_heads_do_not_diverge() {
        let heads = head([0.3, -0.2, 0.1, 0.0, 1.0, -2.0]);
        let found = divergence(&heads, &heads, &FIELDS).unwrap();
        assert!(f64::try_from(found).unwrap().abs() < 1e-6);
    }

    #[test]
    fn one_cell_by_hand() {
        // Teacher: object with 1/2, class with 1/2, box 0. Student: class with 1/4, box off by 2.
        let teacher = head([0.0; 6]);
        let student = head([2.0, 0.0, 0.0, 0.0, 0.0, -(3f32.ln())]);
        let found = f64::try_from(divergence(&student, &teacher, &FIELDS).unwrap()).unwrap();
        let class = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        let expected = 0.5 * (class + 2.0 * 1.5);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

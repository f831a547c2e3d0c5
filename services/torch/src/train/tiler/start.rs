//! The transform that learning starts from: the KLT, weighted by where the detector is sensitive.

use autotiler_graph::tiler::{Klt, KltFit, TilerError, TilerSpec};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    distillation::HeadFields,
    lesson::{LessonError, Lessons, Teacher},
};
use crate::train::yolo::floats;

/// Pictures that the covariance and the sensitivity are gathered from.
const PICTURES: usize = 192;
/// Pictures in one backward pass.
const BATCH: usize = 8;

/// What learning starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The transform.
    pub klt: Klt,
    /// Standard deviation of each of its maps, plane units.
    pub deviation: Vec<f32>,
}

/// Why there is no transform.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The fit.
    #[error("fitting the transform")]
    Fit(#[from] TilerError),
    /// The detector.
    #[error("measuring the detector's sensitivity")]
    Lesson(#[from] LessonError),
    /// libtorch.
    #[error("measuring the detector's sensitivity")]
    Torch(#[from] TchError),
}

impl From<crate::executor::ExecutorError> for StartError {
    fn from(error: crate::executor::ExecutorError) -> Self {
        Self::Lesson(error.into())
    }
}

/// Fits the transform to up to 192 of the lessons, spread over all. `seed` picks the random directions that
/// probe the heads.
///
/// # Errors
/// [`StartError`].
pub fn fit(spec: TilerSpec, teacher: &Teacher, lessons: &Lessons, seed: i64) -> Result<Start, StartError> {
    let count = PICTURES.min(lessons.len());
    let numbers: Vec<usize> = (0..count).map(|i| i * lessons.len() / count.max(1)).collect();
    let mut fit = KltFit::new(spec);
    let mut sensitivity = vec![0.0f64; spec.folded() * spec.folded()];
    tch::manual_seed(seed);
    for numbers in numbers.chunks(BATCH) {
        let batch = lessons.batch(numbers)?.to_device(teacher.tail.device())?;
        let values = floats(&batch.feature)?;
        for feature in values.chunks_exact(spec.feature.len().max(1)) {
            fit.add(feature)?;
        }
        let gradient = probe(teacher, &batch.feature)?;
        let columns = fold(&gradient, &spec)?.f_to_kind(Kind::Double)?;
        let outer = columns.f_matmul(&columns.f_transpose(0, 1)?)?.f_flatten(0, -1)?.f_contiguous()?;
        let mut products = vec![0f64; outer.numel()];
        let len = products.len();
        outer.f_to_device(Device::Cpu)?.f_copy_data(&mut products, len)?;
        sensitivity.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
    }
    let klt = fit.finish(Some(&sensitivity))?;
    Ok(Start { deviation: fit.deviation(&klt), klt })
}

/// Gradient, at the features, of the raw heads in a random direction, each value weighted by the root of the
/// curvature of the divergence there: its outer products are the Gauss-Newton metric.
pub(super) fn probe(teacher: &Teacher, feature: &Tensor) -> Result<Tensor, StartError> {
    let feature = feature.f_detach()?.f_set_requires_grad(true)?;
    let heads = teacher.tail.run(&feature)?;
    let mut sum = Tensor::f_zeros([0i64; 0], (Kind::Float, feature.device()))?;
    for (head, fields) in heads.iter().zip(&teacher.fields) {
        let weight = curvature(&head.f_detach()?, *fields)?.f_sqrt()?;
        let direction = weight.f_mul(&weight.f_randn_like()?)?;
        sum = sum.f_add(&head.f_reshape(direction.size())?.f_mul(&direction)?.f_sum(Kind::Float)?)?;
    }
    let mut gradients = Tensor::f_run_backward(&[&sum], &[&feature], false, false)?;
    Ok(gradients.swap_remove(0))
}

/// Second derivative of the divergence by each raw value, `[n, anchors, 5 + classes, cells]`.
fn curvature(head: &Tensor, fields: HeadFields) -> Result<Tensor, TchError> {
    let (n, _, h, w) = head.size4()?;
    let classes = fields.classes as i64;
    let split = head.f_reshape([n, fields.anchors as i64, 5 + classes, h * w])?;
    let coin = |start: i64, len: i64| {
        let p = split.f_narrow(2, start, len)?.f_sigmoid()?;
        p.f_mul(&p.f_neg()?.f_add_scalar(1.0)?)
    };
    let object = split.f_narrow(2, 4, 1)?.f_sigmoid()?;
    let boxes = object.f_mul_scalar(2.0)?.f_expand([-1, -1, 4, -1], false)?;
    Tensor::f_cat(&[boxes, coin(4, 1)?, coin(5, classes)?.f_mul(&object)?], 2)
}

/// Folds space into channels as the tiler does, `[folded, n * pixels]`; padding has no sensitivity.
pub(super) fn fold(gradient: &Tensor, spec: &TilerSpec) -> Result<Tensor, TchError> {
    let (bottom, right) = spec.padding();
    let padded = gradient.f_constant_pad_nd([0, right as i64, 0, bottom as i64])?;
    let (n, c, h, w) = padded.size4()?;
    let b = spec.block as i64;
    let blocks = padded.f_reshape([n, c, h / b, b, w / b, b])?.f_permute([3, 5, 1, 0, 2, 4])?;
    blocks.f_reshape([b * b * c, n * (h / b) * (w / b)])
}

//! What the device learns: how sensitive the detector is at each pixel, from the feature map alone.
//!
//! The teacher's sensitivity `s` at a pixel is the mean square of its gradient there, over random directions of the
//! heads and over the transform's maps, which the transform's own weighting has made alike. A scale that
//! follows an expectation `e` costs `ln(e) / 2` nats of rate, and noise of `s / e`: the loss is
//! `s / e + ln(e)`, whose minimum is the mean of `s` given what the device sees.

use std::sync::atomic::{AtomicBool, Ordering};

use autotiler_graph::tiler::{AutoTiler as _, Importance, ImportanceShape, Klt, importance::OCTAVES};
use rand::{SeedableRng as _, seq::index};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::{
    TilerTrainingError,
    lesson::{Lessons, Teacher},
    start,
};
use crate::{
    Mode,
    executor::Executor,
    parameters::Parameters,
    train::{
        learner::{FINAL_SHARE, Learner, normal},
        optimizer::Schedule,
        yolo::floats,
    },
};

/// Pictures whose sensitivity is measured, at most.
const PICTURES: usize = 1328;
/// Random directions for each.
const PROBES: i64 = 2;
/// Pictures in one backward pass.
const TOGETHER: usize = 8;
/// Pictures of a step.
const BATCH: usize = 16;
/// Highest learning rate.
const LEARNING_RATE: f64 = 3e-3;
/// The share of pixels that are coded as fine as the plane allows.
const FINEST_SHARE: f64 = 0.1;
/// Steps between two reports.
const REPORT_EVERY: u64 = 50;

/// What learning says while it goes on: steps made (0 while sensitivities are measured), of how many, and the loss.
pub(super) type Heard<'a> = dyn FnMut(u64, u64, f64) + 'a;

/// Learns for `steps` from up to 1,328 of the lessons, spread over all.
///
/// # Errors
/// [`TilerTrainingError`]; [`TilerTrainingError::Interrupted`] when `stop` is set.
pub(super) fn learn(
    klt: &Klt,
    shape: ImportanceShape,
    (steps, seed): (u64, u64),
    (teacher, lessons): (&Teacher, &Lessons),
    stop: &AtomicBool,
    hear: &mut Heard<'_>,
) -> Result<Importance, TilerTrainingError> {
    let device = teacher.tail.device();
    let count = PICTURES.min(lessons.len());
    let numbers: Vec<usize> = (0..count).map(|i| i * lessons.len() / count.max(1)).collect();
    let going_on =
        || if stop.load(Ordering::Relaxed) { Err(TilerTrainingError::Interrupted) } else { Ok(()) };
    let mut measured = Vec::new();
    for numbers in numbers.chunks(TOGETHER) {
        going_on()?;
        let feature = lessons.batch(numbers)?.feature.f_to_device(device)?;
        measured.push(sensitivity(klt, teacher, &feature, seed as i64 + measured.len() as i64)?);
        hear(0, steps, f64::NAN);
    }
    let measured = Tensor::f_cat(&measured, 0)?;
    let measured = measured.f_div(&measured.f_mean(Kind::Float)?.f_clamp_min(1e-30)?)?;
    let finest = quantile(&measured, 1.0 - FINEST_SHARE)?.max(1e-6).ln();

    let start = Importance::untrained(klt, shape, normal(ChaCha8Rng::seed_from_u64(seed)));
    let graph = start.graph()?;
    let executor = Executor::try_new(graph.clone().into())?;
    let warm_up_steps = steps / 20;
    let schedule = Schedule { peak: LEARNING_RATE, warm_up_steps, steps, final_share: FINAL_SHARE };
    let mut learner = Learner::try_new(Parameters::try_new(&graph, device, |_| true)?, None, schedule)?;
    for step in 0..steps {
        going_on()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(1 + step));
        let drawn = index::sample(&mut rng, count, BATCH.min(count)).into_vec();
        let chosen: Vec<usize> = drawn.iter().filter_map(|&at| numbers.get(at).copied()).collect();
        let feature = lessons.batch(&chosen)?.feature.f_to_device(device)?;
        let places: Vec<i64> = drawn.iter().map(|&at| at as i64).collect();
        let truth = measured.f_index_select(0, &Tensor::f_from_slice(&places)?.f_to_device(device)?)?;
        let weights = learner.parameters.weights()?;
        let share = executor.run(&weights, &[feature], Mode::default())?.swap_remove(0);
        let octaves = share.f_sub_scalar(1.0)?.f_mul_scalar(2.0 * OCTAVES * std::f64::consts::LN_2)?;
        let expected = octaves.f_add_scalar(finest)?;
        let noise = truth.f_mul(&expected.f_neg()?.f_exp()?)?;
        let loss = noise.f_add(&expected)?.f_mean(Kind::Float)?;
        learner.descend(&loss)?;
        if learner.step() == 1 || learner.step().is_multiple_of(REPORT_EVERY) || learner.step() == steps {
            hear(learner.step(), steps, loss.f_double_value(&[])?);
        }
    }
    let parameters = &learner.parameters;
    Ok(start.with_weights_of(&parameters.write_into(&graph, parameters.flat(), parameters.statistics())?))
}

/// Mean square of the teacher's gradient at each pixel of the maps, `[n, 1, h, w]`, a little smoothed.
fn sensitivity(
    klt: &Klt,
    teacher: &Teacher,
    feature: &Tensor,
    seed: i64,
) -> Result<Tensor, TilerTrainingError> {
    let (spec, map) = (klt.spec(), klt.spec().maps_shape());
    let device = feature.device();
    let inverse = Tensor::f_from_slice(&klt.inverse)?.f_reshape([spec.folded() as i64, spec.maps as i64])?;
    let inverse = inverse.f_transpose(0, 1)?.f_to_device(device)?;
    let dims = [-1, 1, map.h as i64, map.w as i64];
    let mut sum = Tensor::f_zeros([0i64; 0], (Kind::Float, device))?;
    for probe in 0..PROBES {
        tch::manual_seed(seed.wrapping_mul(PROBES).wrapping_add(probe));
        let gradient = inverse.f_matmul(&start::fold(&start::probe(teacher, feature)?, spec)?)?;
        sum = sum.f_add(&gradient.f_square()?.f_mean_dim([0i64].as_slice(), false, Kind::Float)?)?;
    }
    let sum = sum.f_reshape(dims)?;
    Ok(sum.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>)?.f_detach()?)
}

/// The value that the share `at` of all values is not above.
fn quantile(values: &Tensor, at: f64) -> Result<f64, TilerTrainingError> {
    let mut values = floats(&values.f_to_device(Device::Cpu)?)?;
    values.sort_by(f32::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * at) as usize;
    Ok(values.get(place).copied().map_or(1.0, f64::from))
}

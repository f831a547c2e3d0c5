//! A tiler tried out: feature maps through its encoder, the real codec, its decoder and the tail.

use autotiler_core::Gain;
use autotiler_graph::{
    Graph,
    tiler::{AutoTiler, GAIN_SHAPE, gain_input},
};
use autotiler_hevc::EncoderOptions;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    Scored, TilerTrainingError,
    codec::CodecLoop,
    distillation,
    lesson::{LessonBatch, Lessons, Teacher},
};
use crate::{
    engine::load_weight,
    executor::{Executor, Mode},
    train::yolo::floats,
};

/// Both graphs of a tiler and a codec; it holds no weights.
#[derive(Debug)]
pub struct Trial {
    encoder: Executor,
    decoder: Executor,
    codec: CodecLoop,
}

/// What came of one batch.
#[derive(Debug)]
pub struct Heard {
    /// Of each picture, nats.
    pub divergence: Tensor,
    /// Squared error of the feature maps in shares of their variance.
    pub feature_error: Tensor,
    /// Bits of each plane.
    pub bits: Vec<u32>,
}

impl Heard {
    /// Mean bits of a plane.
    pub fn mean_bits(&self) -> f64 {
        let sum: f64 = self.bits.iter().map(|&bits| f64::from(bits)).sum();
        sum / self.bits.len().max(1) as f64
    }
}

impl Trial {
    /// Makes `tiler`'s graphs ready and starts the codec for its plane.
    ///
    /// # Errors
    /// [`TilerTrainingError`].
    pub fn try_new(tiler: &dyn AutoTiler, codec: EncoderOptions) -> Result<Self, TilerTrainingError> {
        Ok(Self {
            encoder: Executor::try_new(tiler.encoder()?.into())?,
            decoder: Executor::try_new(tiler.decoder()?.into())?,
            codec: CodecLoop::spawn(tiler.spec().plane(), codec)?,
        })
    }

    /// Weights of both graphs, the encoder's first, as [`Self::listen`] takes their values; no nodes.
    pub fn all_weights(&self) -> Graph {
        let (encoder, decoder) = (self.encoder.graph(), self.decoder.graph());
        let weights = encoder.weights.iter().chain(&decoder.weights).cloned().collect();
        Graph { weights, ..Graph::default() }
    }

    /// The values of [`Self::all_weights`] as they are in the tiler.
    ///
    /// # Errors
    /// libtorch's.
    pub fn fixed_weights(&self, device: Device) -> Result<Vec<Tensor>, TilerTrainingError> {
        let all = self.all_weights();
        let loaded = all.weights.iter().map(|weight| load_weight(weight, device, Kind::Float));
        Ok(loaded.collect::<Result<_, _>>()?)
    }

    /// Sends a batch through tiler, codec and tail, each picture with its gain; gradients pass.
    ///
    /// # Errors
    /// [`TilerTrainingError`].
    pub fn listen(
        &mut self,
        weights: &[Tensor],
        teacher: &Teacher,
        batch: &LessonBatch,
        gains: &[Gain],
    ) -> Result<Heard, TilerTrainingError> {
        let mode = Mode { straight_through: true, ..Mode::default() };
        let (encoder, decoder) = weights.split_at(self.encoder.graph().weights.len().min(weights.len()));
        let mut planes = self.encoder.run(encoder, &[batch.feature.shallow_clone()], mode)?;
        let decoded = self.codec.round_trip(&planes.swap_remove(0), gains)?;
        let told = gain_input(gains);
        let told = Tensor::f_from_slice(told.as_f32().unwrap_or_default())?;
        let told = told.f_reshape([-1, GAIN_SHAPE.c as i64, 1, 1])?.f_to_device(batch.feature.device())?;
        let feature = self.decoder.run(decoder, &[decoded.planes, told], mode)?.swap_remove(0);
        let heads = teacher.tail.run(&feature)?;
        let divergence = distillation::divergence(&heads, &batch.heads, &teacher.fields)?;
        let mean = batch.feature.f_mean_dim([0i64, 2, 3].as_slice(), true, Kind::Float)?;
        let power = batch.feature.f_sub(&mean)?.f_square()?.f_sum(Kind::Float)?.f_add_scalar(1e-9)?;
        let feature_error = feature.f_sub(&batch.feature)?.f_square()?.f_sum(Kind::Float)?.f_div(&power)?;
        Ok(Heard { divergence, feature_error, bits: decoded.bits })
    }

    /// Scores these weights on all `lessons` at one gain, `batch` pictures at a time.
    ///
    /// # Errors
    /// [`TilerTrainingError`].
    pub fn score(
        &mut self,
        weights: &[Tensor],
        teacher: &Teacher,
        lessons: &Lessons,
        gain: Gain,
        batch: usize,
    ) -> Result<Scored, TilerTrainingError> {
        Ok(self.score_each(weights, teacher, lessons, gain, batch)?.0)
    }

    /// Like [`Self::score`], with the divergence of each picture.
    ///
    /// # Errors
    /// [`TilerTrainingError`].
    pub fn score_each(
        &mut self,
        weights: &[Tensor],
        teacher: &Teacher,
        lessons: &Lessons,
        gain: Gain,
        batch: usize,
    ) -> Result<(Scored, Vec<f64>), TilerTrainingError> {
        let _no_grad = tch::no_grad_guard();
        let (mut divergence, mut error, mut bits, mut pictures) = (0.0, 0.0, 0.0, 0.0);
        let mut each = Vec::with_capacity(lessons.len());
        let numbers: Vec<usize> = (0..lessons.len()).collect();
        for numbers in numbers.chunks(batch.max(1)) {
            let asked = lessons.batch(numbers)?.to_device(teacher.tail.device())?;
            let heard = self.listen(weights, teacher, &asked, &vec![gain; numbers.len()])?;
            divergence += heard.divergence.f_sum(Kind::Double)?.f_double_value(&[])?;
            each.extend(floats(&heard.divergence)?.into_iter().map(f64::from));
            error += heard.feature_error.f_double_value(&[])? * numbers.len() as f64;
            bits += heard.mean_bits() * numbers.len() as f64;
            pictures += numbers.len() as f64;
        }
        let mean = |sum: f64| sum / pictures;
        let (bits, divergence, feature_error) = (mean(bits), mean(divergence), mean(error));
        Ok((Scored { gain, bits, divergence, feature_error }, each))
    }
}

/// One gain of a comparison of two tilers, picture by picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The gain.
    pub gain: Gain,
    /// The second tiler's scores.
    pub second: Scored,
    /// Mean divergence of the second less that of the first, as a share of the first's.
    pub change: f64,
    /// Standard error of that over pictures.
    pub error: f64,
}

/// Sends all `lessons` through both tilers, which have the same planes, at each of `gains`.
///
/// # Errors
/// [`TilerTrainingError`].
pub fn compare(
    (first, second): (&dyn AutoTiler, &dyn AutoTiler),
    codec: EncoderOptions,
    (teacher, lessons): (&Teacher, &Lessons),
    gains: &[Gain],
    batch: usize,
) -> Result<Vec<Paired>, TilerTrainingError> {
    let device = teacher.tail.device();
    let mut trial = Trial::try_new(first, codec)?;
    let first = trial.fixed_weights(device)?;
    // Both have the same graphs, so one codec serves both and the second's weights fit.
    let (encoder, decoder) = (second.encoder()?, second.decoder()?);
    let second = encoder.weights.iter().chain(&decoder.weights);
    let second = second.map(|w| load_weight(w, device, Kind::Float)).collect::<Result<Vec<_>, _>>()?;
    let pair = |&gain: &Gain| {
        let (_, one) = trial.score_each(&first, teacher, lessons, gain, batch)?;
        let (scored, other) = trial.score_each(&second, teacher, lessons, gain, batch)?;
        let (change, error) = paired_change(&one, &other);
        Ok(Paired { gain, second: scored, change, error })
    };
    gains.iter().map(pair).collect()
}

/// Mean difference of pairs as a share of the first's mean, and its standard error.
fn paired_change(one: &[f64], other: &[f64]) -> (f64, f64) {
    let count = one.len().min(other.len()).max(1) as f64;
    let mean = one.iter().sum::<f64>() / count;
    let differences: Vec<f64> = one.iter().zip(other).map(|(a, b)| b - a).collect();
    let change = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|d| (d - change).powi(2)).sum();
    let error = (squares / (count - 1.0).max(1.0) / count).sqrt();
    (change / mean.max(1e-9), error / mean.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_pairs_by_hand() {
        // Differences 1, 1, 4 of mean 2 and variance 3; the first's mean is 4.
        let (change, error) = paired_change(&[2.0, 4.0, 6.0], &[3.0, 5.0, 10.0]);
        assert!((change - 0.5).abs() < 1e-12 && (error - 0.25).abs() < 1e-12, "{change} {error}");
        assert_eq!(paired_change(&[1.0, 2.0], &[1.0, 2.0]), (0.0, 0.0));
    }
}

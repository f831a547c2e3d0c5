//! Trains a `lite` tiler: from the KLT, through the real codec, on what the detector makes of the result.

pub mod codec;
pub mod distillation;
pub mod lesson;
pub mod start;

pub use lesson::picture_batch;

use std::path::{Path, PathBuf};

use autotiler_core::Gain;
use autotiler_graph::{
    Graph, GraphError, Weight,
    tiler::{AutoTiler, GAIN_SHAPE, Klt, Lite, LiteShape, TilerError, gain_input},
};
use autotiler_hevc::EncoderOptions;
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use self::{
    codec::{CodecError, CodecLoop},
    lesson::{LessonBatch, LessonError, Lessons, Teacher},
};
use super::{
    checkpoint::{self, CheckpointError},
    optimizer::{AdamW, RunningClip, Schedule},
};
use crate::{
    executor::{Executor, ExecutorError, Mode},
    parameters::Parameters,
};

/// Weight of the feature map's relative error beside the divergence of the heads.
const FEATURE_WEIGHT: f64 = 5.0;
/// Share of the highest learning rate at the end.
const FINAL_SHARE: f64 = 0.02;
/// Steps are told of in groups of this many.
const REPORT_EVERY: u64 = 10;
/// Typical size of a weight that the learning rate is meant for; the linear paths have others.
const USUAL_WEIGHT: f64 = 0.25;
/// How fast linear paths learn beside the branches, relative to their weights.
const LINEAR_PACE: f64 = 0.3;
/// Tensors of a checkpoint.
const TENSORS: [&str; 4] = ["flat", "best", "adam.first", "adam.second"];
/// Weights that only change units.
const UNITS: [&str; 3] = ["tiler.unit", "untiler.unit", "untiler.sigma.weight"];

/// Numbers of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Optimiser steps, at most.
    pub steps: u64,
    /// Pictures per step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of the linear rise of the learning rate.
    pub warm_up_steps: u64,
    /// Gains are drawn from this range, ends included.
    pub gains: (Gain, Gain),
    /// Gains that are validated at.
    pub validation_gains: Vec<Gain>,
    /// Steps between validations and checkpoints.
    pub validate_every: u64,
    /// Validations without a new best after which the run ends.
    pub patience: u32,
    /// Seed of first weights, order of pictures and gains.
    pub seed: u64,
}

/// One gain of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The gain, as the header carries it.
    pub gain: Gain,
    /// Mean bits of a plane.
    pub bits: f64,
    /// Mean divergence of a picture, nats.
    pub divergence: f64,
    /// Squared error of the feature map in shares of its variance.
    pub feature_error: f64,
}

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// Some steps are made.
    Step {
        /// Steps made.
        step: u64,
        /// Mean divergence of a picture, nats.
        divergence: f64,
        /// Relative error of the feature map.
        feature_error: f64,
        /// Mean bits of a plane.
        bits: f64,
    },
    /// The tiler is scored on pictures that it does not learn from.
    Validated {
        /// Steps made; at 0 it is the untrained start.
        step: u64,
        /// By gain.
        points: Vec<Scored>,
        /// Mean over the gains of the logarithm of the divergence at equal bits: what is minimised.
        score: f64,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum TilerTrainingError {
    /// The loss is no number any more.
    #[error("step {step}: the loss is {loss}; lower the learning rate")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// Nothing to learn from.
    #[error("no pictures to {0}")]
    NoPictures(&'static str),
    /// No such tiler.
    #[error("laying out the tiler")]
    Tiler(#[from] TilerError),
    /// No such graph.
    #[error("laying out the tiler's graph")]
    Graph(#[from] GraphError),
    /// The tiler or the detector did not run.
    #[error("running the tiler")]
    Network(#[from] ExecutorError),
    /// The detector could not be asked.
    #[error("asking the detector")]
    Lesson(#[from] LessonError),
    /// The codec.
    #[error("codec")]
    Codec(#[from] CodecError),
    /// libtorch refused.
    #[error("training step")]
    Torch(#[from] TchError),
    /// The checkpoint.
    #[error("checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another recipe or tiler.
    #[error("{path} belongs to another run; remove it or repeat its options")]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
}

/// What a run works with.
pub struct Course<'a> {
    /// The detector.
    pub teacher: &'a Teacher,
    /// To learn from.
    pub training: &'a Lessons,
    /// To choose with.
    pub validation: &'a Lessons,
    /// Settings of the codec in the loop.
    pub codec: EncoderOptions,
    /// Where to keep the state of the run.
    pub checkpoint: &'a Path,
    /// Told what happens.
    pub report: &'a mut dyn FnMut(&Progress),
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    recipe: Recipe,
    layer: u16,
    cr: u16,
    step: u64,
    mean_norm: f64,
    start: Vec<Scored>,
    best_score: f64,
    best_step: u64,
}

/// A tiler in training.
struct Run {
    recipe: Recipe,
    lite: Lite,
    /// Weights of both graphs, the encoder's first.
    all: Graph,
    encoder: Executor,
    decoder: Executor,
    parameters: Parameters,
    adam: AdamW,
    clip: RunningClip,
    codec: CodecLoop,
    best: Tensor,
    state: State,
}

/// Trains from `start` to the end of the recipe, or until validation gets no better, resuming from the
/// checkpoint where there is one. Returns the tiler that validated best; it is the start itself where nothing
/// was better.
///
/// # Errors
/// [`TilerTrainingError`].
pub fn train(
    recipe: &Recipe,
    start: &Klt,
    shape: LiteShape,
    course: &mut Course<'_>,
) -> Result<Lite, TilerTrainingError> {
    if course.training.is_empty() {
        return Err(TilerTrainingError::NoPictures("learn from"));
    }
    if course.validation.is_empty() {
        return Err(TilerTrainingError::NoPictures("validate with"));
    }
    let mut run = Run::start(recipe, start, shape, course)?;
    let mut sums = [0.0; 3];
    while run.state.step < recipe.steps && !run.is_stuck() {
        let told = run.learn(course)?;
        sums.iter_mut().zip(told).for_each(|(sum, value)| *sum += value / REPORT_EVERY as f64);
        let step = run.state.step;
        if step.is_multiple_of(REPORT_EVERY) {
            let [divergence, feature_error, bits] = std::mem::take(&mut sums);
            (course.report)(&Progress::Step { step, divergence, feature_error, bits });
        }
        if step.is_multiple_of(recipe.validate_every) || step == recipe.steps {
            run.validate(course)?;
            run.save(course.checkpoint)?;
        }
    }
    run.best_tiler()
}

impl Run {
    fn start(
        recipe: &Recipe,
        start: &Klt,
        shape: LiteShape,
        course: &mut Course<'_>,
    ) -> Result<Self, TilerTrainingError> {
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        // Sum of twelve uniform numbers: near enough to a normal one.
        let lite = Lite::from_klt(start, shape, || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0)?;
        let (encoder, decoder) = (lite.encoder()?, lite.decoder()?);
        let weights = encoder.weights.iter().chain(&decoder.weights).cloned().collect();
        let all = Graph { weights, ..Graph::default() };
        let parameters = Parameters::try_new(&all, Device::Cpu, |w| !UNITS.contains(&w.name.as_str()))?;
        let pace = parameters.per_weight(&all, pace)?;
        let state = State {
            recipe: recipe.clone(),
            layer: lite.spec.layer.0,
            cr: lite.spec.cr.get(),
            step: 0,
            mean_norm: 0.0,
            start: Vec::new(),
            best_score: f64::INFINITY,
            best_step: 0,
        };
        let mut run = Self {
            recipe: recipe.clone(),
            encoder: Executor::try_new(encoder.into())?,
            decoder: Executor::try_new(decoder.into())?,
            adam: AdamW::try_new(parameters.flat(), (0.9, 0.99), None)?.with_pace(pace),
            clip: RunningClip::new(1.5),
            codec: CodecLoop::spawn(lite.spec.plane(), course.codec.clone())?,
            best: parameters.flat().f_detach()?.f_detach_copy()?,
            parameters,
            lite,
            all,
            state,
        };
        if course.checkpoint.exists() {
            run.resume(course.checkpoint)?;
        } else {
            run.validate(course)?;
        }
        Ok(run)
    }

    fn is_stuck(&self) -> bool {
        let patience = u64::from(self.recipe.patience) * self.recipe.validate_every;
        self.state.step.saturating_sub(self.state.best_step) >= patience.max(1)
    }

    /// One step: mean divergence, feature error and bits.
    fn learn(&mut self, course: &Course<'_>) -> Result<[f64; 3], TilerTrainingError> {
        let numbers = self.numbers(course.training.len());
        let gains = self.gains();
        let batch = course.training.batch(&numbers)?;
        let weights = self.parameters.weights()?;
        let heard = self.listen(&weights, course.teacher, &batch, &gains)?;
        let emphasis = Tensor::f_from_slice(&emphasis(&gains, &self.state.start))?;
        let loss = heard.divergence.f_mul(&emphasis)?.f_mean(Kind::Float)?;
        let loss = loss.f_add(&heard.feature_error.f_mul_scalar(FEATURE_WEIGHT)?)?;
        let value = loss.f_double_value(&[])?;
        let diverged = |loss| TilerTrainingError::Diverged { step: self.state.step, loss };
        if !value.is_finite() {
            return Err(diverged(value));
        }
        let flat = self.parameters.flat();
        let gradient = Tensor::f_run_backward(&[&loss], &[flat], false, false)?.swap_remove(0);
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        if !norm.is_finite() {
            return Err(diverged(norm));
        }
        let gradient = gradient.f_mul_scalar(self.clip.scale(norm))?;
        let schedule = Schedule {
            peak: self.recipe.learning_rate,
            warm_up_steps: self.recipe.warm_up_steps,
            steps: self.recipe.steps,
            final_share: FINAL_SHARE,
        };
        self.adam.step(flat, &gradient, schedule.rate(self.state.step))?;
        self.state.step += 1;
        Ok([
            heard.divergence.f_mean(Kind::Float)?.f_double_value(&[])?,
            heard.feature_error.f_double_value(&[])?,
            heard.mean_bits(),
        ])
    }

    /// Numbers of the pictures of this step: each epoch is another order of all of them.
    fn numbers(&self, len: usize) -> Vec<usize> {
        let batch = self.recipe.batch;
        let first = self.state.step as usize * batch;
        let order = |epoch: usize| {
            let mut order: Vec<usize> = (0..len).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.recipe.seed ^ ((epoch as u64 + 1) << 32)));
            order
        };
        let (epoch, place) = (first / len, first % len);
        let mut all = order(epoch);
        if place + batch > len {
            all.extend((epoch + 1..=epoch + 1 + batch / len).flat_map(order));
        }
        all.into_iter().skip(place).take(batch).collect()
    }

    fn gains(&self) -> Vec<Gain> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed.wrapping_add(1 + self.state.step));
        let (Gain(low), Gain(high)) = self.recipe.gains;
        (0..self.recipe.batch).map(|_| Gain(rng.random_range(low..=high.max(low)))).collect()
    }

    /// Sends a batch through tiler, codec and tail.
    fn listen(
        &mut self,
        weights: &[Tensor],
        teacher: &Teacher,
        batch: &LessonBatch,
        gains: &[Gain],
    ) -> Result<Heard, TilerTrainingError> {
        let mode = Mode { batch_norm_momentum: None, straight_through: true };
        let (encoder, decoder) = weights.split_at(self.encoder.graph().weights.len());
        let planes = self.encoder.run(encoder, &[batch.feature.shallow_clone()], mode)?;
        let decoded = self.codec.round_trip(&planes[0], gains)?;
        let gain_values = gain_input(gains);
        let gain_values = Tensor::f_from_slice(gain_values.as_f32().unwrap_or_default())?;
        let gain_values = gain_values.f_reshape([-1, GAIN_SHAPE.c as i64, 1, 1])?;
        let features = self.decoder.run(decoder, &[decoded.planes, gain_values], mode)?;
        let feature = &features[0];
        let heads = teacher.tail.run(feature)?;
        let divergence = distillation::divergence(&heads, &batch.heads, &teacher.fields)?;
        let mean = batch.feature.f_mean_dim([0i64, 2, 3].as_slice(), true, Kind::Float)?;
        let power = batch.feature.f_sub(&mean)?.f_square()?.f_sum(Kind::Float)?.f_add_scalar(1e-9)?;
        let feature_error = feature.f_sub(&batch.feature)?.f_square()?.f_sum(Kind::Float)?.f_div(&power)?;
        Ok(Heard { divergence, feature_error, bits: decoded.bits })
    }

    fn validate(&mut self, course: &mut Course<'_>) -> Result<(), TilerTrainingError> {
        let points = {
            let _no_grad = tch::no_grad_guard();
            let weights = self.parameters.weights()?;
            let gains = self.recipe.validation_gains.clone();
            let points = gains.into_iter().map(|gain| self.score(&weights, course, gain));
            points.collect::<Result<Vec<_>, _>>()?
        };
        if self.state.start.is_empty() {
            self.state.start.clone_from(&points);
        }
        let score = relative_score(&points, &self.state.start);
        let best = score < self.state.best_score;
        if best {
            (self.state.best_score, self.state.best_step) = (score, self.state.step);
            self.best = self.parameters.flat().f_detach()?.f_detach_copy()?;
        }
        (course.report)(&Progress::Validated { step: self.state.step, points, score, best });
        Ok(())
    }

    fn score(
        &mut self,
        weights: &[Tensor],
        course: &Course<'_>,
        gain: Gain,
    ) -> Result<Scored, TilerTrainingError> {
        let (mut divergence, mut error, mut bits, mut pictures) = (0.0, 0.0, 0.0, 0.0);
        let numbers: Vec<usize> = (0..course.validation.len()).collect();
        for numbers in numbers.chunks(self.recipe.batch.max(1)) {
            let batch = course.validation.batch(numbers)?;
            let heard = self.listen(weights, course.teacher, &batch, &vec![gain; numbers.len()])?;
            divergence += heard.divergence.f_sum(Kind::Double)?.f_double_value(&[])?;
            error += heard.feature_error.f_double_value(&[])? * numbers.len() as f64;
            bits += heard.mean_bits() * numbers.len() as f64;
            pictures += numbers.len() as f64;
        }
        let mean = |sum: f64| sum / pictures;
        Ok(Scored { gain, bits: mean(bits), divergence: mean(divergence), feature_error: mean(error) })
    }

    fn best_tiler(&self) -> Result<Lite, TilerTrainingError> {
        let written = self.parameters.write_into(&self.all, &self.best, self.parameters.statistics())?;
        let learned = |weight: &Weight| {
            let found = written.weights.iter().find(|w| w.name == weight.name);
            found.cloned().unwrap_or_else(|| weight.clone())
        };
        let weights = self.lite.weights.iter().map(learned).collect();
        Ok(Lite { weights, ..self.lite.clone() })
    }

    fn tensors(&self) -> [Tensor; 4] {
        [self.parameters.flat(), &self.best, &self.adam.first, &self.adam.second].map(Tensor::shallow_clone)
    }

    fn save(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        self.state.mean_norm = self.clip.mean_norm;
        let tensors = self.tensors();
        let named: Vec<(&str, &Tensor)> = TENSORS.into_iter().zip(&tensors).collect();
        Ok(checkpoint::save(path, &named, &self.state)?)
    }

    fn resume(&mut self, path: &Path) -> Result<(), TilerTrainingError> {
        let (state, tensors): (State, _) = checkpoint::load(path, &TENSORS, Device::Cpu)?;
        let same =
            state.recipe == self.recipe && (state.layer, state.cr) == (self.state.layer, self.state.cr);
        let held = self.tensors();
        let fits = held.iter().zip(&tensors).all(|(held, read)| held.size() == read.size());
        if !same || !fits {
            return Err(TilerTrainingError::OtherRun { path: path.to_owned() });
        }
        let _no_grad = tch::no_grad_guard();
        for (mut held, read) in held.into_iter().zip(&tensors) {
            held.f_copy_(read)?;
        }
        (self.clip.mean_norm, self.adam.steps) = (state.mean_norm, state.step);
        self.state = state;
        Ok(())
    }
}

/// What came of one batch.
struct Heard {
    /// Of each picture.
    divergence: Tensor,
    feature_error: Tensor,
    bits: Vec<u32>,
}

impl Heard {
    fn mean_bits(&self) -> f64 {
        let sum: f64 = self.bits.iter().map(|&bits| f64::from(bits)).sum();
        sum / self.bits.len().max(1) as f64
    }
}

/// How fast a weight learns beside the usual ones, so that each changes by a like share of itself.
fn pace(weight: &Weight) -> f64 {
    if !weight.name.contains(".linear.") || weight.values.is_empty() {
        return 1.0;
    }
    let squares: f64 = weight.values.iter().map(|&v| f64::from(v).powi(2)).sum();
    LINEAR_PACE * (squares / weight.values.len() as f64).sqrt() / USUAL_WEIGHT
}

/// Weight of each picture in the loss: the divergence of the untrained start at its gain, turned over and
/// scaled to 1 in the middle of the range. Without it the coarsest gains, whose divergence is ten times that
/// of the finest, would be all that is learned.
fn emphasis(gains: &[Gain], start: &[Scored]) -> Vec<f32> {
    let mut curve: Vec<(f64, f64)> =
        start.iter().map(|p| (f64::from(p.gain.0), p.divergence.max(1e-9).ln())).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = curve.iter().map(|p| p.1).sum::<f64>() / curve.len().max(1) as f64;
    gains.iter().map(|gain| (middle - interpolate(&curve, f64::from(gain.0))).exp() as f32).collect()
}

/// The straight line through the points next to `x`, ordered by their first value; extended beyond the ends.
fn interpolate(curve: &[(f64, f64)], x: f64) -> f64 {
    match curve {
        [] => 0.0,
        [only] => only.1,
        many => {
            let last = many.len() - 2;
            let i = many.windows(2).position(|pair| x < pair[1].0).unwrap_or(last);
            let ((x0, y0), (x1, y1)) = (many[i], many[i + 1]);
            y0 + (y1 - y0) * (x - x0) / (x1 - x0).max(1e-9)
        }
    }
}

/// Mean logarithm of the divergence against that of the untrained start at the same bits (interpolated in
/// logarithms, extended beyond its ends): below 0 is better than the start.
fn relative_score(points: &[Scored], start: &[Scored]) -> f64 {
    let mut curve: Vec<(f64, f64)> =
        start.iter().map(|p| (p.bits.max(1.0).ln(), p.divergence.max(1e-9).ln())).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let scores =
        points.iter().map(|p| p.divergence.max(1e-9).ln() - interpolate(&curve, p.bits.max(1.0).ln()));
    scores.sum::<f64>() / points.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bits: f64, divergence: f64) -> Scored {
        Scored { gain: Gain(0), bits, divergence, feature_error: 0.0 }
    }

    #[test]
    fn fine_gains_weigh_more_as_their_divergence_is_less() {
        let at = |gain, divergence| Scored { gain: Gain(gain), ..point(1.0, divergence) };
        let found = emphasis(&[Gain(10), Gain(20), Gain(30), Gain(40)], &[at(30, 40.0), at(10, 10.0)]);
        for (found, expected) in found.iter().zip([2.0, 1.0, 0.5, 0.25]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn the_start_scores_zero_against_itself_and_half_the_divergence_less() {
        let start = [point(1000.0, 40.0), point(4000.0, 10.0)];
        assert!(relative_score(&start, &start).abs() < 1e-9);
        let better = [point(2000.0, 10.0)];
        assert!((relative_score(&better, &start) - 0.5f64.ln()).abs() < 1e-9);
    }
}

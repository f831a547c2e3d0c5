//! One run: some weights of one encoder and decoder learn the feature maps of one point, or of several of one
//! shape.

use std::path::Path;

use autotiler_core::{Digest, Gain};
use autotiler_graph::{
    Graph, Weight,
    tiler::{GAIN_SHAPE, gain_input},
};
use autotiler_model::sha256;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{EpochScore, PaperProgress, PaperRecipe, PaperTrainingError, features::Features};
use crate::{
    executor::{Executor, Mode},
    parameters::Parameters,
    train::{checkpoint, optimizer::AdamW},
};

/// Adam's own defaults.
const BETAS: (f64, f64) = (0.9, 0.999);
/// The one tensor of a finished run's file.
const BEST: &str = "best";
/// Least variance that errors are measured in.
const LEAST_VARIANCE: f64 = 1e-12;

/// What is trained, and how fast.
pub(super) struct Plan<'a> {
    /// Unique within the training.
    pub(super) name: String,
    pub(super) encoder: Graph,
    pub(super) decoder: Graph,
    /// Whether the weight of this name learns.
    pub(super) learns: &'a dyn Fn(&str) -> bool,
    /// Places of the points in the recipe; batches are taken from them in turn.
    pub(super) points: Vec<usize>,
    pub(super) rate: f64,
}

/// What all runs share.
pub(super) struct Setting<'a> {
    pub(super) recipe: &'a PaperRecipe,
    /// Of the network.
    pub(super) network: Digest,
    pub(super) device: Device,
    pub(super) training: &'a Features<'a>,
    pub(super) validation: &'a Features<'a>,
    /// Where finished runs are kept.
    pub(super) work: &'a Path,
    /// Whether to stop.
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Finished {
    /// Of all that the run depended on.
    digest: String,
    scores: Vec<EpochScore>,
}

/// Trains, or reads what an earlier process trained from the same. Yields the weights that learned and the
/// scores after each epoch, the first that of the start.
pub(super) fn run(
    setting: &Setting<'_>,
    plan: &Plan<'_>,
    report: &mut dyn FnMut(&PaperProgress),
) -> Result<(Vec<Weight>, Vec<EpochScore>), PaperTrainingError> {
    let all = all_weights(plan);
    let digest = digest(setting, plan, &all)?.to_string();
    let path = setting.work.join(format!("{}.safetensors", plan.name));
    let parameters = Parameters::try_new(&all, setting.device, |w| (plan.learns)(&w.name))?;
    if let Some((finished, best)) = read(&path, setting.device, &digest, parameters.flat())? {
        let error = least(&finished.scores);
        (report)(&PaperProgress::Finished { run: plan.name.clone(), error, read: true });
        return Ok((learned(plan, &parameters, &all, &best)?, finished.scores));
    }
    let mut school = School::new(setting, plan, parameters)?;
    let (best, scores) = school.train(report)?;
    let finished = Finished { digest, scores };
    checkpoint::save(&path, &[(BEST, &best)], &finished)?;
    let error = least(&finished.scores);
    (report)(&PaperProgress::Finished { run: plan.name.clone(), error, read: false });
    Ok((learned(plan, &school.parameters, &all, &best)?, finished.scores))
}

/// Validation error of the weights as they are.
pub(super) fn measure(setting: &Setting<'_>, plan: &Plan<'_>) -> Result<f64, PaperTrainingError> {
    let all = all_weights(plan);
    let parameters = Parameters::try_new(&all, setting.device, |_| false)?;
    School::new(setting, plan, parameters)?.validate(0)
}

fn all_weights(plan: &Plan<'_>) -> Graph {
    let weights = plan.encoder.weights.iter().chain(&plan.decoder.weights).cloned().collect();
    Graph { weights, ..Graph::default() }
}

/// The least validation error.
pub(super) fn least(scores: &[EpochScore]) -> f64 {
    scores.iter().map(|score| score.validation).fold(f64::INFINITY, f64::min)
}

/// The weights that learned, with the values of `flat`.
fn learned(
    plan: &Plan<'_>,
    parameters: &Parameters,
    all: &Graph,
    flat: &Tensor,
) -> Result<Vec<Weight>, PaperTrainingError> {
    let written = parameters.write_into(all, flat, parameters.statistics())?;
    Ok(written.weights.into_iter().filter(|w| (plan.learns)(&w.name)).collect())
}

/// Over all that the result depends on but the number of threads.
fn digest(setting: &Setting<'_>, plan: &Plan<'_>, all: &Graph) -> Result<Digest, PaperTrainingError> {
    let recipe = setting.recipe;
    let points = match plan.points.as_slice() {
        [point] => point.to_string(),
        several => format!("{several:?}"),
    };
    let of_recipe = (plan.rate, recipe.points, recipe.epochs, recipe.patience, recipe.batch, recipe.seed);
    let numbers = format!("({points}, {}", format!("{of_recipe:?}").trim_start_matches('('));
    let of = |features: &Features<'_>| format!("{} {:?}", features.len(), features.spread);
    let pictures = of(setting.training) + &of(setting.validation);
    let nodes = format!("{:?}{:?}", plan.encoder.nodes, plan.decoder.nodes);
    let values: Vec<u8> = all.weights.iter().flat_map(|w| bytes(w, (plan.learns)(&w.name))).collect();
    let parts = [plan.name.as_bytes(), &setting.network.0, numbers.as_bytes(), pictures.as_bytes()];
    Ok(sha256(&[parts.concat().as_slice(), nodes.as_bytes(), &values]))
}

fn bytes(weight: &Weight, learns: bool) -> Vec<u8> {
    let mut bytes = format!("{} {:?} {learns}", weight.name, weight.dims).into_bytes();
    bytes.extend(weight.values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn read(
    path: &Path,
    device: Device,
    digest: &str,
    flat: &Tensor,
) -> Result<Option<(Finished, Tensor)>, PaperTrainingError> {
    if !path.exists() {
        return Ok(None);
    }
    let (finished, mut tensors): (Finished, _) = checkpoint::load(path, &[BEST], device)?;
    let best = tensors.swap_remove(0);
    let same = finished.digest == digest && best.size() == flat.size();
    Ok(same.then_some((finished, best)))
}

/// A run at work.
struct School<'a> {
    setting: &'a Setting<'a>,
    plan: &'a Plan<'a>,
    parameters: Parameters,
    adam: AdamW,
    encoder: Executor,
    decoder: Executor,
}

impl<'a> School<'a> {
    fn new(
        setting: &'a Setting<'a>,
        plan: &'a Plan<'a>,
        parameters: Parameters,
    ) -> Result<Self, PaperTrainingError> {
        let adam = AdamW::try_new(parameters.flat(), BETAS, None)?;
        let (encoder, decoder) = (plan.encoder.clone().into(), plan.decoder.clone().into());
        let (encoder, decoder) = (Executor::try_new(encoder)?, Executor::try_new(decoder)?);
        Ok(Self { setting, plan, parameters, adam, encoder, decoder })
    }

    /// The best weights, and the scores.
    fn train(
        &mut self,
        report: &mut dyn FnMut(&PaperProgress),
    ) -> Result<(Tensor, Vec<EpochScore>), PaperTrainingError> {
        let recipe = self.setting.recipe;
        let mut scores = vec![EpochScore { epoch: 0, training: None, validation: self.validate(0)? }];
        let mut best = (0, self.snapshot()?);
        self.tell(report, &scores, true);
        for epoch in 1..=recipe.epochs {
            let training = Some(self.epoch(epoch, report)?);
            let validation = self.validate(epoch)?;
            let better = validation < least(&scores);
            scores.push(EpochScore { epoch, training, validation });
            if better {
                best = (epoch, self.snapshot()?);
            }
            self.tell(report, &scores, better);
            if epoch - best.0 >= recipe.patience.max(1) {
                break;
            }
        }
        Ok((best.1, scores))
    }

    fn tell(&self, report: &mut dyn FnMut(&PaperProgress), scores: &[EpochScore], best: bool) {
        if let Some(&score) = scores.last() {
            (report)(&PaperProgress::Epoch { run: self.plan.name.clone(), score, best });
        }
    }

    fn snapshot(&self) -> Result<Tensor, PaperTrainingError> {
        Ok(self.parameters.flat().f_detach()?.f_detach_copy()?)
    }

    /// One pass over the pictures; the mean error.
    fn epoch(
        &mut self,
        epoch: u32,
        report: &mut dyn FnMut(&PaperProgress),
    ) -> Result<f64, PaperTrainingError> {
        let recipe = self.setting.recipe;
        let mut order: Vec<usize> = (0..self.setting.training.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(recipe.seed ^ (u64::from(epoch) << 32)));
        let batches = order.chunks(recipe.batch.max(1));
        let turns = batches.flat_map(|numbers| self.plan.points.iter().map(move |&point| (point, numbers)));
        let turns: Vec<(usize, &[usize])> = turns.collect();
        let (of, mut sum, mut pictures) = (turns.len(), 0.0, 0.0);
        for (step, (point, numbers)) in turns.into_iter().enumerate() {
            if (self.setting.stop)() {
                return Err(PaperTrainingError::Stopped);
            }
            let Some(maps) = self.setting.training.batch(point, numbers)? else { continue };
            sum += self.step(epoch, point, &maps)? * numbers.len() as f64;
            pictures += numbers.len() as f64;
            let error = sum / pictures;
            let run = self.plan.name.clone();
            (report)(&PaperProgress::Step { run, epoch, step: step + 1, of, error });
        }
        Ok(sum / f64::max(pictures, 1.0))
    }

    /// One step of the optimiser; the error of its batch.
    fn step(&mut self, epoch: u32, point: usize, maps: &Tensor) -> Result<f64, PaperTrainingError> {
        let loss = self.error(point, maps)?;
        let value = self.finite(loss.f_double_value(&[])?, epoch)?;
        let flat = self.parameters.flat();
        let gradient = Tensor::f_run_backward(&[&loss], &[flat], false, false)?.swap_remove(0);
        self.finite(gradient.f_norm()?.f_double_value(&[])?, epoch)?;
        self.adam.step(flat, &gradient, self.plan.rate)?;
        Ok(value)
    }

    fn finite(&self, value: f64, epoch: u32) -> Result<f64, PaperTrainingError> {
        if value.is_finite() {
            return Ok(value);
        }
        Err(PaperTrainingError::Diverged { run: self.plan.name.clone(), epoch, loss: value })
    }

    fn validate(&self, epoch: u32) -> Result<f64, PaperTrainingError> {
        let _no_grad = tch::no_grad_guard();
        let numbers: Vec<usize> = (0..self.setting.validation.len()).collect();
        let (mut sum, mut pictures) = (0.0, 0.0);
        for numbers in numbers.chunks(self.setting.recipe.batch.max(1)) {
            for &point in &self.plan.points {
                let Some(maps) = self.setting.validation.batch(point, numbers)? else { continue };
                sum += self.error(point, &maps)?.f_double_value(&[])? * numbers.len() as f64;
                pictures += numbers.len() as f64;
            }
        }
        self.finite(sum / f64::max(pictures, 1.0), epoch)
    }

    /// Mean squared error in shares of the point's variance on the pictures that are learned from.
    fn error(&self, point: usize, maps: &Tensor) -> Result<Tensor, PaperTrainingError> {
        let weights = self.parameters.weights()?;
        let (encoder, decoder) = weights.split_at(self.encoder.graph().weights.len());
        // The plane is rounded to bytes as it will be in use, which gradients pass.
        let mode = Mode { straight_through: true, ..Mode::default() };
        let plane = self.encoder.run(encoder, &[maps.shallow_clone()], mode)?.swap_remove(0);
        let count = maps.size().first().copied().unwrap_or(0);
        let gain = gain_input(&[Gain::UNITY]);
        let gain = Tensor::f_from_slice(gain.as_f32().unwrap_or_default())?;
        let gain = gain.f_reshape([1, GAIN_SHAPE.c as i64, 1, 1])?.f_expand([count, -1, -1, -1], false)?;
        let inputs = [plane, gain.f_to_device(self.setting.device)?];
        let back = self.decoder.run(decoder, &inputs, mode)?.swap_remove(0);
        let variance = self.setting.training.spread.get(point).map_or(1.0, |spread| spread.variance);
        let error = back.f_sub(maps)?.f_square()?.f_mean(Kind::Float)?;
        Ok(error.f_div_scalar(variance.max(LEAST_VARIANCE))?)
    }
}

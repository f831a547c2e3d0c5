//! One partition point of one network, with the tiler that needs no preparation there.

use std::rc::Rc;

use autotiler_core::Gain;
use autotiler_graph::tiler::{AutoTiler as _, Omni, Restorer};
use autotiler_hevc::EncoderOptions;
use tch::{Device, Kind, Tensor};

use super::super::tiler::{
    Scored, TilerTrainingError,
    lesson::{Lessons, Teacher},
    trial::{Heard, Trial},
};
use crate::engine::load_weight;

/// A weight of the decoder's graph: each map's level, which jitter is added to.
const LEVELS: &str = "untiler.restore.offset.bias";
/// How many units of [`LEVELS`] an octave is.
const LEVEL_SCALE: f64 = 0.5;

/// What the restorer learns from, or is tried on.
pub struct Subject {
    /// For reports, like `street layer 36 cr 1`.
    pub name: String,
    /// The network, cut there.
    pub teacher: Teacher,
    /// Its tiler; the restorer in it is not used.
    pub omni: Omni,
    /// To learn from.
    pub training: Rc<Lessons>,
    /// To choose with, or to try on.
    pub validation: Rc<Lessons>,
}

/// Where a weight of the tiler's graphs comes from.
enum Place {
    /// The restorer's weight of this number, so many times.
    Shared(usize, i64),
    Levels(Tensor),
    Fixed(Tensor),
}

/// A subject at work.
pub(super) struct Desk<'a> {
    pub(super) subject: &'a Subject,
    trial: Trial,
    places: Vec<Place>,
    /// Scores without the restorer.
    pub(super) start: Vec<Scored>,
}

impl<'a> Desk<'a> {
    pub(super) fn try_new(
        subject: &'a Subject,
        restorer: &Restorer,
        codec: EncoderOptions,
    ) -> Result<Self, TilerTrainingError> {
        let omni = Omni { restorer: restorer.clone(), ..subject.omni.clone() };
        let trial = Trial::try_new(&omni, codec)?;
        let device = subject.teacher.tail.device();
        let place = |weight: &autotiler_graph::Weight| {
            let shared = restorer.weights().iter().position(|own| own.name == weight.name);
            if let Some(number) = shared {
                return Ok(Place::Shared(number, omni.spec().maps as i64));
            }
            let value = load_weight(weight, device, Kind::Float)?;
            Ok(if weight.name == LEVELS { Place::Levels(value) } else { Place::Fixed(value) })
        };
        let all = trial.all_weights();
        let places = all.weights.iter().map(place).collect::<Result<_, tch::TchError>>()?;
        Ok(Self { subject, trial, places, start: Vec::new() })
    }

    /// Where it runs.
    pub(super) fn device(&self) -> Device {
        self.subject.teacher.tail.device()
    }

    /// The graphs' weights for a restorer whose values are `shared`; levels are off by `jitter` octaves.
    fn weights(&self, shared: &[Tensor], jitter: Option<&Tensor>) -> Result<Vec<Tensor>, tch::TchError> {
        let value = |place: &Place| match place {
            Place::Shared(number, maps) => {
                let mut times = vec![1; shared[*number].dim()];
                times[0] = *maps;
                shared[*number].f_repeat(&times)
            }
            Place::Levels(levels) => match jitter {
                Some(octaves) => levels.f_add(&octaves.f_mul_scalar(LEVEL_SCALE)?),
                None => Ok(levels.shallow_clone()),
            },
            Place::Fixed(value) => Ok(value.shallow_clone()),
        };
        self.places.iter().map(value).collect()
    }

    /// What comes of some training pictures.
    pub(super) fn listen(
        &mut self,
        shared: &[Tensor],
        numbers: &[usize],
        gains: &[Gain],
        jitter: &[f32],
    ) -> Result<Heard, TilerTrainingError> {
        let device = self.device();
        let batch = self.subject.training.batch(numbers)?.to_device(device)?;
        let jitter = Tensor::f_from_slice(jitter)?.f_to_device(device)?;
        let weights = self.weights(shared, Some(&jitter))?;
        self.trial.listen(&weights, &self.subject.teacher, &batch, gains)
    }

    /// Scores a restorer on the validation pictures.
    pub(super) fn score(
        &mut self,
        shared: &[Tensor],
        gains: &[Gain],
        batch: usize,
    ) -> Result<Vec<Scored>, TilerTrainingError> {
        let weights = self.weights(shared, None)?;
        let Subject { teacher, validation, .. } = self.subject;
        gains.iter().map(|&gain| self.trial.score(&weights, teacher, validation, gain, batch)).collect()
    }
}

//! Times of the stages of one point, nothing else running.

use std::time::{Duration, Instant};

use autotiler_core::{Gain, Route, TargetBits};
use autotiler_graph::Engine;
use autotiler_hevc::{AccessUnit, Decoder, Encoder, FrameFormat, RateControl, Steered};
use autotiler_pipeline::{
    BoxFinder, BoxOptions, CodedFrame, DeviceOutput, DeviceStage, ServerSource, ServerStage,
};
use autotiler_scene::Picture;
use serde::{Deserialize, Serialize};

use super::plan::Planned;
use crate::{carry::Workshop, error::EvalError};

/// Frames before the first that counts: the rate control's search and the encoder's rungs are over by then.
const WARM_UP: usize = 8;
/// All is timed so often over, and the quickest round counts: whatever else runs on the machine only adds time.
const ROUNDS: usize = 3;
/// Sizes of the server's runs; the decoder makes none above 8.
const BATCHES: [u16; 4] = [1, 2, 4, 8];
/// Fewest runs of each size that count.
const LEAST_RUNS: usize = 5;
/// What the decoder keeps unless it is told otherwise.
const SERVER_BOXES: BoxOptions =
    BoxOptions { score_threshold: 0.2, nms_iou: autotiler_core::nms::DEFAULT_IOU, max_detections: 300 };

/// A time and how it varies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50_us: u32,
    /// 95th percentile.
    pub p95_us: u32,
}

/// Median times of the server for frames that share a run, for all of them together, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Frames in it.
    pub batch: u16,
    /// HEVC decoding.
    pub decode_us: u32,
    /// Tiler decoder, tail and boxes.
    pub tail_us: u32,
}

/// Times of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Head, tiler and codec; network and boxes for device-only; resizing, 4:2:0 and codec for server-only.
    pub device: Spread,
    /// By rising size; empty for device-only. Pictures share no run, as in the decoder.
    pub server: Vec<Run>,
}

/// Measures times.
pub struct Clock<'a> {
    /// Network, tilers and codec; its engine stands for the device's.
    pub workshop: Workshop<'a>,
    /// The server's engine.
    pub server: &'a dyn Engine,
    /// Frames of a round.
    pub frames: usize,
}

/// A frame as it went over the wire.
struct Sent {
    unit: AccessUnit,
    gain: Gain,
}

impl Clock<'_> {
    /// Frames that [`Clock::time`] carries.
    pub fn passes(&self) -> usize {
        WARM_UP + ROUNDS * self.frames
    }

    /// Carries `pictures` in turn at `planned`, coded to `target` bits (device-only: none), and then works them off
    /// in runs of each size. `step` is called for each frame.
    ///
    /// # Errors
    /// [`EvalError`]; [`EvalError::Output`] without pictures, or without a target where one is needed.
    pub fn time(
        &self,
        planned: &Planned,
        pictures: &[Picture],
        target: Option<TargetBits>,
        mut step: impl FnMut(),
    ) -> Result<Times, EvalError> {
        let Workshop { model, engine, .. } = self.workshop;
        let kind = planned.tiler.map(|(kind, ..)| kind);
        let mut stage = DeviceStage::new(engine, model, planned.route, kind)?;
        let turns = pictures.iter().cycle().take(self.passes());
        let Some(format) = stage.format() else {
            let boxes = BoxFinder::new(&model.network, BoxOptions::default());
            let alone = |picture| {
                step();
                let start = Instant::now();
                match stage.run(picture)? {
                    DeviceOutput::Heads(heads) => drop(boxes.find(&heads)?),
                    DeviceOutput::Frame(_) => {
                        return Err(EvalError::Output("a frame of a point that sends none"));
                    }
                }
                Ok(start.elapsed())
            };
            let times = turns.map(alone).collect::<Result<Vec<_>, EvalError>>()?;
            return Ok(Times { device: self.spread(&times)?, server: Vec::new() });
        };
        let target = target.ok_or(EvalError::Output("no bits to code with"))?;
        let mut encoder = Encoder::spawn(format, self.workshop.encoder.clone())?;
        let target = TargetBits::try_new(target.get().max(encoder.floor_bits())).unwrap_or(target);
        let mut rate = RateControl::try_new(target, None, encoder.floor_bits(), format.len())?;
        let (mut times, mut sent) = (Vec::new(), Vec::new());
        for picture in turns {
            step();
            let start = Instant::now();
            let DeviceOutput::Frame(frame) = stage.run(picture)? else {
                return Err(EvalError::Output("no plane"));
            };
            let Steered { unit, gain, .. } = encoder.encode_steered(&frame, &mut rate)?;
            times.push(start.elapsed());
            sent.push(Sent { unit, gain });
        }
        let decoder =
            Decoder::spawn(format, encoder.parameter_sets().clone(), self.workshop.decoder.clone())?;
        drop(encoder);
        Ok(Times { device: self.spread(&times)?, server: self.work_off(planned, format, decoder, &sent)? })
    }

    /// The server's runs.
    fn work_off(
        &self,
        planned: &Planned,
        format: FrameFormat,
        mut decoder: Decoder,
        sent: &[Sent],
    ) -> Result<Vec<Run>, EvalError> {
        let model = self.workshop.model;
        let stored = match (planned.route, planned.tiler) {
            (Route::Split { layer, cr }, Some((kind, ..))) => Some(model.tiler(layer, cr, Some(kind))?),
            _ => None,
        };
        let source = stored.map_or(ServerSource::Picture, ServerSource::Plane);
        let mut stage = ServerStage::new(self.server, model, source)?;
        debug_assert_eq!(stage.format(), format, "both sides take the format from the tiler");
        let boxes = BoxFinder::new(&model.network, SERVER_BOXES);
        let sizes = if stored.is_some() { BATCHES.as_slice() } else { &[1] };
        let mut turns = sent.iter().cycle();
        let mut best: Vec<Run> = Vec::new();
        for _ in 0..ROUNDS {
            for &batch in sizes {
                let count = (self.frames / usize::from(batch)).max(LEAST_RUNS);
                let (mut decoding, mut tails) = (Vec::new(), Vec::new());
                // The first run of a size is a slow one and does not count.
                for _ in 0..=count {
                    let frames: Vec<&Sent> = turns.by_ref().take(usize::from(batch)).collect();
                    let start = Instant::now();
                    let decode = |frame: &&Sent| decoder.decode_scaled(frame.unit.bytes());
                    let planes = frames.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
                    decoding.push(start.elapsed());
                    let start = Instant::now();
                    let coded: Vec<CodedFrame<'_>> = planes
                        .iter()
                        .zip(&frames)
                        .map(|(plane, frame)| CodedFrame {
                            bytes: &plane.samples,
                            gain: frame.gain,
                            qp_gain: plane.qp_gain,
                        })
                        .collect();
                    for heads in stage.run(&coded)? {
                        boxes.find(&heads)?;
                    }
                    tails.push(start.elapsed());
                }
                let median =
                    |times: &[Duration]| percentile(times.get(1..).unwrap_or_default(), 50).map(micros);
                let run = Run { batch, decode_us: median(&decoding)?, tail_us: median(&tails)? };
                keep_quicker(&mut best, run);
            }
        }
        Ok(best)
    }

    /// Of the quickest round after the warm-up.
    fn spread(&self, times: &[Duration]) -> Result<Spread, EvalError> {
        let rounds = times.get(WARM_UP..).unwrap_or_default().chunks(self.frames.max(1));
        let spread = |round| {
            Ok(Spread { p50_us: micros(percentile(round, 50)?), p95_us: micros(percentile(round, 95)?) })
        };
        let rounds = rounds.map(spread).collect::<Result<Vec<_>, EvalError>>()?;
        rounds.into_iter().min_by_key(|round| round.p50_us).ok_or(NO_TIMES)
    }
}

/// Why a percentile of nothing is none.
const NO_TIMES: EvalError = EvalError::Output("no times: there was no picture");

/// Puts `run` in the place of a slower one of its size, else at the end.
fn keep_quicker(runs: &mut Vec<Run>, run: Run) {
    match runs.iter_mut().find(|kept| kept.batch == run.batch) {
        Some(kept) => {
            kept.decode_us = kept.decode_us.min(run.decode_us);
            kept.tail_us = kept.tail_us.min(run.tail_us);
        }
        None => runs.push(run),
    }
}

/// By nearest rank.
fn percentile(times: &[Duration], percent: usize) -> Result<Duration, EvalError> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().ok_or(NO_TIMES)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_seen() {
        let times: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        let at = |percent| percentile(&times, percent).unwrap().as_millis();
        assert_eq!((at(50), at(95), at(100)), (10, 19, 20));
        assert!(percentile(&[], 50).is_err());
    }

    #[test]
    fn the_quicker_round_of_each_size_counts() {
        let run = |batch, decode_us, tail_us| Run { batch, decode_us, tail_us };
        let mut runs = vec![];
        for next in [run(1, 5, 50), run(2, 9, 70), run(1, 6, 40), run(2, 8, 90)] {
            keep_quicker(&mut runs, next);
        }
        assert_eq!(runs, [run(1, 5, 40), run(2, 8, 70)]);
    }
}

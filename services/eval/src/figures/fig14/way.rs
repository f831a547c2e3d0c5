//! One way of a feature map through a codec and back, timed.

use std::time::{Duration, Instant};

use autotiler_core::{Gain, TargetBits};
use autotiler_graph::{
    Engine, Session, Tensor,
    tiler::{AutoTiler, TilerSpec, gain_input_beside_qp},
};
use autotiler_hevc::{
    Decoder, DecoderOptions, Encoder, EncoderOptions, FrameFormat, PixelFormat, RateControl, ScaledPlane,
};

use super::tiles::{Layout, Tiles};
use crate::{carry::Workshop, error::EvalError, figures::FigureError};

/// Frames of 1664x1664 samples take longer than a camera's.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// Where no gain is small enough.
const COARSEST: Gain = Gain(u8::MAX);

/// Time of the stages, and bits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Passed {
    pub(super) tiler: Duration,
    pub(super) tiling: Duration,
    pub(super) encode: Duration,
    pub(super) decode: Duration,
    pub(super) untiling: Duration,
    pub(super) untiler: Duration,
    pub(super) bits: u64,
}

/// See the module.
pub(super) struct Way {
    stages: Stages,
    codec: Codec,
}

enum Stages {
    /// By hand.
    Tiles(Layout),
    /// By networks.
    Tiler { encoder: Box<dyn Session>, decoder: Box<dyn Session>, spec: TilerSpec },
}

struct Codec {
    encoder: Encoder,
    decoder: Decoder,
    /// None where not even a flat frame is as small as the target.
    control: Option<RateControl>,
}

/// A frame on its way back.
struct Coded {
    plane: ScaledPlane,
    gain: Gain,
}

impl Way {
    /// Tiling, or frame per channel.
    pub(super) fn tiles(workshop: Workshop<'_>, layout: Layout, kbit: f64) -> Result<Self, FigureError> {
        let frames = if layout.each_map { layout.spec.maps } else { 1 };
        let codec = Codec::spawn(workshop, layout.frame(), kbit / frames.max(1) as f64)?;
        Ok(Self { stages: Stages::Tiles(layout), codec })
    }

    /// A tiler's networks.
    pub(super) fn tiler(
        workshop: Workshop<'_>,
        tiler: &dyn AutoTiler,
        kbit: f64,
    ) -> Result<Self, FigureError> {
        let spec = *tiler.spec();
        let plane = spec.plane();
        let engine: &dyn Engine = workshop.engine;
        let stages = Stages::Tiler {
            encoder: engine.load(&tiler.encoder()?)?,
            decoder: engine.load(&tiler.decoder()?)?,
            spec,
        };
        Ok(Self { stages, codec: Codec::spawn(workshop, (plane.h, plane.w), kbit)? })
    }

    /// Height and width of a coded frame, and how many there are.
    pub(super) fn frames(&self) -> (usize, usize, usize) {
        match &self.stages {
            Stages::Tiles(layout) => {
                let (h, w) = layout.frame();
                (h, w, if layout.each_map { layout.spec.maps } else { 1 })
            }
            Stages::Tiler { spec, .. } => (spec.plane().h, spec.plane().w, 1),
        }
    }

    /// Takes one feature map there and back.
    pub(super) fn pass(&mut self, feature: &Tensor) -> Result<Passed, FigureError> {
        let mut passed = Passed::default();
        match &mut self.stages {
            Stages::Tiles(layout) => {
                let values = feature.as_f32().ok_or(EvalError::Output("no floats"))?;
                let (tiles, took) = timed(|| layout.tile(values));
                passed.tiling = took;
                let coded = self.codec.pass(&tiles.frames, &mut passed)?;
                let (back, took) = timed(|| {
                    let gains: Vec<f32> = coded.iter().map(|frame| frame.plane.factor(frame.gain)).collect();
                    let frames = coded.into_iter().map(|frame| frame.plane.samples).collect();
                    layout.untile(&Tiles { frames, ..tiles }, &gains)
                });
                passed.untiling = took;
                if back.len() != values.len() {
                    return Err(EvalError::Output("a feature map of another size").into());
                }
            }
            Stages::Tiler { encoder, decoder, spec } => {
                let (planes, took) = timed(|| encoder.run(std::slice::from_ref(feature)));
                passed.tiler = took;
                let plane = planes?.pop().and_then(|plane| plane.as_u8().map(<[u8]>::to_vec));
                let plane = plane.ok_or(EvalError::Output("no plane"))?;
                let frame = self.codec.pass(&[plane], &mut passed)?.pop();
                let frame = frame.ok_or(EvalError::Output("no plane"))?;
                let (run, took) = timed(|| {
                    let gain = gain_input_beside_qp([(frame.gain, frame.plane.qp_gain)]);
                    decoder.run(&[Tensor::u8(spec.plane(), frame.plane.samples), gain])
                });
                run?;
                passed.untiler = took;
            }
        }
        Ok(passed)
    }
}

impl Codec {
    fn spawn(
        workshop: Workshop<'_>,
        (height, width): (usize, usize),
        kbit: f64,
    ) -> Result<Self, FigureError> {
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let format = FrameFormat::try_new(side(width), side(height), PixelFormat::Gray)?;
        let encoding = EncoderOptions { frame_timeout: FRAME_TIMEOUT, ..workshop.encoder.clone() };
        let decoding = DecoderOptions { frame_timeout: FRAME_TIMEOUT, ..workshop.decoder.clone() };
        let encoder = Encoder::spawn(format, encoding)?;
        let decoder = Decoder::spawn(format, encoder.parameter_sets().clone(), decoding)?;
        let target = TargetBits::try_new((kbit * 1e3).round() as u32).ok();
        let control = target
            .and_then(|target| RateControl::try_new(target, None, encoder.floor_bits(), width * height).ok());
        Ok(Self { encoder, decoder, control })
    }

    /// Codes all frames, then decodes them.
    fn pass(&mut self, frames: &[Vec<u8>], passed: &mut Passed) -> Result<Vec<Coded>, FigureError> {
        let mut units = Vec::with_capacity(frames.len());
        let start = Instant::now();
        for frame in frames {
            let (unit, gain) = match &mut self.control {
                Some(control) => {
                    let steered = self.encoder.encode_steered(frame, control)?;
                    (steered.unit, steered.gain)
                }
                None => (self.encoder.encode(frame, COARSEST)?, COARSEST),
            };
            passed.bits += u64::from(unit.bits());
            units.push((unit, gain));
        }
        passed.encode = start.elapsed();
        let start = Instant::now();
        let mut coded = Vec::with_capacity(units.len());
        for (unit, gain) in units {
            coded.push(Coded { plane: self.decoder.decode_scaled(unit.bytes())?, gain });
        }
        passed.decode = start.elapsed();
        Ok(coded)
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

//! One operating point in one process: the stages that edge and decoder run, without the network between.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use autotiler_core::{OperatingPoint, Route};
use autotiler_graph::Engine;
use autotiler_hevc::{
    Decoder, Encoder, Steered,
    rate::{OutOfReach, RateControl},
};
use autotiler_model::{Model, TilerKind};
use autotiler_pipeline::{CodedFrame, DeviceOutput, DeviceStage, RawHeads, ServerSource, ServerStage};
use autotiler_scene::Picture;

use crate::common::CodecArgs;

/// The way of a picture at one operating point.
pub(crate) struct CodedPath {
    device: DeviceStage,
    coded: Option<Coded>,
    tiler: Option<TilerKind>,
}

/// What a point that sends something needs beyond its device stage.
struct Coded {
    encoder: Encoder,
    decoder: Decoder,
    rate: RateControl,
    server: ServerStage,
}

/// What one picture cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    pub(crate) bits: u32,
    pub(crate) device: Duration,
    pub(crate) encode: Duration,
    pub(crate) decode: Duration,
    pub(crate) server: Duration,
}

impl CodedPath {
    pub(crate) fn new(
        model: &Model,
        engine: &dyn Engine,
        point: OperatingPoint,
        kind: Option<TilerKind>,
        codec: &CodecArgs,
    ) -> anyhow::Result<Self> {
        let device = DeviceStage::new(engine, model, point.route, kind)?;
        let stored = match point.route {
            Route::Split { layer, cr } => Some(model.tiler(layer, cr, kind)?),
            _ => None,
        };
        let coded = match (device.format(), point.bits()) {
            (Some(format), Some(target)) => {
                let source = stored.map_or(ServerSource::Picture, ServerSource::Plane);
                let encoder = Encoder::spawn(format, codec.encoder())?;
                let parameter_sets = encoder.parameter_sets().clone();
                Some(Coded {
                    rate: RateControl::try_new(target, None, encoder.floor_bits(), format.len())?,
                    decoder: Decoder::spawn(format, parameter_sets, codec.decoder())?,
                    server: ServerStage::new(engine, model, source)?,
                    encoder,
                })
            }
            _ => None,
        };
        Ok(Self { device, coded, tiler: stored.map(|stored| stored.kind) })
    }

    /// Which member of the family squeezes.
    pub(crate) fn tiler(&self) -> Option<TilerKind> {
        self.tiler
    }

    /// Sends one picture all the way to the raw heads.
    pub(crate) fn pass(&mut self, picture: &Picture) -> anyhow::Result<(RawHeads, Passed)> {
        let mut passed = Passed::default();
        let start = Instant::now();
        let output = self.device.run(picture)?;
        passed.device = start.elapsed();
        let frame = match (output, &mut self.coded) {
            (DeviceOutput::Heads(heads), _) => return Ok((heads, passed)),
            (DeviceOutput::Frame(frame), Some(coded)) => (frame, coded),
            (DeviceOutput::Frame(_), None) => anyhow::bail!("a frame without a codec"),
        };
        frame.1.pass(&frame.0, passed)
    }

    /// The refusal of a target that the planes could not carry.
    pub(crate) fn out_of_reach(&self) -> Option<OutOfReach> {
        self.coded.as_ref().and_then(|coded| coded.rate.out_of_reach())
    }
}

impl Coded {
    fn pass(&mut self, frame: &[u8], mut passed: Passed) -> anyhow::Result<(RawHeads, Passed)> {
        let start = Instant::now();
        let Steered { unit, gain, .. } = self.encoder.encode_steered(frame, &mut self.rate)?;
        passed.bits = unit.bits();
        passed.encode = start.elapsed();

        let start = Instant::now();
        let plane = self.decoder.decode_scaled(unit.bytes())?;
        passed.decode = start.elapsed();

        let start = Instant::now();
        let heads =
            self.server.run(&[CodedFrame { bytes: &plane.samples, gain, qp_gain: plane.qp_gain }])?.pop();
        passed.server = start.elapsed();
        Ok((heads.context("the server stage yielded nothing")?, passed))
    }
}

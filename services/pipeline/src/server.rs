//! The server's stages: decoded frames to raw heads.

use autotiler_core::{Gain, Shape};
use autotiler_graph::{Engine, Session, Tensor, TensorData, partition, tiler::gain_input_beside_qp};
use autotiler_hevc::{FrameFormat, undo_gain};
use autotiler_model::{Model, StoredTiler, plan};
use autotiler_scene::Picture;

use crate::{
    device::{picture_format, plane_format},
    error::PipelineError,
};

/// What the decoded frames are.
#[derive(Debug, Clone, Copy)]
pub enum ServerSource<'a> {
    /// Planes of this tiler.
    Plane(&'a StoredTiler),
    /// Pictures.
    Picture,
}

/// One decoded frame, as [`autotiler_hevc::Decoder::decode_scaled`] yields it.
#[derive(Debug, Clone, Copy)]
pub struct CodedFrame<'a> {
    /// Bytes of [`ServerStage::format`], scaled by what of the gain the QP did not stand for.
    pub bytes: &'a [u8],
    /// The whole gain, from the frame header.
    pub gain: Gain,
    /// The part of it that the codec took as QP.
    pub qp_gain: Gain,
}

/// Values of all raw heads for one picture, in the order of the network's heads.
#[derive(Debug, Clone, PartialEq)]
pub struct RawHeads(pub Vec<Vec<f32>>);

/// The server's work at one operating point. One thread's own.
pub struct ServerStage {
    session: Box<dyn Session>,
    format: FrameFormat,
    kind: Kind,
}

enum Kind {
    Plane { shape: Shape },
    Picture { input: Shape },
}

impl ServerStage {
    /// Loads tiler decoder and tail, or the whole network for pictures.
    ///
    /// # Errors
    /// [`PipelineError`] when the tiler is of another network or the engine refuses.
    pub fn new(engine: &dyn Engine, model: &Model, source: ServerSource<'_>) -> Result<Self, PipelineError> {
        match source {
            ServerSource::Picture => {
                let input = model.network.input;
                let session = engine.load(&model.network.graph)?;
                Ok(Self { session, format: picture_format(input)?, kind: Kind::Picture { input } })
            }
            ServerSource::Plane(stored) => {
                let (_, tail) = partition::split(&model.network, stored.layer())?;
                let session = engine.load(&plan::server_graph(&tail, stored.tiler())?)?;
                let shape = stored.spec().plane();
                Ok(Self { session, format: plane_format(shape)?, kind: Kind::Plane { shape } })
            }
        }
    }

    /// What the HEVC decoder must yield.
    pub fn format(&self) -> FrameFormat {
        self.format
    }

    /// Runs a batch; one result for each frame, in order.
    ///
    /// # Errors
    /// [`PipelineError::FrameLength`] before anything runs, or [`PipelineError::Engine`].
    pub fn run(&mut self, frames: &[CodedFrame<'_>]) -> Result<Vec<RawHeads>, PipelineError> {
        let expected = self.format.len();
        if let Some(wrong) = frames.iter().find(|frame| frame.bytes.len() != expected) {
            return Err(PipelineError::FrameLength { expected, got: wrong.bytes.len() });
        }
        let inputs = match &self.kind {
            Kind::Plane { shape } => plane_inputs(frames, *shape),
            Kind::Picture { input } => vec![picture_input(frames, *input)?],
        };
        heads_by_picture(&self.session.run(&inputs)?, frames.len())
    }
}

fn plane_inputs(frames: &[CodedFrame<'_>], shape: Shape) -> Vec<Tensor> {
    let bytes = frames.iter().flat_map(|frame| frame.bytes).copied().collect();
    let gains = frames.iter().map(|frame| (frame.gain, frame.qp_gain));
    vec![Tensor { batch: frames.len(), shape, data: TensorData::U8(bytes) }, gain_input_beside_qp(gains)]
}

fn picture_input(frames: &[CodedFrame<'_>], input: Shape) -> Result<Tensor, PipelineError> {
    let mut values = Vec::with_capacity(frames.len() * input.len());
    for frame in frames {
        let mut samples = frame.bytes.to_vec();
        // The rest of the gain: factors multiply, so steps subtract.
        undo_gain(&mut samples, Gain(frame.gain.0.saturating_sub(frame.qp_gain.0)));
        values.extend(Picture::from_yuv420(input.w, input.h, &samples)?.to_input(input.w, input.h));
    }
    Ok(Tensor { batch: frames.len(), shape: input, data: TensorData::F32(values) })
}

/// Splits batched heads into one [`RawHeads`] for each picture.
pub(crate) fn heads_by_picture(heads: &[Tensor], batch: usize) -> Result<Vec<RawHeads>, PipelineError> {
    let floats: Vec<(&[f32], usize)> = heads
        .iter()
        .map(|head| match head.as_f32() {
            Some(values) if head.is_consistent() && head.batch == batch => Ok((values, head.shape.len())),
            _ => Err(PipelineError::Output(format!("a head of batch {} and {}", head.batch, head.shape))),
        })
        .collect::<Result<_, _>>()?;
    let of_picture = |i: usize| {
        RawHeads(floats.iter().map(|(values, len)| values[i * len..(i + 1) * len].to_vec()).collect())
    };
    Ok((0..batch).map(of_picture).collect())
}

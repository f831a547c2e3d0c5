//! The device's stages: picture to what the codec takes, or to raw heads.

use autotiler_core::{Route, Shape, wire::Payload};
use autotiler_graph::{Engine, Session, Tensor, partition};
use autotiler_hevc::{FrameFormat, PixelFormat};
use autotiler_model::{Model, TilerKind, plan};
use autotiler_scene::Picture;

use crate::{
    error::PipelineError,
    server::{RawHeads, heads_by_picture},
};

/// The device's work at one operating point. One thread's own.
pub struct DeviceStage {
    input: Shape,
    work: Work,
}

enum Work {
    /// Head and tiler encoder in one graph.
    Split { session: Box<dyn Session>, format: FrameFormat, payload: Payload },
    /// The picture itself, at the network's size.
    Picture { format: FrameFormat },
    /// The whole network.
    Whole { session: Box<dyn Session> },
}

/// What leaves the device's network.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceOutput {
    /// A frame for the codec.
    Frame(Vec<u8>),
    /// Raw heads: everything was done on the device.
    Heads(RawHeads),
}

impl DeviceStage {
    /// Loads what `route` needs; `kind` picks a tiler where several fit.
    ///
    /// # Errors
    /// [`PipelineError`] when the model has no such tiler or the engine refuses.
    pub fn new(
        engine: &dyn Engine,
        model: &Model,
        route: Route,
        kind: Option<TilerKind>,
    ) -> Result<Self, PipelineError> {
        let input = model.network.input;
        let work = match route {
            Route::DeviceOnly => Work::Whole { session: engine.load(&model.network.graph)? },
            Route::ServerOnly => Work::Picture { format: picture_format(input)? },
            Route::Split { layer, cr } => {
                let stored = model.tiler(layer, cr, kind)?;
                let (head, _) = partition::split(&model.network, layer)?;
                let graph = plan::device_graph(&head, stored.tiler())?;
                let payload = Payload::Plane { layer, cr, tiler: stored.digest.prefix() };
                Work::Split {
                    session: engine.load(&graph)?,
                    format: plane_format(stored.spec().plane())?,
                    payload,
                }
            }
        };
        Ok(Self { input, work })
    }

    /// What the codec is given; none when nothing is coded.
    pub fn format(&self) -> Option<FrameFormat> {
        match &self.work {
            Work::Split { format, .. } | Work::Picture { format } => Some(*format),
            Work::Whole { .. } => None,
        }
    }

    /// What the frame header says of the payload; none when nothing is sent.
    pub fn payload(&self) -> Option<Payload> {
        match &self.work {
            Work::Split { payload, .. } => Some(*payload),
            Work::Picture { .. } => Some(Payload::Picture),
            Work::Whole { .. } => None,
        }
    }

    /// Runs one picture of any size; it is squashed to the network's input.
    ///
    /// # Errors
    /// [`PipelineError::Engine`].
    pub fn run(&mut self, picture: &Picture) -> Result<DeviceOutput, PipelineError> {
        let (w, h) = (self.input.w, self.input.h);
        let tensor = || input_tensor(picture, self.input);
        match &mut self.work {
            Work::Split { session, .. } => {
                let plane = session.run(&[tensor()])?.pop().map(|plane| plane.data);
                match plane {
                    Some(autotiler_graph::TensorData::U8(bytes)) => Ok(DeviceOutput::Frame(bytes)),
                    _ => Err(PipelineError::Output("no plane of bytes".to_owned())),
                }
            }
            Work::Picture { .. } => Ok(DeviceOutput::Frame(picture.resize(w, h).to_yuv420()?)),
            Work::Whole { session } => {
                let heads = heads_by_picture(&session.run(&[tensor()])?, 1)?.pop();
                heads.map(DeviceOutput::Heads).ok_or_else(|| PipelineError::Output("no heads".to_owned()))
            }
        }
    }
}

/// The network's input for a picture of any size: squashed to `input` in bytes, as detectors' own tools do, then
/// floats from 0 to 1.
pub fn input_tensor(picture: &Picture, input: Shape) -> Tensor {
    Tensor::f32(input, picture.resize(input.w, input.h).to_input(input.w, input.h))
}

/// The format of a tiled plane.
pub(crate) fn plane_format(plane: Shape) -> Result<FrameFormat, PipelineError> {
    format(plane, PixelFormat::Gray)
}

/// The format of the picture at the network's size.
pub(crate) fn picture_format(input: Shape) -> Result<FrameFormat, PipelineError> {
    format(input, PixelFormat::Yuv420)
}

fn format(shape: Shape, pixel: PixelFormat) -> Result<FrameFormat, PipelineError> {
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(FrameFormat::try_new(side(shape.w), side(shape.h), pixel)?)
}

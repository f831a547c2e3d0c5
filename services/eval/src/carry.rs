//! Carrying one picture at each setting of a method, by the stages that edge and decoder run.

mod picture;
mod plane;

use std::time::{Duration, Instant};

use autotiler_graph::Engine;
use autotiler_hevc::{DecoderOptions, EncoderOptions};
use autotiler_model::Model;
use autotiler_pipeline::RawHeads;
use autotiler_scene::Picture;

use crate::{
    error::EvalError,
    method::{Method, Setting},
};

/// What carrying one picture at one setting came to.
#[derive(Debug, Clone)]
pub struct Carried {
    /// What travels, without the 64 bytes of a frame message: access units, the whole JPEG file, or bytes.
    pub bits: u32,
    /// What the server's network makes of it.
    pub heads: RawHeads,
    /// Structural similarity of the decoded plane to the plane; none for pictures.
    pub ssim: Option<f64>,
    /// Time of each stage.
    pub spent: Stages,
}

/// Time of each stage. The device stage is the same for all settings of a picture.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stages {
    /// Head and tiler.
    pub device: Duration,
    /// Coding.
    pub encode: Duration,
    /// Decoding.
    pub decode: Duration,
    /// The tiler's inverse and the tail.
    pub server: Duration,
}

/// What a carrier is made of.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// Network and tilers.
    pub model: &'a Model,
    /// Runs them; one thread for each session is best.
    pub engine: &'a dyn Engine,
    /// Settings of the codec.
    pub encoder: &'a EncoderOptions,
    /// Settings of its inverse.
    pub decoder: &'a DecoderOptions,
}

/// The way of pictures by one method. One thread's own.
pub trait Carrier {
    /// Carries `picture` at each of `settings`, in their order.
    ///
    /// # Errors
    /// [`EvalError`]; a setting that the method does not have is [`EvalError::Setting`].
    fn carry(&mut self, picture: &Picture, settings: &[Setting]) -> Result<Vec<Carried>, EvalError>;
}

/// Opens the way of `method`.
///
/// # Errors
/// [`EvalError`] when the model lacks the tiler or a program is missing.
pub fn carrier(workshop: Workshop<'_>, method: Method) -> Result<Box<dyn Carrier>, EvalError> {
    match method {
        Method::Tiler { .. } => Ok(Box::new(plane::PlaneCarrier::new(workshop, method)?)),
        Method::Picture { .. } | Method::Jpeg => {
            Ok(Box::new(picture::PictureCarrier::new(workshop, method)?))
        }
    }
}

/// The error for a setting that `method` does not have.
fn refused(method: Method, setting: Setting) -> EvalError {
    EvalError::Setting { method: method.to_string(), setting: setting.to_string() }
}

/// Runs `work` and says how long it took.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    Ok((work()?, start.elapsed()))
}

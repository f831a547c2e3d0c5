//! What one route takes, loaded and warm: the engine's session and the encoder.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use autotiler_core::{
    Digest, Epoch, OperatingPoint, Route, TargetBits, telemetry::RefusalReason, wire::Payload,
};
use autotiler_graph::Engine;
use autotiler_hevc::{EncodeError, Encoder, EncoderOptions, FrameFormat, OutOfReach, RateControl, Steered};
use autotiler_model::{Model, ModelError};
use autotiler_pipeline::{DeviceOutput, DeviceStage, PipelineError};
use autotiler_scene::Picture;

use crate::stages::ParameterBook;

/// How planes are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecOptions {
    /// The encoder.
    pub encoder: EncoderOptions,
    /// No frame takes more bits than this.
    pub cap_bits: Option<u32>,
}

/// Which work it is: points that differ in bits alone share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Where the work is done.
    pub route: Route,
    /// The tiler, where there is one.
    pub tiler: Option<Digest>,
}

/// One route, ready for its next frame. The device's threads share it: inference has the stage, the codec the encoder.
pub struct Prepared {
    work: Work,
    format: Option<FrameFormat>,
    payload: Option<Payload>,
    stage: Mutex<DeviceStage>,
    session: Option<Mutex<Session>>,
}

/// One encoder and the control of its bits.
pub struct Session {
    encoder: Encoder,
    rate: RateControl,
    cap_bits: Option<u32>,
    /// Order whose target it has.
    epoch: Option<Epoch>,
    /// Whether it has been said that the target is out of reach.
    said: bool,
}

/// Why a point cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Another network than the order was made for.
    #[error("the order is for the network {0}")]
    Network(Digest),
    /// Another tiler than the order was made for.
    #[error("there is no tiler {0} for {1}")]
    Tiler(Digest, OperatingPoint),
    /// Too little memory is free to try.
    #[error("{free} bytes of memory are free, {wanted} are wanted")]
    Memory {
        /// What is free.
        free: u64,
        /// What must be.
        wanted: u64,
    },
    /// The network part cannot be loaded or run.
    #[error("making ready for the operating point {1}")]
    Stage(#[source] Box<PipelineError>, OperatingPoint),
    /// The encoder cannot be started.
    #[error("coding at the operating point {1}")]
    Encoder(#[source] Box<EncodeError>, OperatingPoint),
    /// A target below what even a flat plane takes.
    #[error("coding at the operating point {1}")]
    OutOfReach(#[source] OutOfReach, OperatingPoint),
}

impl PrepareError {
    /// The word for telemetry.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::Network(_) => RefusalReason::UnknownNetwork,
            Self::Tiler(..) => RefusalReason::UnknownTiler,
            Self::Memory { .. } => RefusalReason::OutOfMemory,
            Self::Stage(error, _) if is_unknown(error) => RefusalReason::UnknownTiler,
            Self::Stage(..) | Self::Encoder(..) if self.is_out_of_memory() => RefusalReason::OutOfMemory,
            Self::Stage(..) | Self::Encoder(..) => RefusalReason::NotLoadable,
            Self::OutOfReach(..) => RefusalReason::BitsOutOfReach,
        }
    }

    /// The error and its causes in one line.
    pub fn detail(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    /// Whether the system said so.
    fn is_out_of_memory(&self) -> bool {
        std::iter::successors(std::error::Error::source(self), |error| error.source()).any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::OutOfMemory)
        })
    }
}

/// Whether the model has no such point.
fn is_unknown(error: &PipelineError) -> bool {
    matches!(error, PipelineError::Model(ModelError::NoTiler { .. } | ModelError::NoPoint { .. }))
}

impl Work {
    /// What `point` takes of `model`: its tiler is `tiler`, or the model's first where none is named.
    ///
    /// # Errors
    /// [`PrepareError::Tiler`] and [`PrepareError::Stage`].
    pub fn of(point: OperatingPoint, tiler: Option<Digest>, model: &Model) -> Result<Self, PrepareError> {
        let route = point.route;
        let Route::Split { layer, cr } = route else { return Ok(Self { route, tiler: None }) };
        let stored = match tiler {
            None => model
                .tiler(layer, cr, None)
                .map_err(|error| PrepareError::Stage(Box::new(error.into()), point))?,
            Some(digest) => model
                .tiler_by_prefix(digest.prefix())
                .filter(|stored| stored.digest == digest && stored.layer() == layer && stored.spec().cr == cr)
                .ok_or(PrepareError::Tiler(digest, point))?,
        };
        Ok(Self { route, tiler: Some(stored.digest) })
    }
}

impl Prepared {
    /// Loads and warms all that `work` takes, with the target of `point`. `sample`, a picture as they come, lets the
    /// rate control begin with what it would else learn from the first frames.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub fn warm(
        work: Work,
        point: OperatingPoint,
        engine: &dyn Engine,
        model: &Model,
        codec: &CodecOptions,
        sample: Option<&Picture>,
    ) -> Result<Self, PrepareError> {
        let failed = |error| PrepareError::Stage(Box::new(error), point);
        let kind =
            work.tiler.and_then(|digest| model.tiler_by_prefix(digest.prefix())).map(|tiler| tiler.kind);
        let mut stage = DeviceStage::new(engine, model, work.route, kind).map_err(failed)?;
        let input = model.network.input;
        let grey = Picture::filled(input.w, input.h, [128; 3]);
        let output = stage.run(sample.unwrap_or(&grey)).map_err(failed)?;
        let (format, payload) = (stage.format(), stage.payload());
        let session = match (format, point.bits()) {
            (Some(format), Some(target)) => {
                let mut session = Session::spawn(format, target, codec, point)?;
                if let (Some(_), DeviceOutput::Frame(plane)) = (sample, &output) {
                    let coded = session.encoder.encode_steered(plane, &mut session.rate);
                    coded.map_err(|error| PrepareError::Encoder(Box::new(error), point))?;
                }
                Some(Mutex::new(session))
            }
            _ => None,
        };
        Ok(Self { work, format, payload, stage: Mutex::new(stage), session })
    }

    /// What it was made for.
    pub fn work(&self) -> Work {
        self.work
    }

    /// What the codec is given; none when nothing is coded.
    pub fn format(&self) -> Option<FrameFormat> {
        self.format
    }

    /// What the frame header says of the payload; none when nothing is sent.
    pub fn payload(&self) -> Option<Payload> {
        self.payload
    }

    /// Runs one picture.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn run(&self, picture: &Picture) -> Result<DeviceOutput, PipelineError> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).run(picture)
    }

    /// The encoder; none where nothing is coded.
    pub fn session(&self) -> Option<MutexGuard<'_, Session>> {
        Some(self.session.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it can code at `point`.
    ///
    /// # Errors
    /// [`PrepareError::OutOfReach`].
    pub fn check_reach(&self, point: OperatingPoint) -> Result<(), PrepareError> {
        let (Some(session), Some(format), Some(target)) = (self.session(), self.format, point.bits()) else {
            return Ok(());
        };
        let floor = session.encoder.floor_bits();
        let made = RateControl::try_new(target, session.cap_bits, floor, format.len());
        made.map(|_| ()).map_err(|error| PrepareError::OutOfReach(error, point))
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("work", &self.work).finish_non_exhaustive()
    }
}

impl Session {
    fn spawn(
        format: FrameFormat,
        target: TargetBits,
        codec: &CodecOptions,
        point: OperatingPoint,
    ) -> Result<Self, PrepareError> {
        let encoder = Encoder::spawn(format, codec.encoder.clone())
            .map_err(|error| PrepareError::Encoder(Box::new(error), point))?;
        let rate = RateControl::try_new(target, codec.cap_bits, encoder.floor_bits(), format.len())
            .map_err(|error| PrepareError::OutOfReach(error, point))?;
        Ok(Self { encoder, rate, cap_bits: codec.cap_bits, epoch: None, said: false })
    }

    /// Codes a plane made under the order of `epoch`, with `target` bits.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn encode(&mut self, plane: &[u8], target: TargetBits, epoch: Epoch) -> Result<Steered, EncodeError> {
        if self.epoch.replace(epoch) != Some(epoch) && self.rate.target() != target {
            self.rate.retarget(target, self.cap_bits);
            self.said = false;
        }
        // Within an order a target comes from the queue: what was spent before stays owed.
        self.rate.aim(target);
        self.encoder.encode_steered(plane, &mut self.rate)
    }

    /// What a decoder needs once; a restarted encoder may have others.
    pub fn keep_parameters(&self, book: &ParameterBook) {
        book.keep(self.encoder.parameter_sets());
    }

    /// The refusal of a target that cannot be met, with what can be; once.
    pub fn out_of_reach(&mut self) -> Option<OutOfReach> {
        let refusal = self.rate.out_of_reach().filter(|_| !self.said);
        self.said |= refusal.is_some();
        refusal
    }
}

/// Works that are kept warm, newest first.
#[derive(Debug)]
pub struct Shelf {
    kept: Vec<Arc<Prepared>>,
    most: usize,
}

impl Shelf {
    /// A shelf of at most `most` works.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most: most.max(1) }
    }

    /// Finds `work`, which becomes the newest.
    pub fn find(&mut self, work: Work) -> Option<Arc<Prepared>> {
        let at = self.kept.iter().position(|kept| kept.work() == work)?;
        let found = self.kept.remove(at);
        self.kept.insert(0, found.clone());
        Some(found)
    }

    /// Keeps `prepared` as the newest; the oldest goes where there are too many.
    pub fn keep(&mut self, prepared: Arc<Prepared>) {
        self.kept.insert(0, prepared);
        self.kept.truncate(self.most);
    }

    /// Gives up the oldest, if it is none of the `newest` ones. True when memory may have become free.
    pub fn give_up_oldest(&mut self, newest: usize) -> bool {
        self.kept.len() > newest && self.kept.pop().is_some()
    }
}

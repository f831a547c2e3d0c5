//! Third stage: HEVC with rate control, the header, and the queue before the broker.

use std::time::Instant;

use autotiler_core::{Digest, TargetBits, wire::FrameHeader};
use autotiler_hevc::{
    AccessUnit, EncodeError, Encoder, EncoderOptions, FrameFormat, OutOfReach, RateControl, Steered,
};
use autotiler_transport::{AnswerSubject, FrameQueue, FrameSubject, OutboundFrame};

use crate::{
    fate::DropReason,
    frame::{PlaneFrame, Stream},
    handoff::Taker,
    ledger::Ledger,
    metrics::{EdgeMetrics, stage},
    stages::ParameterBook,
};

/// How planes are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecOptions {
    /// The encoder.
    pub encoder: EncoderOptions,
    /// No frame takes more bits than this.
    pub cap_bits: Option<u32>,
}

/// An encoder that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// ffmpeg is missing, or does not do it.
    #[error("starting the encoder")]
    Encoder(#[from] EncodeError),
    /// A target below what even a flat plane takes.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// A frame of an operating point that codes nothing.
    #[error("the operating point has no bits to code with")]
    NoTarget,
}

/// The third stage.
pub struct Codec {
    options: CodecOptions,
    network: Digest,
    stream: Stream,
    parameters: ParameterBook,
    session: Option<Session>,
}

/// One encoder and the control of its bits.
struct Session {
    encoder: Encoder,
    rate: RateControl,
    /// Whether it has been said that the target is out of reach.
    said: bool,
}

impl Codec {
    /// A codec for frames of `stream`, made by `network`.
    pub fn new(options: CodecOptions, network: Digest, stream: Stream, parameters: ParameterBook) -> Self {
        Self { options, network, stream, parameters, session: None }
    }

    /// Makes ready for frames of `format`: another format takes another encoder, another target only steers.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn warm(&mut self, format: FrameFormat, target: TargetBits) -> Result<(), CodecError> {
        let cap = self.options.cap_bits;
        match &mut self.session {
            Some(session) if session.encoder.format() == format => {
                if session.rate.target() != target {
                    session.rate.retarget(target, cap);
                    session.said = false;
                }
            }
            session => {
                // The old encoder ends before the new one starts: two would share the device's memory.
                *session = None;
                let encoder = Encoder::spawn(format, self.options.encoder.clone())?;
                let rate = RateControl::try_new(target, cap, encoder.floor_bits(), format.len())?;
                self.parameters.keep(encoder.parameter_sets());
                *session = Some(Session { encoder, rate, said: false });
            }
        }
        Ok(())
    }

    /// Works until nothing more comes, and puts the frames into `queue`.
    pub fn run(
        mut self,
        from: &Taker<PlaneFrame>,
        queue: &FrameQueue,
        ledger: &Ledger,
        metrics: &EdgeMetrics,
    ) {
        while let Some(mut frame) = from.take() {
            let start = Instant::now();
            let coded = self.encode(&mut frame, ledger);
            frame.record.times.codec = start.elapsed();
            metrics.stages.observe(stage::CODEC, frame.record.times.codec);
            match coded {
                Ok(unit) => {
                    let outbound = self.outbound(&frame, &unit);
                    ledger.queued(frame.record);
                    queue.offer(outbound);
                }
                Err(error) => {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error).map(ToString::to_string),
                        sequence = frame.record.sequence.0, "dropped frame");
                    ledger.dropped(&frame.record, DropReason::CodecFailed);
                }
            }
        }
    }

    fn encode(&mut self, frame: &mut PlaneFrame, ledger: &Ledger) -> Result<AccessUnit, CodecError> {
        let target = frame.record.assignment.point.bits().ok_or(CodecError::NoTarget)?;
        self.warm(frame.format, target)?;
        let session = self.session.as_mut().expect("the line before made one");
        let Steered { unit, gain, .. } = session.encoder.encode_steered(&frame.plane, &mut session.rate)?;
        (frame.record.bits, frame.record.gain) = (unit.bits(), gain);
        session.check_reach(ledger);
        // A restarted encoder may have other sets.
        self.parameters.keep(session.encoder.parameter_sets());
        Ok(unit)
    }

    fn outbound(&self, frame: &PlaneFrame, unit: &AccessUnit) -> OutboundFrame {
        let record = &frame.record;
        let Stream { device, id, .. } = &self.stream;
        let header = FrameHeader {
            device: device.hash64(),
            stream: *id,
            sequence: record.sequence,
            epoch: record.assignment.epoch,
            network: self.network.prefix(),
            payload: frame.payload,
            gain: record.gain,
            captured_us: self.stream.clock_us(record.captured),
            parameter_sets: unit.parameter_sets().0,
        };
        let reply = AnswerSubject { device: device.clone(), stream: *id, sequence: record.sequence };
        OutboundFrame {
            sequence: record.sequence,
            captured: record.captured,
            subject: FrameSubject::new(&self.network, device.clone()).to_string(),
            reply: reply.to_string(),
            payload: header.encode(unit.bytes()).into(),
        }
    }
}

impl Session {
    /// Says once that the target cannot be met, with what can be.
    fn check_reach(&mut self, ledger: &Ledger) {
        if self.said {
            return;
        }
        if let Some(refusal) = self.rate.out_of_reach() {
            tracing::warn!(%refusal, "going on at the end of the range");
            ledger.out_of_reach(refusal.to_string());
            self.said = true;
        }
    }
}

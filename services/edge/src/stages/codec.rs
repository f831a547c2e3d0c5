//! Third stage: HEVC with rate control, the header, and the queue before the broker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::{Digest, wire::FrameHeader};
use autotiler_hevc::{AccessUnit, EncodeError, Steered};
use autotiler_transport::{AnswerSubject, FrameQueue, FrameSubject, OutboundFrame, Uplink, UplinkMeter};

use crate::{
    fate::DropReason,
    frame::{PlaneFrame, Stream},
    handoff::Taker,
    helm::Helm,
    ledger::Ledger,
    metrics::{EdgeMetrics, stage},
    stages::ParameterBook,
};

/// Weight of the newest interval between frames in their mean.
const NEWEST_SLOT: f64 = 0.2;
/// Interval supposed before the second frame.
const FIRST_SLOT: Duration = Duration::from_millis(100);

/// A frame that was not coded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// ffmpeg died, hung, or is missing.
    #[error("coding a plane")]
    Encoder(#[from] EncodeError),
    /// A frame of an operating point that codes nothing.
    #[error("the operating point has no bits to code with")]
    NoTarget,
}

/// The third stage.
pub struct Codec {
    network: Digest,
    stream: Stream,
    parameters: ParameterBook,
    helm: Arc<Helm>,
    meter: Arc<UplinkMeter>,
    slot: Slot,
}

/// Mean interval between frames.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    last: Option<Instant>,
    mean: Option<Duration>,
}

impl Codec {
    /// A codec for frames of `stream`, made by `network`.
    pub fn new(
        network: Digest,
        stream: Stream,
        parameters: ParameterBook,
        helm: Arc<Helm>,
        meter: Arc<UplinkMeter>,
    ) -> Self {
        Self { network, stream, parameters, helm, meter, slot: Slot::default() }
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
        let PlaneFrame { record, plane, course, .. } = frame;
        let slot = self.slot.next(record.captured);
        let backlog = backlog_bits(ledger.backlog_bits(), &self.meter.uplink());
        let target = self.helm.target(course, backlog, slot).ok_or(CodecError::NoTarget)?;
        let mut session = course.work.session().ok_or(CodecError::NoTarget)?;
        let coded = session.encode(plane, target, record.assignment.epoch);
        if let Some(refusal) = session.out_of_reach() {
            tracing::warn!(%refusal, "going on at the end of the range");
            ledger.out_of_reach(refusal.to_string());
        }
        let Steered { unit, gain, .. } = coded?;
        (record.bits, record.gain) = (unit.bits(), gain);
        session.keep_parameters(&self.parameters);
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

/// Bits that wait to get through: a frame that has arrived and is worked on there does not.
pub(crate) fn backlog_bits((queued, unanswered): (u64, u64), uplink: &Uplink) -> u64 {
    queued + uplink.outstanding_bits.unwrap_or(unanswered)
}

impl Slot {
    /// The mean, with a frame captured at `captured`.
    fn next(&mut self, captured: Instant) -> Duration {
        if let Some(last) = self.last.replace(captured) {
            let newest = captured.saturating_duration_since(last);
            let mean = self.mean.unwrap_or(newest);
            self.mean = Some(mean.mul_f64(1.0 - NEWEST_SLOT) + newest.mul_f64(NEWEST_SLOT));
        }
        self.mean.unwrap_or(FIRST_SLOT)
    }
}

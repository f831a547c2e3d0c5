//! The answer to one frame: its detections, or the reason why there are none.

use super::reader::{Reader, u48_bytes};
use crate::{
    boxes::{BBox, Detection},
    id::{Epoch, Sequence, StreamId},
};

const MAGIC: [u8; 2] = *b"AD";
const VERSION: u8 = 1;
/// Length of the fixed part, in bytes.
pub const ANSWER_HEADER_LEN: usize = 56;
/// Length of one detection, in bytes.
pub const DETECTION_LEN: usize = 12;
/// Where the check sum stands: it covers all before and after it.
const CRC_AT: usize = 52;
/// Corners are sent as fractions of this range, so that a box may stand out of the picture by half its size.
const CORNER_RANGE: std::ops::RangeInclusive<f32> = -0.5..=1.5;

/// Why a sent frame has no detections. The names are metric labels: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LossReason {
    /// The decoder has another network.
    UnknownNetwork = 1,
    /// The decoder has no such tiler, layer or compression ratio.
    UnknownTiler = 2,
    /// Nobody answered with the parameter sets that the access unit needs.
    UnknownParameterSets = 3,
    /// The header or the check sum is wrong.
    BadFrame = 4,
    /// The access unit does not decode to a plane of the right size.
    Undecodable = 5,
    /// ffmpeg died while it had the frame.
    CodecCrashed = 6,
    /// The engine refused or failed.
    EngineFailed = 7,
    /// The decoder's queue was full.
    Overloaded = 8,
    /// The broker had no decoder to give it to.
    NoDecoder = 9,
    /// No answer came in time.
    NoAnswer = 10,
    /// The link broke before the message was on its way.
    Disconnected = 11,
}

impl LossReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::UnknownNetwork,
        Self::UnknownTiler,
        Self::UnknownParameterSets,
        Self::BadFrame,
        Self::Undecodable,
        Self::CodecCrashed,
        Self::EngineFailed,
        Self::Overloaded,
        Self::NoDecoder,
        Self::NoAnswer,
        Self::Disconnected,
    ];

    /// Metric label and JSON key.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownNetwork => "unknown_network",
            Self::UnknownTiler => "unknown_tiler",
            Self::UnknownParameterSets => "unknown_parameter_sets",
            Self::BadFrame => "bad_frame",
            Self::Undecodable => "undecodable",
            Self::CodecCrashed => "codec_crashed",
            Self::EngineFailed => "engine_failed",
            Self::Overloaded => "overloaded",
            Self::NoDecoder => "no_decoder",
            Self::NoAnswer => "no_answer",
            Self::Disconnected => "disconnected",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// Where the server spent its time, in microseconds of its own clock; only differences leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerTimes {
    /// From arrival to the start of work.
    pub queue_us: u32,
    /// HEVC decoding.
    pub decode_us: u32,
    /// Tiler decoder and tail.
    pub tail_us: u32,
    /// Boxes and non-maximum suppression.
    pub boxes_us: u32,
}

/// The answer to one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Hash of the device's name, as in the frame.
    pub device: u64,
    /// As in the frame.
    pub stream: StreamId,
    /// As in the frame.
    pub sequence: Sequence,
    /// As in the frame.
    pub epoch: Epoch,
    /// As in the frame: the device subtracts it from its own clock.
    pub captured_us: u64,
    /// Times of the server.
    pub times: ServerTimes,
    /// Frames that shared the run of the tail.
    pub batch: u16,
    /// Detections, best first, or why there are none.
    pub outcome: Result<Vec<Detection>, LossReason>,
}

/// Why a message is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not as long as it says, or shorter than a header.
    #[error("answer message has {0} bytes, which fits no answer")]
    Length(usize),
    /// Not an answer at all.
    #[error("answer message starts with {0:02x?}, not with \"AD\"")]
    Magic([u8; 2]),
    /// Written by another version.
    #[error("answer version {0} cannot be read; this reader knows version {VERSION}")]
    Version(u8),
    /// A loss reason that this version does not know.
    #[error("answer has unknown status {0}")]
    Status(u8),
    /// A byte changed on the way.
    #[error("answer check sum does not fit")]
    CheckSum,
}

impl Answer {
    /// The answer as one message. At most 65,535 detections are kept; scores are rounded to 1/65535 and
    /// corners to 2/65535 of the picture.
    pub fn encode(&self) -> Vec<u8> {
        let (status, detections) = match &self.outcome {
            Ok(detections) => (0, detections.as_slice()),
            Err(reason) => (*reason as u8, [].as_slice()),
        };
        let detections = detections.get(..usize::from(u16::MAX)).unwrap_or(detections);
        let mut out = Vec::with_capacity(ANSWER_HEADER_LEN + detections.len() * DETECTION_LEN);
        out.extend(MAGIC);
        out.extend([VERSION, status]);
        out.extend(self.device.to_be_bytes());
        out.extend(self.stream.0.to_be_bytes());
        out.extend(self.sequence.0.to_be_bytes());
        out.extend(self.epoch.0.to_be_bytes());
        out.extend(u48_bytes(self.captured_us));
        out.extend((detections.len() as u16).to_be_bytes());
        let ServerTimes { queue_us, decode_us, tail_us, boxes_us } = self.times;
        for time_us in [queue_us, decode_us, tail_us, boxes_us] {
            out.extend(time_us.to_be_bytes());
        }
        out.extend(self.batch.to_be_bytes());
        out.extend([0; 2]);
        out.extend([0; 4]);
        for detection in detections {
            out.extend(detection.class.to_be_bytes());
            out.extend(to_u16(detection.score, 0.0..=1.0).to_be_bytes());
            let BBox { x0, y0, x1, y1 } = detection.bbox;
            for corner in [x0, y0, x1, y1] {
                out.extend(to_u16(corner, CORNER_RANGE).to_be_bytes());
            }
        }
        let check = check_sum(&out);
        if let Some(field) = out.get_mut(CRC_AT..ANSWER_HEADER_LEN) {
            field.copy_from_slice(&check.to_be_bytes());
        }
        out
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`AnswerError`], which names what is wrong.
    pub fn decode(message: &[u8]) -> Result<Self, AnswerError> {
        let length = AnswerError::Length(message.len());
        let mut fields = Reader(message);
        let magic = fields.take::<2>().ok_or(length)?;
        if magic != MAGIC {
            return Err(AnswerError::Magic(magic));
        }
        match fields.u8().ok_or(length)? {
            VERSION => {}
            other => return Err(AnswerError::Version(other)),
        }
        Self::read_fields(&mut fields, message).ok_or(length)?
    }

    fn read_fields(fields: &mut Reader<'_>, message: &[u8]) -> Option<Result<Self, AnswerError>> {
        let status = fields.u8()?;
        let device = fields.u64()?;
        let stream = StreamId(fields.u32()?);
        let sequence = Sequence(fields.u32()?);
        let epoch = Epoch(fields.u32()?);
        let captured_us = fields.u48()?;
        let count = usize::from(fields.u16()?);
        let times = ServerTimes {
            queue_us: fields.u32()?,
            decode_us: fields.u32()?,
            tail_us: fields.u32()?,
            boxes_us: fields.u32()?,
        };
        let batch = fields.u16()?;
        fields.take::<2>()?;
        let check = fields.u32()?;
        if fields.0.len() != count * DETECTION_LEN {
            return None;
        }
        if check != check_sum(message) {
            return Some(Err(AnswerError::CheckSum));
        }
        let detections = (0..count).map(|_| read_detection(fields)).collect::<Option<Vec<_>>>()?;
        let outcome = match status {
            0 => Ok(detections),
            code => match LossReason::from_code(code) {
                Some(reason) => Err(reason),
                None => return Some(Err(AnswerError::Status(code))),
            },
        };
        Some(Ok(Self { device, stream, sequence, epoch, captured_us, times, batch, outcome }))
    }
}

fn read_detection(fields: &mut Reader<'_>) -> Option<Detection> {
    let class = fields.u16()?;
    let score = from_u16(fields.u16()?, 0.0..=1.0);
    let mut corner = || fields.u16().map(|value| from_u16(value, CORNER_RANGE));
    let bbox = BBox { x0: corner()?, y0: corner()?, x1: corner()?, y1: corner()? };
    Some(Detection { class, score, bbox })
}

/// CRC-32 of the message with its own field left out.
fn check_sum(message: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(message.get(..CRC_AT).unwrap_or_default());
    crc.update(message.get(ANSWER_HEADER_LEN..).unwrap_or_default());
    crc.finalize()
}

fn to_u16(value: f32, range: std::ops::RangeInclusive<f32>) -> u16 {
    let share = (value - range.start()) / (range.end() - range.start());
    (share.clamp(0.0, 1.0) * f32::from(u16::MAX)).round() as u16
}

fn from_u16(value: u16, range: std::ops::RangeInclusive<f32>) -> f32 {
    f32::from(value) / f32::from(u16::MAX) * (range.end() - range.start()) + range.start()
}

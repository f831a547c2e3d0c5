//! One frame as it is shown: the picture of what was sent, and what was found.

use autotiler_core::{
    BBox, Detection,
    wire::{Answer, FrameHeader, Payload, ServerTimes},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// One frame of a device.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shot {
    /// Run of the source.
    pub stream: u32,
    /// Number of the frame in it.
    pub sequence: u32,
    /// Order under which it was made.
    pub epoch: u32,
    /// What was sent.
    #[serde(flatten)]
    pub kind: ShotKind,
    /// Bits of the access unit.
    pub bits: usize,
    /// What was sent, as a picture; none where it could not be decoded here.
    pub image: Option<Image>,
    /// What a decoder answered; none where none did in time.
    pub answer: Option<Answered>,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ShotKind {
    /// A tiled plane: feature maps side by side.
    Plane {
        /// The network was cut after this layer.
        layer: u16,
        /// Nominal compression ratio.
        cr: u16,
    },
    /// The picture itself, as large as the network takes it.
    Picture,
}

/// A picture as a browser takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The file, in base64.
    #[serde(serialize_with = "base64")]
    #[schema(value_type = String, format = Byte)]
    pub bytes: Bytes,
}

/// What a decoder answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Best first; none for a lost frame.
    pub detections: Vec<Found>,
    /// Why the frame was lost.
    pub lost: Option<&'static str>,
    /// Waiting for the decoder, in microseconds.
    pub queue_us: u32,
    /// HEVC, in microseconds.
    pub decode_us: u32,
    /// Tiler decoder and tail, in microseconds.
    pub tail_us: u32,
    /// Boxes, in microseconds.
    pub boxes_us: u32,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Found {
    /// Number of the class.
    pub class: u16,
    /// Its name, where the network's is known here.
    pub name: Option<String>,
    /// From 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom, in shares of the picture.
    #[serde(rename = "box")]
    pub corners: [f32; 4],
}

impl Shot {
    /// A frame, with what came of it.
    pub(super) fn new(
        header: &FrameHeader,
        bytes: usize,
        image: Option<Image>,
        answer: Option<&Answer>,
        names: Option<&Vec<String>>,
    ) -> Self {
        Self {
            stream: header.stream.0,
            sequence: header.sequence.0,
            epoch: header.epoch.0,
            kind: ShotKind::of(header.payload),
            bits: bytes * 8,
            image,
            answer: answer.map(|answer| Answered::of(answer, names)),
        }
    }
}

impl ShotKind {
    fn of(payload: Payload) -> Self {
        match payload {
            Payload::Plane { layer, cr, .. } => Self::Plane { layer: layer.0, cr: cr.get() },
            Payload::Picture => Self::Picture,
        }
    }
}

impl Answered {
    fn of(answer: &Answer, names: Option<&Vec<String>>) -> Self {
        let found = |detection: &Detection| {
            let BBox { x0, y0, x1, y1 } = detection.bbox;
            let name = names.and_then(|names| names.get(usize::from(detection.class))).cloned();
            Found { class: detection.class, name, score: detection.score, corners: [x0, y0, x1, y1] }
        };
        let ServerTimes { queue_us, decode_us, tail_us, boxes_us } = answer.times;
        Self {
            detections: answer.outcome.iter().flatten().map(found).collect(),
            lost: answer.outcome.as_ref().err().map(|reason| reason.label()),
            queue_us,
            decode_us,
            tail_us,
            boxes_us,
        }
    }
}

fn base64<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

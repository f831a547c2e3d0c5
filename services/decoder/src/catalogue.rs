//! Holds a frame to what this decoder has: its network, its tilers, and what the subjects say.

use autotiler_core::{
    CompressionRatio, LayerIndex,
    wire::{FrameError, FrameHeader, LossReason, Payload},
};
use autotiler_model::Model;
use autotiler_transport::{AnswerSubject, InboundFrame};

use crate::ticket::Identity;

/// What a frame needs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The tiler at this place in the model.
    Plane(usize),
    /// The whole network, on a coded picture.
    Picture,
}

/// What can be decoded, by the digests of frame headers.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    network: u64,
    tilers: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    digest: u64,
    layer: LayerIndex,
    cr: CompressionRatio,
}

/// A frame that was believed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    /// Its header.
    pub(crate) header: FrameHeader,
    /// What it needs run.
    pub(crate) point: Point,
    /// Length of its access unit, the last bytes of its message.
    pub(crate) access_unit_len: usize,
}

/// A frame that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Which frame to answer for, where that is known.
    pub(crate) identity: Option<Identity>,
    /// Why.
    pub(crate) refusal: Refusal,
}

/// Why a frame is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No header, or not one that can be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Header and subject name different devices.
    #[error("frame header names device {0:016x}, which is not the subject's")]
    Device(u64),
    /// The answer would be taken for that of another frame.
    #[error("reply subject is that of another frame than the header's")]
    Reply,
    /// Another network's frame.
    #[error("frame is of network {got:016x}, this decoder has {expected:016x}")]
    Network {
        /// Ours.
        expected: u64,
        /// The frame's.
        got: u64,
    },
    /// A tiler that the model lacks.
    #[error("model has no tiler {tiler:016x} (layer {layer}, compression ratio {cr})")]
    Tiler {
        /// Start of its digest.
        tiler: u64,
        /// As the header says.
        layer: LayerIndex,
        /// As the header says.
        cr: CompressionRatio,
    },
    /// Header and model disagree about a tiler.
    #[error("frame header says layer {layer}, compression ratio {cr}; its tiler {tiler:016x} has others")]
    OperatingPoint {
        /// Start of its digest.
        tiler: u64,
        /// As the header says.
        layer: LayerIndex,
        /// As the header says.
        cr: CompressionRatio,
    },
}

impl Refusal {
    /// What the device is told.
    pub(crate) fn reason(&self) -> LossReason {
        match self {
            Self::Frame(_) | Self::Device(_) | Self::Reply => LossReason::BadFrame,
            Self::Network { .. } => LossReason::UnknownNetwork,
            Self::Tiler { .. } | Self::OperatingPoint { .. } => LossReason::UnknownTiler,
        }
    }
}

impl Catalogue {
    /// What `model` can decode.
    pub(crate) fn new(model: &Model) -> Self {
        let entry = |tiler: &autotiler_model::StoredTiler| Entry {
            digest: tiler.digest.prefix(),
            layer: tiler.layer(),
            cr: tiler.spec().cr,
        };
        Self { network: model.manifest.digest.prefix(), tilers: model.tilers.iter().map(entry).collect() }
    }

    /// Reads the header of `frame` and holds it to subjects and model.
    ///
    /// # Errors
    /// [`Refused`], with the frame to answer for.
    pub(crate) fn check(&self, frame: &InboundFrame) -> Result<Checked, Refused> {
        let reply: Option<AnswerSubject> = frame.reply.as_deref().and_then(|reply| reply.parse().ok());
        // Only the subject is left to say which frame this was meant to be.
        let unbelieved = |refusal| Refused { identity: reply.as_ref().map(Identity::of_reply), refusal };
        let (header, access_unit) =
            FrameHeader::decode(&frame.payload).map_err(|error| unbelieved(error.into()))?;
        if header.device != frame.device.hash64() {
            return Err(unbelieved(Refusal::Device(header.device)));
        }
        if reply.as_ref().is_some_and(|reply| !is_reply_to(reply, &header)) {
            return Err(unbelieved(Refusal::Reply));
        }
        let refused = |refusal| Refused { identity: Some(Identity::of_header(&header)), refusal };
        let point = self.point(&header).map_err(refused)?;
        Ok(Checked { header, point, access_unit_len: access_unit.len() })
    }

    fn point(&self, header: &FrameHeader) -> Result<Point, Refusal> {
        if header.network != self.network {
            return Err(Refusal::Network { expected: self.network, got: header.network });
        }
        let Payload::Plane { layer, cr, tiler } = header.payload else { return Ok(Point::Picture) };
        let found = self.tilers.iter().enumerate().find(|(_, entry)| entry.digest == tiler);
        match found {
            None => Err(Refusal::Tiler { tiler, layer, cr }),
            Some((_, entry)) if (entry.layer, entry.cr) != (layer, cr) => {
                Err(Refusal::OperatingPoint { tiler, layer, cr })
            }
            Some((at, _)) => Ok(Point::Plane(at)),
        }
    }
}

fn is_reply_to(reply: &AnswerSubject, header: &FrameHeader) -> bool {
    reply.device.hash64() == header.device
        && reply.stream == header.stream
        && reply.sequence == header.sequence
}

#[cfg(test)]
mod tests;

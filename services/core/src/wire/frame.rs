//! The frame message: a header of 64 bytes and one access unit.
//!
//! The header says all that is needed to decode the frame, so any decoder can take any frame and a change
//! of operating point cannot corrupt one in flight.

use super::reader::{Reader, u48_bytes};
use crate::{
    id::{Epoch, Sequence, StreamId},
    quantity::{CompressionRatio, Gain, LayerIndex},
};

/// Length of the header of version [`VERSION`], in bytes.
pub const HEADER_LEN: usize = 64;
/// Version that this code writes, and the only one that it reads.
pub const VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"AT";
/// Where the check sum starts: it covers all before it, and the payload.
const CRC_AT: usize = 60;
/// Layer field of a coded picture.
const NO_LAYER: u16 = u16::MAX;

/// What the access unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A tiled plane.
    Plane {
        /// Partition point.
        layer: LayerIndex,
        /// Nominal compression ratio.
        cr: CompressionRatio,
        /// First eight bytes of the tiler's digest.
        tiler: u64,
    },
    /// The picture itself.
    Picture,
}

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// [`crate::DeviceId::hash64`] of the device's name; the name itself is in the subject.
    pub device: u64,
    /// Run of the source.
    pub stream: StreamId,
    /// Number of the frame in its stream.
    pub sequence: Sequence,
    /// Assignment under which it was made.
    pub epoch: Epoch,
    /// First eight bytes of the network's digest.
    pub network: u64,
    /// What is coded.
    pub payload: Payload,
    /// Scaling to undo after decoding.
    pub gain: Gain,
    /// Capture time in microseconds of the device's own clock (48 bits); only the device may subtract from it.
    pub captured_us: u64,
    /// Digest of the parameter sets that the access unit needs.
    pub parameter_sets: u32,
}

/// Why a message is no frame. Each is counted as a loss with this reason; none is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than a header.
    #[error("frame message has {0} bytes, a header has {HEADER_LEN}")]
    Truncated(usize),
    /// Not a frame at all.
    #[error("frame message starts with {0:02x?}, not with \"AT\"")]
    Magic([u8; 2]),
    /// Written by another version.
    #[error("frame header version {0} cannot be read; this reader knows version {VERSION}")]
    Version(u8),
    /// A header length that the version does not have.
    #[error("frame header says it has {0} bytes; version {VERSION} has {HEADER_LEN}")]
    HeaderLength(u8),
    /// A compression ratio of 0, or a picture with a tiler.
    #[error("frame header names layer {layer} with compression ratio {cr}")]
    Payload {
        /// The layer field.
        layer: u16,
        /// The compression ratio field.
        cr: u16,
    },
    /// Flag bits that this version does not know.
    #[error("frame header has unknown flags {0:#04x}")]
    Flags(u8),
    /// More or fewer bytes follow than the header says.
    #[error("frame header says {expected} payload bytes, {got} are there")]
    PayloadLength {
        /// Bytes that the header promises.
        expected: u32,
        /// Bytes after the header.
        got: usize,
    },
    /// A byte changed on the way.
    #[error("frame check sum is {got:#010x}, header says {expected:#010x}")]
    CheckSum {
        /// In the header.
        expected: u32,
        /// Of what came.
        got: u32,
    },
}

impl FrameHeader {
    /// Header and `access_unit` as one message.
    ///
    /// An access unit of 4 GiB or more cannot be a message of any broker; its length field would wrap and
    /// the reader would refuse it.
    pub fn encode(&self, access_unit: &[u8]) -> Vec<u8> {
        let (layer, cr, tiler) = match self.payload {
            Payload::Plane { layer, cr, tiler } => (layer.0, cr.get(), tiler),
            Payload::Picture => (NO_LAYER, 0, 0),
        };
        let mut out = Vec::with_capacity(HEADER_LEN + access_unit.len());
        out.extend(MAGIC);
        out.extend([VERSION, HEADER_LEN as u8]);
        out.extend(self.device.to_be_bytes());
        out.extend(self.stream.0.to_be_bytes());
        out.extend(self.sequence.0.to_be_bytes());
        out.extend(self.epoch.0.to_be_bytes());
        out.extend(self.network.to_be_bytes());
        out.extend(tiler.to_be_bytes());
        out.extend(layer.to_be_bytes());
        out.extend(cr.to_be_bytes());
        out.extend([self.gain.0, 0]);
        out.extend(u48_bytes(self.captured_us));
        out.extend((access_unit.len() as u32).to_be_bytes());
        out.extend(self.parameter_sets.to_be_bytes());
        let check = check_sum(&out, access_unit);
        out.extend(check.to_be_bytes());
        out.extend(access_unit);
        out
    }

    /// Splits a message into its header and its access unit.
    ///
    /// # Errors
    /// [`FrameError`], which names the field that is wrong.
    pub fn decode(message: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let truncated = FrameError::Truncated(message.len());
        let mut fields = Reader(message);
        let magic = fields.take::<2>().ok_or(truncated)?;
        if magic != MAGIC {
            return Err(FrameError::Magic(magic));
        }
        // Version and length come before the size check: a later version may have a shorter header.
        match fields.u8().ok_or(truncated)? {
            VERSION => {}
            other => return Err(FrameError::Version(other)),
        }
        match fields.u8().ok_or(truncated)? {
            len if usize::from(len) == HEADER_LEN => {}
            other => return Err(FrameError::HeaderLength(other)),
        }
        let (covered, _) = message.split_at_checked(CRC_AT).ok_or(truncated)?;
        read_fields(&mut fields, covered).ok_or(truncated)?
    }
}

/// The fields after magic, version and length; `None` when the message ends too early.
#[allow(clippy::type_complexity)] // the nested result is local to `decode`
fn read_fields<'a>(
    fields: &mut Reader<'a>,
    covered: &[u8],
) -> Option<Result<(FrameHeader, &'a [u8]), FrameError>> {
    let device = fields.u64()?;
    let stream = StreamId(fields.u32()?);
    let sequence = Sequence(fields.u32()?);
    let epoch = Epoch(fields.u32()?);
    let network = fields.u64()?;
    let tiler = fields.u64()?;
    let layer = fields.u16()?;
    let cr = fields.u16()?;
    let gain = Gain(fields.u8()?);
    let flags = fields.u8()?;
    let captured_us = fields.u48()?;
    let expected_len = fields.u32()?;
    let parameter_sets = fields.u32()?;
    let expected = fields.u32()?;
    let access_unit = fields.0;

    if usize::try_from(expected_len) != Ok(access_unit.len()) {
        return Some(Err(FrameError::PayloadLength { expected: expected_len, got: access_unit.len() }));
    }
    let got = check_sum(covered, access_unit);
    if got != expected {
        return Some(Err(FrameError::CheckSum { expected, got }));
    }
    if flags != 0 {
        return Some(Err(FrameError::Flags(flags)));
    }
    let payload = match (layer, CompressionRatio::try_new(cr)) {
        (NO_LAYER, Err(_)) if tiler == 0 => Payload::Picture,
        (layer, Ok(cr)) if layer != NO_LAYER => Payload::Plane { layer: LayerIndex(layer), cr, tiler },
        _ => return Some(Err(FrameError::Payload { layer, cr })),
    };
    let header =
        FrameHeader { device, stream, sequence, epoch, network, payload, gain, captured_us, parameter_sets };
    Some(Ok((header, access_unit)))
}

fn check_sum(header: &[u8], access_unit: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(access_unit);
    crc.finalize()
}

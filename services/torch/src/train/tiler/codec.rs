//! The real codec inside a training step: planes go through HEVC, gradients pass it unchanged.
//!
//! What comes back depends on nothing but plane and gain: not on earlier gains (an [`Encoder`] alone would
//! choose its QP by them), so a resumed run sees what an unbroken one would.

use std::{collections::BTreeMap, thread};

use autotiler_core::{Gain, Shape};
use autotiler_hevc::{
    BadFormat, DecodeError, Decoder, DecoderOptions, EncodeError, Encoder, EncoderOptions, FrameFormat,
    PixelFormat,
    encoder::{MAX_QP, RUNG_QP, RUNG_STEPS, START_RUNG},
};
use tch::{Device, Kind, TchError, Tensor};

/// Middle of the sample range, about which planes are scaled.
const MIDDLE: f64 = 128.0;
/// Sessions that work side by side.
const SIDE_BY_SIDE: usize = 2;

/// Why planes did not come back.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No plane of this size can be coded.
    #[error("the plane's format")]
    Format(#[from] BadFormat),
    /// The encoder.
    #[error("coding a plane")]
    Encode(#[from] EncodeError),
    /// The decoder.
    #[error("decoding a plane")]
    Decode(#[from] DecodeError),
    /// libtorch refused.
    #[error("moving planes")]
    Torch(#[from] TchError),
    /// A thread died.
    #[error("a thread of the codec ended")]
    Thread,
}

/// Encoders and decoders for planes of one shape.
#[derive(Debug)]
pub struct CodecLoop {
    sessions: Vec<CodecSession>,
    shape: Shape,
}

/// Planes that came back.
#[derive(Debug)]
pub struct Decoded {
    /// Samples with the gain in them, `[n, 1, h, w]`; not rounded.
    pub planes: Tensor,
    /// Bits of each.
    pub bits: Vec<u32>,
}

impl CodecLoop {
    /// Starts the sessions for planes of `shape`.
    ///
    /// # Errors
    /// [`CodecError`], also when ffmpeg or libx265 is missing.
    pub fn spawn(shape: Shape, options: EncoderOptions) -> Result<Self, CodecError> {
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let format = FrameFormat::try_new(side(shape.w), side(shape.h), PixelFormat::Gray)?;
        let sessions = (0..SIDE_BY_SIDE).map(|_| CodecSession::spawn(format, options.clone()));
        Ok(Self { sessions: sessions.collect::<Result<_, _>>()?, shape })
    }

    /// Sends `planes` (`[n, 1, h, w]`, whole numbers 0 to 255 as floats), each with its gain, through HEVC.
    /// The gradient of the result is that of the scaling alone.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn round_trip(&mut self, planes: &Tensor, gains: &[Gain]) -> Result<Decoded, CodecError> {
        let bytes = planes.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Uint8)?.f_contiguous()?;
        let mut values = vec![0u8; bytes.numel()];
        let len = values.len();
        bytes.f_copy_data(&mut values, len)?;
        let work: Vec<(&[u8], Gain)> =
            values.chunks_exact(self.shape.len().max(1)).zip(gains.iter().copied()).collect();
        let answers = share(&mut self.sessions, &work)?;
        let bits = answers.iter().map(|answer| answer.1).collect();
        let back: Vec<f32> = answers.into_iter().flat_map(|answer| answer.0).collect();

        let (h, w) = (self.shape.h as i64, self.shape.w as i64);
        let back = Tensor::f_from_slice(&back)?.f_reshape([-1, 1, h, w])?;
        let back = back.f_to_device(planes.device())?.f_to_kind(planes.kind())?;
        let factors: Vec<f32> = gains.iter().map(|gain| gain.factor()).collect();
        let factors =
            Tensor::f_from_slice(&factors)?.f_reshape([-1, 1, 1, 1])?.f_to_device(planes.device())?;
        let scaled = planes.f_sub_scalar(MIDDLE)?.f_mul(&factors)?.f_add_scalar(MIDDLE)?;
        let planes = scaled.f_add(&back.f_sub(&scaled.f_detach()?)?)?;
        Ok(Decoded { planes, bits })
    }
}

/// Samples with the gain in them, and bits.
type Answer = (Vec<f32>, u32);

/// Gives each session every n-th plane; answers come in the order of the work.
fn share(sessions: &mut [CodecSession], work: &[(&[u8], Gain)]) -> Result<Vec<Answer>, CodecError> {
    let stride = sessions.len().max(1);
    let lanes = thread::scope(|scope| {
        let lanes = sessions.iter_mut().enumerate().map(|(first, session)| {
            scope.spawn(move || {
                let own = work.iter().skip(first).step_by(stride);
                own.map(|&(plane, gain)| session.exchange(plane, gain)).collect::<Result<Vec<_>, _>>()
            })
        });
        let lanes: Vec<_> = lanes.collect();
        let joined = lanes.into_iter().map(|lane| lane.join().map_err(|_| CodecError::Thread)?);
        joined.collect::<Result<Vec<_>, CodecError>>()
    })?;
    let mut lanes: Vec<_> = lanes.into_iter().map(Vec::into_iter).collect();
    let in_order = (0..work.len()).map(|index| lanes.get_mut(index % stride).and_then(Iterator::next));
    in_order.collect::<Option<_>>().ok_or(CodecError::Thread)
}

/// One decoder, and an encoder for each range of gains that came up.
#[derive(Debug)]
struct CodecSession {
    format: FrameFormat,
    options: EncoderOptions,
    encoders: BTreeMap<u8, Encoder>,
    decoder: Decoder,
}

impl CodecSession {
    fn spawn(format: FrameFormat, options: EncoderOptions) -> Result<Self, CodecError> {
        let encoder = Encoder::spawn(format, options_of(&options, START_RUNG).0)?;
        let decoding = DecoderOptions { ffmpeg: options.ffmpeg.clone(), ..DecoderOptions::default() };
        let decoder = Decoder::spawn(format, encoder.parameter_sets().clone(), decoding)?;
        Ok(Self { format, options, encoders: BTreeMap::from([(START_RUNG, encoder)]), decoder })
    }

    fn exchange(&mut self, plane: &[u8], gain: Gain) -> Result<Answer, CodecError> {
        let highest = MAX_QP.saturating_sub(self.options.base_qp) / RUNG_QP;
        let step = (gain.0 / RUNG_STEPS).min(highest);
        let (options, taken) = options_of(&self.options, step);
        let encoder = match self.encoders.entry(step) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Encoder::spawn(self.format, options)?)
            }
        };
        // The options hold the QP of `step`, less what the gain given here takes as QP.
        let own = Gain(gain.0 - step * RUNG_STEPS + taken * RUNG_STEPS);
        let unit = encoder.encode(plane, own)?;
        let decoded = self.decoder.decode_scaled(unit.bytes())?;
        // The part of the gain that was taken as QP is put back, so that every plane holds the whole.
        let factor =
            decoded.qp_gain.factor() * Gain(step * RUNG_STEPS).factor() / Gain(taken * RUNG_STEPS).factor();
        let middle = MIDDLE as f32;
        let whole = decoded.samples.iter().map(|&p| (f32::from(p) - middle) * factor + middle);
        Ok((whole.collect(), unit.bits()))
    }
}

/// Options whose first child codes at the QP of `step`, and the steps that it counts as its own.
fn options_of(options: &EncoderOptions, step: u8) -> (EncoderOptions, u8) {
    let qp = options.base_qp + step * RUNG_QP;
    let taken = START_RUNG.min(qp / RUNG_QP);
    (EncoderOptions { base_qp: qp - taken * RUNG_QP, ..options.clone() }, taken)
}

//! The real codec inside a training step: planes go through HEVC, gradients pass it unchanged.

use autotiler_core::{Gain, Shape};
use autotiler_hevc::{
    BadFormat, DecodeError, Decoder, DecoderOptions, EncodeError, Encoder, EncoderOptions, FrameFormat,
    PixelFormat,
};
use tch::{Kind, TchError, Tensor};

/// Middle of the sample range, about which planes are scaled.
const MIDDLE: f64 = 128.0;

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
}

/// An encoder and its decoder.
#[derive(Debug)]
pub struct CodecLoop {
    encoder: Encoder,
    decoder: Decoder,
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
        let decoding = DecoderOptions { ffmpeg: options.ffmpeg.clone(), ..DecoderOptions::default() };
        let encoder = Encoder::spawn(format, options)?;
        let decoder = Decoder::spawn(format, encoder.parameter_sets().clone(), decoding)?;
        Ok(Self { encoder, decoder, shape })
    }

    /// Sends `planes` (`[n, 1, h, w]`, whole numbers 0 to 255 as floats), each with its gain, through HEVC.
    /// The gradient of the result is that of the scaling alone.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn round_trip(&mut self, planes: &Tensor, gains: &[Gain]) -> Result<Decoded, CodecError> {
        let bytes = planes.f_detach()?.f_to_kind(Kind::Uint8)?.f_contiguous()?;
        let mut values = vec![0u8; bytes.numel()];
        let len = values.len();
        bytes.f_copy_data(&mut values, len)?;
        let (mut back, mut bits) = (Vec::<f32>::with_capacity(len), Vec::with_capacity(gains.len()));
        for (plane, gain) in values.chunks_exact(self.shape.len().max(1)).zip(gains) {
            let unit = self.encoder.encode(plane, *gain)?;
            bits.push(unit.bits());
            let decoded = self.decoder.decode_scaled(unit.bytes())?;
            // The part of the gain that was taken as QP is put back, so that every plane holds the whole.
            let factor = decoded.qp_gain.factor();
            let middle = MIDDLE as f32;
            back.extend(decoded.samples.iter().map(|&p| (f32::from(p) - middle) * factor + middle));
        }
        let (h, w) = (self.shape.h as i64, self.shape.w as i64);
        let back = Tensor::f_from_slice(&back)?.f_reshape([-1, 1, h, w])?.f_to_kind(planes.kind())?;
        let factors: Vec<f32> = gains.iter().map(|gain| gain.factor()).collect();
        let factors = Tensor::f_from_slice(&factors)?.f_reshape([-1, 1, 1, 1])?;
        let scaled = planes.f_sub_scalar(MIDDLE)?.f_mul(&factors)?.f_add_scalar(MIDDLE)?;
        let planes = scaled.f_add(&back.f_sub(&scaled.f_detach()?)?)?;
        Ok(Decoded { planes, bits })
    }
}

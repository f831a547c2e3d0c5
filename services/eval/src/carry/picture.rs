//! The picture itself: HEVC or JPEG, then the whole network on the server.

use std::time::Duration;

use autotiler_core::{Gain, Shape};
use autotiler_graph::Session;
use autotiler_hevc::{Decoder, Encoder, FrameFormat, PixelFormat, undo_gain};
use autotiler_pipeline::{RawHeads, input_tensor};
use autotiler_scene::Picture;
use image::codecs::jpeg::JpegEncoder;

use super::{Carried, Carrier, Stages, Workshop, refused, timed};
use crate::{
    error::EvalError,
    method::{Method, Setting},
    workbench::heads_of,
};

/// See the module.
pub(super) struct PictureCarrier {
    method: Method,
    whole: Box<dyn Session>,
    input: Shape,
    codec: Option<Codec>,
}

/// The sessions for HEVC, and the side that they code.
struct Codec {
    side: usize,
    encoder: Encoder,
    decoder: Decoder,
}

impl PictureCarrier {
    pub(super) fn new(workshop: Workshop<'_>, method: Method) -> Result<Self, EvalError> {
        let codec = match method {
            Method::Picture { side } => {
                let format = FrameFormat::try_new(u32::from(side), u32::from(side), PixelFormat::Yuv420)?;
                let encoder = Encoder::spawn(format, workshop.encoder.clone())?;
                let sets = encoder.parameter_sets().clone();
                let decoder = Decoder::spawn(format, sets, workshop.decoder.clone())?;
                Some(Codec { side: usize::from(side), encoder, decoder })
            }
            _ => None,
        };
        let network = &workshop.model.network;
        Ok(Self { method, whole: workshop.engine.load(&network.graph)?, input: network.input, codec })
    }

    fn look(&mut self, picture: &Picture) -> Result<(RawHeads, Duration), EvalError> {
        let input = input_tensor(picture, self.input);
        let (outputs, server) = timed(|| self.whole.run(&[input]))?;
        Ok((heads_of(&outputs)?, server))
    }
}

impl Carrier for PictureCarrier {
    fn carry(&mut self, picture: &Picture, settings: &[Setting]) -> Result<Vec<Carried>, EvalError> {
        settings
            .iter()
            .map(|&setting| {
                let (bits, seen, mut spent) = match (&mut self.codec, setting) {
                    (Some(codec), Setting::Gain(gain)) => codec.pass(picture, gain)?,
                    (None, Setting::Quality(quality)) => jpeg(picture, self.input, quality)?,
                    _ => return Err(refused(self.method, setting)),
                };
                let (heads, server) = self.look(&seen)?;
                spent.server = server;
                Ok(Carried { bits, heads, ssim: None, spent })
            })
            .collect()
    }
}

impl Codec {
    fn pass(&mut self, picture: &Picture, gain: Gain) -> Result<(u32, Picture, Stages), EvalError> {
        let samples = picture.resize(self.side, self.side).to_yuv420()?;
        let (unit, encode) = timed(|| self.encoder.encode(&samples, gain))?;
        let (mut plane, decode) = timed(|| self.decoder.decode_scaled(unit.bytes()))?;
        undo_gain(&mut plane.samples, Gain(gain.0.saturating_sub(plane.qp_gain.0)));
        let seen = Picture::from_yuv420(self.side, self.side, &plane.samples)?;
        Ok((unit.bits(), seen, Stages { encode, decode, ..Stages::default() }))
    }
}

fn jpeg(picture: &Picture, input: Shape, quality: u8) -> Result<(u32, Picture, Stages), EvalError> {
    let squashed = picture.resize(input.w, input.h);
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (file, encode) = timed(|| {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality).encode(
            &squashed.rgb,
            side(input.w),
            side(input.h),
            image::ExtendedColorType::Rgb8,
        )?;
        Ok::<_, EvalError>(file)
    })?;
    let (seen, decode) = timed(|| Picture::decode(&file))?;
    let bits = u32::try_from(file.len() * 8).unwrap_or(u32::MAX);
    Ok((bits, seen, Stages { encode, decode, ..Stages::default() }))
}

//! A feature map as a tiled plane: head and tiler, a codec, the tiler's inverse and the tail.

use std::time::Duration;

use autotiler_core::{Gain, Route};
use autotiler_graph::tiler::TilerSpec;
use autotiler_hevc::{
    Coding as HevcCoding, Decoder, Encoder, EncoderOptions, FrameFormat, PixelFormat, ScaledPlane,
};
use autotiler_pipeline::{CodedFrame, DeviceOutput, DeviceStage, ServerSource, ServerStage};
use autotiler_scene::Picture;

use super::{Carried, Carrier, Stages, Workshop, refused, timed};
use crate::{
    error::EvalError,
    method::{Coding, Method, Setting},
    similarity::ssim,
};

/// See the module.
pub(super) struct PlaneCarrier {
    method: Method,
    device: DeviceStage,
    server: ServerStage,
    cells: Cells,
    at_qp: Option<Codec>,
    lossless: Option<Codec>,
    options: (EncoderOptions, autotiler_hevc::DecoderOptions),
}

/// An encoder and its decoder.
struct Codec {
    encoder: Encoder,
    decoder: Decoder,
}

/// A plane that came back.
struct Passed {
    bits: u32,
    plane: ScaledPlane,
    encode: Duration,
    decode: Duration,
}

impl PlaneCarrier {
    pub(super) fn new(workshop: Workshop<'_>, method: Method) -> Result<Self, EvalError> {
        let Method::Tiler { layer, cr, kind, coding } = method else {
            return Err(EvalError::Output("no plane"));
        };
        let Workshop { model, engine, encoder, decoder } = workshop;
        let stored = model.tiler(layer, cr, Some(kind))?;
        let spec = stored.spec();
        Ok(Self {
            method,
            device: DeviceStage::new(engine, model, Route::Split { layer, cr }, Some(kind))?,
            server: ServerStage::new(engine, model, ServerSource::Plane(stored))?,
            cells: Cells::new(spec, coding == Coding::FramePerChannel),
            at_qp: None,
            lossless: None,
            options: (encoder.clone(), decoder.clone()),
        })
    }

    /// The sessions for a setting; none where nothing is coded.
    fn codec(&mut self, setting: Setting) -> Result<Option<(&mut Codec, Gain)>, EvalError> {
        let Method::Tiler { coding, .. } = self.method else { return Err(refused(self.method, setting)) };
        let (slot, coding, gain) = match (coding, setting) {
            (Coding::Raw, Setting::Raw) => return Ok(None),
            (Coding::Raw, _) | (_, Setting::Raw | Setting::Quality(_)) => {
                return Err(refused(self.method, setting));
            }
            (_, Setting::Lossless) => (&mut self.lossless, HevcCoding::Lossless, Gain::UNITY),
            (_, Setting::Gain(gain)) => (&mut self.at_qp, HevcCoding::AtQp, gain),
        };
        let codec = match slot.take() {
            Some(codec) => codec,
            None => Codec::spawn(
                &self.cells,
                EncoderOptions { coding, ..self.options.0.clone() },
                &self.options.1,
            )?,
        };
        Ok(Some((slot.insert(codec), gain)))
    }

    fn pass(&mut self, frame: &[u8], setting: Setting) -> Result<(Passed, Gain), EvalError> {
        let cells = self.cells;
        let Some((codec, gain)) = self.codec(setting)? else {
            let plane = ScaledPlane { samples: frame.to_vec(), qp_gain: Gain::UNITY };
            let bits = u32::try_from(frame.len() * 8).unwrap_or(u32::MAX);
            let passed = Passed { bits, plane, encode: Duration::ZERO, decode: Duration::ZERO };
            return Ok((passed, Gain::UNITY));
        };
        let mut whole = Passed {
            bits: 0,
            plane: ScaledPlane { samples: frame.to_vec(), qp_gain: Gain::UNITY },
            encode: Duration::ZERO,
            decode: Duration::ZERO,
        };
        for number in 0..cells.count {
            let cell = cells.cut(frame, number);
            let (unit, encode) = timed(|| codec.encoder.encode(&cell, gain))?;
            let (back, decode) = timed(|| codec.decoder.decode_scaled(unit.bytes()))?;
            whole.bits += unit.bits();
            whole.encode += encode;
            whole.decode += decode;
            // All cells of a picture are coded at one gain by one session, so by one rung.
            whole.plane.qp_gain = back.qp_gain;
            cells.paste(&back.samples, number, &mut whole.plane.samples);
        }
        Ok((whole, gain))
    }
}

impl Carrier for PlaneCarrier {
    fn carry(&mut self, picture: &Picture, settings: &[Setting]) -> Result<Vec<Carried>, EvalError> {
        let (output, device) = timed(|| self.device.run(picture))?;
        let DeviceOutput::Frame(frame) = output else { return Err(EvalError::Output("no plane")) };
        settings
            .iter()
            .map(|&setting| {
                let (passed, gain) = self.pass(&frame, setting)?;
                let ScaledPlane { samples, qp_gain } = &passed.plane;
                let coded = CodedFrame { bytes: samples, gain, qp_gain: *qp_gain };
                let (heads, server) = timed(|| self.server.run(&[coded]))?;
                let heads = heads.into_iter().next().ok_or(EvalError::Output("no heads"))?;
                let similarity = self.cells.similarity(&frame, &unscaled(&passed.plane, gain));
                let Passed { bits, encode, decode, .. } = passed;
                let spent = Stages { device, encode, decode, server };
                Ok(Carried { bits, heads, ssim: similarity, spent })
            })
            .collect()
    }
}

impl Codec {
    fn spawn(
        cells: &Cells,
        encoding: EncoderOptions,
        decoding: &autotiler_hevc::DecoderOptions,
    ) -> Result<Self, EvalError> {
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let format = FrameFormat::try_new(side(cells.width), side(cells.height), PixelFormat::Gray)?;
        let encoder = Encoder::spawn(format, encoding)?;
        let decoder = Decoder::spawn(format, encoder.parameter_sets().clone(), decoding.clone())?;
        Ok(Self { encoder, decoder })
    }
}

/// The plane with its gain undone, as bytes.
fn unscaled(plane: &ScaledPlane, gain: Gain) -> Vec<u8> {
    let factor = plane.qp_gain.factor() / gain.factor();
    let back = |&p: &u8| ((f32::from(p) - 128.0) * factor + 128.0).round().clamp(0.0, 255.0) as u8;
    plane.samples.iter().map(back).collect()
}

/// The parts of a plane that are coded each by itself: the whole, or one map each.
#[derive(Debug, Clone, Copy)]
struct Cells {
    width: usize,
    height: usize,
    across: usize,
    count: usize,
}

impl Cells {
    fn new(spec: &TilerSpec, each_map: bool) -> Self {
        let (map, plane) = (spec.maps_shape(), spec.plane());
        if each_map {
            Self { width: map.w, height: map.h, across: spec.grid.cols, count: spec.maps }
        } else {
            Self { width: plane.w, height: plane.h, across: 1, count: 1 }
        }
    }

    /// The rows of cell `number` in a plane, as ranges of bytes.
    fn rows(&self, number: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let Self { width, height, across, .. } = *self;
        let (row, column) = (number / across, number % across);
        (0..height).map(move |y| {
            let start = ((row * height + y) * across + column) * width;
            start..start + width
        })
    }

    fn cut(&self, plane: &[u8], number: usize) -> Vec<u8> {
        self.rows(number).filter_map(|row| plane.get(row)).flatten().copied().collect()
    }

    fn paste(&self, cell: &[u8], number: usize, plane: &mut [u8]) {
        for (from, to) in cell.chunks_exact(self.width).zip(self.rows(number)) {
            if let Some(to) = plane.get_mut(to) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Mean structural similarity of the cells; none where they are smaller than its window.
    fn similarity(&self, before: &[u8], after: &[u8]) -> Option<f64> {
        let of =
            |number| ssim(&self.cut(before, number), &self.cut(after, number), self.width, self.height).ok();
        let values = (0..self.count).map(of).collect::<Option<Vec<f64>>>()?;
        Some(values.iter().sum::<f64>() / self.count.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_a_plane_once() {
        let cells = Cells { width: 3, height: 2, across: 2, count: 4 };
        let plane: Vec<u8> = (0..24).collect();
        let mut back = vec![0; 24];
        for number in 0..4 {
            cells.paste(&cells.cut(&plane, number), number, &mut back);
        }
        assert_eq!(back, plane);
        assert_eq!(cells.cut(&plane, 3), [15, 16, 17, 21, 22, 23]);
    }
}

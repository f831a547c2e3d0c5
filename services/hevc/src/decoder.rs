//! Decoder session: an access unit in, its plane out, nothing in between.
//!
//! A frame that cannot be decoded is an error for that frame; no earlier plane and no concealed one is ever
//! returned in its place. The child is started again on the next frame after it died.

use std::{path::PathBuf, time::Duration};

use autotiler_core::Gain;

use crate::{
    access_unit::{AccessUnit, BadAccessUnit, Opened},
    format::{FrameFormat, scaling},
    parameter_sets::{BadParameterSets, ParameterSets},
    process::{FIRST_FRAME_WITHIN, Process, ProcessError},
};

/// How to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderOptions {
    /// The ffmpeg program.
    pub ffmpeg: PathBuf,
    /// Limit for one frame; a child's first one gets at least 10 s.
    pub frame_timeout: Duration,
}

impl Default for DecoderOptions {
    fn default() -> Self {
        Self { ffmpeg: "ffmpeg".into(), frame_timeout: Duration::from_secs(4) }
    }
}

/// Why an access unit gave no plane. Each loses this frame only.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Parameter sets of another kind of picture.
    #[error("use the parameter sets")]
    ParameterSets(#[from] BadParameterSets),
    /// Damaged, of other parameter sets, or no access unit at all; ffmpeg has not seen it.
    #[error("read the access unit")]
    AccessUnit(#[from] BadAccessUnit),
    /// ffmpeg refused it.
    #[error("decode the access unit: ffmpeg says {0:?}")]
    Undecodable(String),
    /// ffmpeg could not be started.
    #[error("start the decoder")]
    Spawn(#[source] ProcessError),
    /// ffmpeg died or hung while it had the frame.
    #[error("decoder crashed")]
    Crashed(#[source] ProcessError),
}

/// A decoded plane that a part of its gain is still in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaledPlane {
    /// [`FrameFormat::len`] bytes.
    pub samples: Vec<u8>,
    /// The part of the frame's gain that its QP stood for: it is not in the samples.
    pub qp_gain: Gain,
}

/// A session that decodes the frames of one parameter set.
#[derive(Debug)]
pub struct Decoder {
    format: FrameFormat,
    parameter_sets: ParameterSets,
    options: DecoderOptions,
    /// None after a fault, until the next frame.
    child: Option<Child>,
    packet: Vec<u8>,
}

#[derive(Debug)]
struct Child {
    process: Process,
    inbox: Vec<u8>,
    frames: u64,
}

impl Decoder {
    /// Starts ffmpeg for frames of `format` that were coded with `parameter_sets`. It warms up on the first
    /// frame (0.1 s).
    ///
    /// # Errors
    /// [`DecodeError::ParameterSets`] when the sets are not those of the format, [`DecodeError::Spawn`].
    pub fn spawn(
        format: FrameFormat,
        parameter_sets: ParameterSets,
        options: DecoderOptions,
    ) -> Result<Self, DecodeError> {
        parameter_sets.check(format)?;
        let child = Some(Child::spawn(format, &options)?);
        Ok(Self { format, parameter_sets, options, child, packet: Vec::new() })
    }

    /// What the session decodes.
    pub fn format(&self) -> FrameFormat {
        self.format
    }

    /// What its frames were coded with.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.parameter_sets
    }

    /// Process id of ffmpeg; none after a fault, until the next frame.
    pub fn process_id(&mut self) -> Option<u32> {
        self.child.as_mut().map(|child| child.process.id())
    }

    /// Decodes one access unit and undoes its gain: `(p - 128) / gain + 128`, rounded and clamped to 0..=255.
    /// Returns [`FrameFormat::len`] bytes.
    ///
    /// # Errors
    /// [`DecodeError`]; this frame is lost, the session stays usable.
    pub fn decode(&mut self, access_unit: &[u8], gain: Gain) -> Result<Vec<u8>, DecodeError> {
        let mut plane = self.decode_scaled(access_unit)?;
        let factor = plane.factor(gain);
        if (factor - 1.0).abs() > f32::EPSILON {
            map(&mut plane.samples, factor.recip());
        }
        Ok(plane.samples)
    }

    /// Decodes one access unit to its samples as coded: for a caller who undoes the gain in floating point,
    /// where it costs neither rounding nor clamping.
    ///
    /// # Errors
    /// [`DecodeError`]; this frame is lost, the session stays usable.
    pub fn decode_scaled(&mut self, access_unit: &[u8]) -> Result<ScaledPlane, DecodeError> {
        let unit = AccessUnit::open(access_unit, self.parameter_sets.digest())?;
        let mut child = match self.child.take() {
            Some(child) => child,
            None => Child::spawn(self.format, &self.options)?,
        };
        let limit = match child.frames {
            0 => self.options.frame_timeout.max(FIRST_FRAME_WITHIN),
            _ => self.options.frame_timeout,
        };
        self.packet.clear();
        child.write_packet(self.format.coded(), &self.parameter_sets, unit, &mut self.packet);
        let frame_len = self.format.coded().len();
        let answer = |inbox: &mut Vec<u8>| (inbox.len() >= frame_len).then_some(());
        let Child { process, inbox, .. } = &mut child;
        match process.exchange(&self.packet, inbox, limit, answer) {
            Ok(()) if inbox.len() == frame_len => {}
            Ok(()) => return Err(DecodeError::Crashed(ProcessError::OutOfStep)),
            // With -xerror ffmpeg leaves, of its own will, on what it cannot decode.
            Err(ProcessError::Crashed { status, stderr }) if status.code().is_some() => {
                return Err(DecodeError::Undecodable(stderr));
            }
            Err(error) => return Err(DecodeError::Crashed(error)),
        }
        let samples = self.format.crop(inbox);
        inbox.clear();
        self.child = Some(child);
        Ok(ScaledPlane { samples, qp_gain: unit.qp_gain })
    }
}

impl Child {
    fn spawn(format: FrameFormat, options: &DecoderOptions) -> Result<Self, DecodeError> {
        let process = Process::spawn(&options.ffmpeg, &arguments(format)).map_err(DecodeError::Spawn)?;
        Ok(Self { process, inbox: Vec::new(), frames: 0 })
    }

    /// One IVF frame of parameter sets and slice, after the IVF header when it is the first
    /// (<https://wiki.multimedia.cx/index.php/Duck_IVF>; little-endian).
    fn write_packet(
        &mut self,
        coded: FrameFormat,
        sets: &ParameterSets,
        unit: Opened<'_>,
        out: &mut Vec<u8>,
    ) {
        if self.frames == 0 {
            out.extend(b"DKIF\0\0\x20\0HEVC");
            out.extend((coded.width() as u16).to_le_bytes());
            out.extend((coded.height() as u16).to_le_bytes());
            for field in [25u32, 1, 0, 0] {
                out.extend(field.to_le_bytes()); // rate, scale, frames (unknown), unused
            }
        }
        let len = sets.annex_b().len() + unit.annex_b_len();
        out.extend((len as u32).to_le_bytes());
        out.extend(self.frames.to_le_bytes());
        out.extend(sets.annex_b());
        unit.write_annex_b(out);
        self.frames += 1;
    }
}

impl ScaledPlane {
    /// What is left of `gain`, the frame's, in the samples: `plane = (samples - 128) / factor + 128`.
    pub fn factor(&self, gain: Gain) -> f32 {
        gain.factor() / self.qp_gain.factor()
    }
}

/// Undoes a gain that is in the samples themselves, like [`ScaledPlane::factor`]: `(p - 128) / gain + 128`,
/// rounded and clamped.
pub fn undo_gain(samples: &mut [u8], gain: Gain) {
    map(samples, gain.factor().recip());
}

fn map(samples: &mut [u8], factor: f32) {
    let table = scaling(factor);
    samples.iter_mut().for_each(|p| *p = table[usize::from(*p)]);
}

fn arguments(format: FrameFormat) -> Vec<String> {
    [
        &["-hide_banner", "-nostats", "-loglevel", "error", "-xerror", "-err_detect", "explode"][..],
        &["-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0", "-threads", "1"],
        &["-filter_threads", "1", "-f", "ivf", "-c:v", "hevc", "-i", "pipe:0", "-an"],
        // One thread on the output side too: `rawvideo` is coded with frame threads, each holds a picture back.
        // -vsync, not -fps_mode: ffmpeg 4.4 to 7 know it.
        &["-threads", "1", "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", format.pix_fmt()],
        &["-flush_packets", "1", "pipe:1"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoing_the_gain_is_exact_at_unity_and_clamps() {
        let mut samples: Vec<u8> = (0..=255).collect();
        undo_gain(&mut samples, Gain::UNITY);
        assert_eq!(samples, (0..=255).collect::<Vec<u8>>());
        undo_gain(&mut samples, Gain(24));
        assert_eq!([0, 64, 128, 192, 255].map(|p: usize| samples[p]), [0, 0, 128, 255, 255]);
    }
}

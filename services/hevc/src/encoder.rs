//! Encoder session: a plane in, its access unit out, nothing in between.
//!
//! ffmpeg's encoder side runs at one fixed QP; the bits of a frame are set by the [`Gain`] that its plane is
//! scaled with (libx265 behind ffmpeg can change no QP per frame, and its own rate control misses single frames
//! by 30 %). The child is started again on the next frame after it died.

use std::{path::PathBuf, time::Duration};

use autotiler_core::Gain;

use crate::{
    access_unit::{AccessUnit, BadAccessUnit},
    avi::{AviError, AviReader},
    format::FrameFormat,
    nal::{self, NalType},
    parameter_sets::{BadParameterSets, ParameterSets},
    process::{Process, ProcessError},
};

/// Middle of the sample range, about which a plane is scaled.
const MIDDLE: f32 = 128.0;

/// Time against bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// x265 `ultrafast`.
    #[default]
    Fast,
    /// x265 `superfast` with rate-distortion optimised quantisation, psycho-visual terms off: 4 to 10 % fewer
    /// bits for twice the time.
    Quality,
}

/// How to code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderOptions {
    /// The ffmpeg program, with libx265.
    pub ffmpeg: PathBuf,
    /// Time against bits.
    pub preset: Preset,
    /// QP at gain 1, 0 to 51. The lower it is, the more bits can be reached, and the more the rounding of the
    /// scaled plane costs at low rates.
    pub base_qp: u8,
    /// Limit for one frame.
    pub frame_timeout: Duration,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            ffmpeg: "ffmpeg".into(),
            preset: Preset::Fast,
            base_qp: 20,
            frame_timeout: Duration::from_secs(4),
        }
    }
}

/// Why a plane was not coded. Each loses this plane only; the next one is coded by a fresh child if need be.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A plane of the wrong length.
    #[error("plane has {got} bytes, {format} has {}", format.len())]
    PlaneLength {
        /// What the session codes.
        format: FrameFormat,
        /// What came.
        got: usize,
    },
    /// ffmpeg could not be started.
    #[error("start the encoder")]
    Spawn(#[source] ProcessError),
    /// ffmpeg died or hung while it had the plane.
    #[error("encoder crashed")]
    Crashed(#[source] ProcessError),
    /// What ffmpeg wrote is no AVI.
    #[error("read the encoder's container")]
    Container(#[from] AviError),
    /// A packet that is not one IDR slice.
    #[error("read the encoder's packet")]
    Packet(#[from] BadAccessUnit),
    /// A packet with something that a decoder has no use for, like x265's 2 KB of advertising.
    #[error("encoder wrote an unexpected NAL unit {0:?}")]
    UnexpectedNal(Option<NalType>),
    /// A packet without a slice.
    #[error("encoder wrote no slice")]
    NoSlice,
    /// Other parameter sets in mid-stream.
    #[error("encoder changed its parameter sets")]
    ParameterSetsChanged,
    /// The first packet has no usable parameter sets.
    #[error("read the encoder's parameter sets")]
    ParameterSets(#[from] BadParameterSets),
}

/// A session that codes planes of one format.
#[derive(Debug)]
pub struct Encoder {
    format: FrameFormat,
    options: EncoderOptions,
    child: Child,
    /// False after a fault, until a new child has coded its first plane.
    healthy: bool,
    coded: Vec<u8>,
}

/// ffmpeg and what its first packet told.
#[derive(Debug)]
struct Child {
    process: Process,
    container: AviReader,
    inbox: Vec<u8>,
    parameter_sets: ParameterSets,
    floor_bits: u32,
}

impl Encoder {
    /// Starts ffmpeg and codes one flat plane, which yields the parameter sets and warms it up (0.1 to 0.2 s).
    ///
    /// # Errors
    /// [`EncodeError`], also when ffmpeg lacks libx265 or the format does not suit it.
    pub fn spawn(format: FrameFormat, options: EncoderOptions) -> Result<Self, EncodeError> {
        let child = Child::spawn(format, &options)?;
        Ok(Self { format, options, child, healthy: true, coded: Vec::new() })
    }

    /// What the session codes.
    pub fn format(&self) -> FrameFormat {
        self.format
    }

    /// What a decoder needs once; [`AccessUnit::parameter_sets`] names it.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.child.parameter_sets
    }

    /// Bits of a flat plane: no gain gets below.
    pub fn floor_bits(&self) -> u32 {
        self.child.floor_bits
    }

    /// Process id of ffmpeg.
    pub fn process_id(&mut self) -> u32 {
        self.child.process.id()
    }

    /// Codes one plane of [`FrameFormat::len`] bytes, scaled by `gain` about 128.
    ///
    /// # Errors
    /// [`EncodeError`]; this plane is lost, the session stays usable.
    pub fn encode(&mut self, plane: &[u8], gain: Gain) -> Result<AccessUnit, EncodeError> {
        if plane.len() != self.format.len() {
            return Err(EncodeError::PlaneLength { format: self.format, got: plane.len() });
        }
        if !self.healthy {
            self.child = Child::spawn(self.format, &self.options)?;
            self.healthy = true;
        }
        self.format.grow(plane, &scaled(gain), &mut self.coded);
        let unit = self.child.encode(&self.coded, self.options.frame_timeout);
        self.healthy = unit.is_ok();
        unit
    }
}

impl Child {
    fn spawn(format: FrameFormat, options: &EncoderOptions) -> Result<Self, EncodeError> {
        let mut process = Process::spawn(&options.ffmpeg, &arguments(format, options))
            .map_err(EncodeError::Spawn)?;
        let (mut container, mut inbox) = (AviReader::default(), Vec::new());
        let flat = vec![128; format.coded().len()];
        let packet = exchange(&mut process, &mut container, &mut inbox, &flat, options.frame_timeout)?;
        let (sets, slice) = take_apart(&packet)?;
        let parameter_sets = ParameterSets::try_new(&sets)?;
        parameter_sets.check(format)?;
        let floor_bits = AccessUnit::seal(slice, parameter_sets.digest())?.bits();
        Ok(Self { process, container, inbox, parameter_sets, floor_bits })
    }

    fn encode(&mut self, coded: &[u8], within: Duration) -> Result<AccessUnit, EncodeError> {
        let packet = exchange(&mut self.process, &mut self.container, &mut self.inbox, coded, within)?;
        let (sets, slice) = take_apart(&packet)?;
        if sets != *self.parameter_sets.annex_b() {
            return Err(EncodeError::ParameterSetsChanged);
        }
        Ok(AccessUnit::seal(slice, self.parameter_sets.digest())?)
    }
}

fn exchange(
    process: &mut Process,
    container: &mut AviReader,
    inbox: &mut Vec<u8>,
    coded: &[u8],
    within: Duration,
) -> Result<Vec<u8>, EncodeError> {
    let packet = process
        .exchange(coded, inbox, within, |inbox| container.next_packet(inbox).transpose())
        .map_err(EncodeError::Crashed)?;
    Ok(packet?)
}

/// The parameter sets that the muxer wants before each key frame, and the one slice of the frame. Nothing else
/// may be in a packet, least of all unnoticed.
fn take_apart(packet: &[u8]) -> Result<(Vec<u8>, &[u8]), EncodeError> {
    let (mut sets, mut slice) = (Vec::new(), None);
    for nal in nal::split(packet) {
        match NalType::of(nal) {
            Some(kind) if kind.is_parameter_set() => sets.push(nal),
            Some(NalType::IdrSlice) if slice.is_none() => slice = Some(nal),
            kind => return Err(EncodeError::UnexpectedNal(kind)),
        }
    }
    Ok((nal::join(sets), slice.ok_or(EncodeError::NoSlice)?))
}

/// `(p - 128) * gain + 128`, rounded, for each sample value.
fn scaled(gain: Gain) -> [u8; 256] {
    let factor = gain.factor();
    std::array::from_fn(|p| ((p as f32 - MIDDLE) * factor + MIDDLE).round() as u8)
}

fn arguments(format: FrameFormat, options: &EncoderOptions) -> Vec<String> {
    let coded = format.coded();
    let (preset, search) = match options.preset {
        Preset::Fast => ("ultrafast", ""),
        Preset::Quality => ("superfast", ":rd=4:rdoq-level=2"),
    };
    // info=0: x265 otherwise adds 2.3 KB of its own settings to each frame. keyint=1: each frame stands alone.
    // One frame thread and no pool: more would hold frames back. ctu=16: planes from 16x16; in-loop filters off:
    // they blur across the borders of the maps that lie side by side on a plane.
    let x265 = format!(
        "log-level=error:info=0:keyint=1:min-keyint=1:frame-threads=1:pools=none:no-wpp=1:qp={}:ctu=16:\
         no-deblock=1:no-sao=1:psy-rd=0:psy-rdoq=0{search}",
        options.base_qp
    );
    let (pix_fmt, size) = (format.pix_fmt(), format!("{}x{}", coded.width(), coded.height()));
    [
        &["-hide_banner", "-nostats", "-loglevel", "error", "-threads", "1", "-filter_threads", "1"][..],
        &["-probesize", "32", "-analyzeduration", "0", "-f", "rawvideo", "-pix_fmt", pix_fmt],
        &["-s", &size, "-framerate", "25", "-i", "pipe:0", "-an", "-c:v", "libx265", "-preset", preset],
        &["-tune", "zerolatency", "-x265-params", &x265],
        &["-flush_packets", "1", "-f", "avi", "pipe:1"],
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
    fn unity_gain_changes_nothing_and_the_least_gain_leaves_a_flat_plane() {
        assert_eq!(scaled(Gain::UNITY), std::array::from_fn(|p| p as u8));
        assert_eq!(scaled(Gain(255)), [128; 256]);
        assert_eq!(scaled(Gain(24))[0], 64);
        assert_eq!(scaled(Gain(24))[255], 192);
    }
}

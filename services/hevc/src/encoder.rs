//! Encoder session: a plane in, its access unit out, nothing in between.
//!
//! The bits of a frame are set by its [`Gain`]: half the gain is 6 QP more. libx265 behind ffmpeg can change no
//! QP per frame, and its own rate control misses single frames by 30 %; so planes are scaled and coded at a fixed
//! QP. But scaled planes are rounded, which at an eighth of the scale costs 10 % of the bits. So most of a gain
//! is taken as QP, by one ffmpeg child for each third QP (a *rung*, started when first needed), and only the
//! rest as scaling. The access unit says which. A child is started again on the next frame after it died.
//! Lossless coding ([`Coding::Lossless`]) is for measuring what a plane takes as it is, and knows no gain.

use std::{path::PathBuf, time::Duration};

use autotiler_core::Gain;

use crate::{
    access_unit::{AccessUnit, BadAccessUnit},
    avi::{AviError, AviReader},
    format::{FrameFormat, PixelFormat, SMALL_UNIT, scaling},
    nal::{self, NalType},
    parameter_sets::{BadParameterSets, ParameterSets},
    process::{FIRST_FRAME_WITHIN, Process, ProcessError},
};

/// Gain steps from one rung to the next, and what they are in QP.
pub const RUNG_STEPS: u8 = 12;
/// See [`RUNG_STEPS`].
pub const RUNG_QP: u8 = 3;
/// Steps that a rung goes on to serve beyond its own, so that a gain near its end does not change rungs with
/// each frame.
const OVERLAP_STEPS: u8 = 6;
/// Rung of the first child: most targets lie near it, and another child costs the first frame 0.1 s.
pub const START_RUNG: u8 = 4;
/// Highest QP of HEVC with 8 bits.
pub const MAX_QP: u8 = 51;
/// Frames after which an unused rung is given up.
const IDLE_FRAMES: u64 = 500;

/// Time against bits. Measured at equal mean squared error on KLT planes of real feature maps (80x160, 3 to 8
/// kbit; 160x160, 6 to 20 kbit), against x265 `ultrafast` as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// x265 `ultrafast` with smaller transforms and rate-distortion optimised quantisation: 15 to 18 % fewer bits
    /// for twice the time, 2 to 4 ms of CPU.
    #[default]
    Fast,
    /// x265 `superfast` (which also splits coding units to 8x8) with the same quantisation: 20 to 22 % fewer bits
    /// for six times the time, 8 to 20 ms of CPU.
    Quality,
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Coding {
    /// As much as the QP and the gain say.
    #[default]
    AtQp,
    /// Nothing: each sample comes back as it was. There is no gain but [`Gain::UNITY`].
    Lossless,
}

/// How to code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderOptions {
    /// The ffmpeg program, with libx265.
    pub ffmpeg: PathBuf,
    /// Time against bits.
    pub preset: Preset,
    /// What may be lost.
    pub coding: Coding,
    /// QP at gain 1, 0 to 51. The lower it is, the more bits can be reached. The meaning of a gain hangs on it:
    /// planes that one tiler decoder shall take must share it.
    pub base_qp: u8,
    /// Limit for one frame; a child's first one gets at least 10 s.
    pub frame_timeout: Duration,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            ffmpeg: "ffmpeg".into(),
            preset: Preset::Fast,
            coding: Coding::AtQp,
            base_qp: 20,
            frame_timeout: Duration::from_secs(4),
        }
    }
}

impl EncoderOptions {
    fn highest_rung(&self) -> u8 {
        match self.coding {
            Coding::AtQp => MAX_QP.saturating_sub(self.base_qp) / RUNG_QP,
            // The one child, whose access units say that no gain was taken.
            Coding::Lossless => 0,
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
    /// A gain where nothing may be lost.
    #[error("encode without loss: gain step {} asks for one", .0.0)]
    GainWithoutLoss(Gain),
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
    parameter_sets: ParameterSets,
    floor_bits: u32,
    /// Most recently used last.
    rungs: Vec<Rung>,
    frames: u64,
    coded: Vec<u8>,
}

/// The child for one QP.
#[derive(Debug)]
struct Rung {
    /// Number of the rung: the QP is [`RUNG_QP`] higher for each.
    number: u8,
    child: Child,
    used: u64,
}

/// A running ffmpeg.
#[derive(Debug)]
struct Child {
    process: Process,
    container: AviReader,
    inbox: Vec<u8>,
}

impl Encoder {
    /// Starts ffmpeg and codes one flat plane, which yields the parameter sets and warms it up (0.1 to 0.2 s).
    ///
    /// # Errors
    /// [`EncodeError`], also when ffmpeg lacks libx265 or the format does not suit it.
    pub fn spawn(format: FrameFormat, options: EncoderOptions) -> Result<Self, EncodeError> {
        let number = START_RUNG.min(options.highest_rung());
        let (child, packet) = Child::spawn(format, &options, number)?;
        let (sets, slice) = take_apart(&packet)?;
        let parameter_sets = ParameterSets::try_new(&sets)?;
        parameter_sets.check(format)?;
        let floor_bits = AccessUnit::seal(slice, parameter_sets.digest(), Gain::UNITY)?.bits();
        let rungs = vec![Rung { number, child, used: 0 }];
        Ok(Self { format, options, parameter_sets, floor_bits, rungs, frames: 0, coded: Vec::new() })
    }

    /// What the session codes.
    pub fn format(&self) -> FrameFormat {
        self.format
    }

    /// What a decoder needs once; [`AccessUnit::parameter_sets`] names it. The same for all gains, and after a
    /// restart of ffmpeg.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.parameter_sets
    }

    /// Bits of a flat plane: no gain gets below.
    pub fn floor_bits(&self) -> u32 {
        self.floor_bits
    }

    /// Process ids of the ffmpeg children, most recently used last; none after a fault, until the next frame.
    pub fn process_ids(&mut self) -> Vec<u32> {
        self.rungs.iter_mut().map(|rung| rung.child.process.id()).collect()
    }

    /// Codes one plane of [`FrameFormat::len`] bytes as coarsely as `gain` says. A gain that is far from the last
    /// ones may start another ffmpeg (0.1 to 0.2 s).
    ///
    /// # Errors
    /// [`EncodeError`]; this plane is lost, the session stays usable.
    pub fn encode(&mut self, plane: &[u8], gain: Gain) -> Result<AccessUnit, EncodeError> {
        if plane.len() != self.format.len() {
            return Err(EncodeError::PlaneLength { format: self.format, got: plane.len() });
        }
        if self.options.coding == Coding::Lossless && gain != Gain::UNITY {
            return Err(EncodeError::GainWithoutLoss(gain));
        }
        self.frames += 1;
        let mut rung = self.take_rung(gain)?;
        let rest = Gain(gain.0.saturating_sub(rung.qp_gain().0));
        self.format.grow(plane, &scaling(rest.factor()), &mut self.coded);
        // A rung that fails is dropped, and its child with it.
        let packet = rung.child.exchange(&self.coded, self.options.frame_timeout)?;
        let (sets, slice) = take_apart(&packet)?;
        if sets != *self.parameter_sets.annex_b() {
            return Err(EncodeError::ParameterSetsChanged);
        }
        let unit = AccessUnit::seal(slice, self.parameter_sets.digest(), rung.qp_gain())?;
        rung.used = self.frames;
        self.rungs.push(rung);
        let frames = self.frames;
        // An idle child that died is let go here: as a zombie it would lie about until its gain comes again.
        self.rungs.retain_mut(|rung| frames - rung.used < IDLE_FRAMES && rung.child.process.is_running());
        Ok(unit)
    }

    /// The rung for a gain: the last used one if it serves, else another open one, else a new one.
    fn take_rung(&mut self, gain: Gain) -> Result<Rung, EncodeError> {
        let highest = self.options.highest_rung();
        let serves = |rung: &Rung| {
            let rest = gain.0.checked_sub(rung.qp_gain().0);
            rest.is_some_and(|rest| rest < RUNG_STEPS + OVERLAP_STEPS || rung.number == highest)
        };
        if let Some(at) = self.rungs.iter().rposition(serves) {
            return Ok(self.rungs.remove(at));
        }
        let number = (gain.0 / RUNG_STEPS).min(highest);
        let (child, _) = Child::spawn(self.format, &self.options, number)?;
        Ok(Rung { number, child, used: self.frames })
    }
}

impl Rung {
    /// The part of a gain that its QP stands for.
    fn qp_gain(&self) -> Gain {
        Gain(self.number * RUNG_STEPS)
    }
}

impl Child {
    /// A warm child, and the packet of the flat plane that warmed it.
    fn spawn(
        format: FrameFormat,
        options: &EncoderOptions,
        rung: u8,
    ) -> Result<(Self, Vec<u8>), EncodeError> {
        let process =
            Process::spawn(&options.ffmpeg, &arguments(format, options, rung)).map_err(EncodeError::Spawn)?;
        let mut child = Self { process, container: AviReader::default(), inbox: Vec::new() };
        let packet = child
            .exchange(&vec![128; format.coded().len()], options.frame_timeout.max(FIRST_FRAME_WITHIN))?;
        Ok((child, packet))
    }

    fn exchange(&mut self, coded: &[u8], within: Duration) -> Result<Vec<u8>, EncodeError> {
        let Self { process, container, inbox } = self;
        let packet = process
            .exchange(coded, inbox, within, |inbox| container.next_packet(inbox).transpose())
            .map_err(EncodeError::Crashed)?;
        Ok(packet?)
    }
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

fn arguments(format: FrameFormat, options: &EncoderOptions, rung: u8) -> Vec<String> {
    let coded = format.coded();
    let (preset, search) = match options.preset {
        Preset::Fast => ("ultrafast", "tu-intra-depth=3:signhide=1:rd=1"),
        Preset::Quality => ("superfast", "early-skip=1"),
    };
    // info=0: x265 otherwise adds 2.3 KB of its own settings to each frame. keyint=1: each frame stands alone.
    // One frame thread and no pool: more would hold frames back. ipratio=1: `qp` is that of P frames, I frames
    // would get 3 less. psy-rd=0, psy-rdoq=0: nobody looks at what is coded.
    let unit = coded.unit();
    let filters = match format.pixel {
        // In-loop filters off: they blur across the borders of the maps that lie side by side.
        PixelFormat::Gray => ":no-deblock=1:no-sao=1",
        PixelFormat::Yuv420 if unit == SMALL_UNIT => "",
        PixelFormat::Yuv420 => ":sao=1:deblock=0",
    };
    let loss = match options.coding {
        Coding::AtQp => format!("qp={}:ipratio=1", options.base_qp.saturating_add(rung * RUNG_QP)),
        Coding::Lossless => "lossless=1".to_owned(),
    };
    let x265 = format!(
        "log-level=error:info=0:keyint=1:min-keyint=1:frame-threads=1:pools=none:no-wpp=1:{loss}:ctu={unit}{filters}:\
         psy-rd=0:psy-rdoq=0:rdoq-level=2:{search}"
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

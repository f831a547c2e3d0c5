//! What is shown: trace, device, fixed points, by options.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use autotiler_core::OperatingPoint;
use autotiler_simulator::Trace;

/// The trace that is played without `--trace`: drawn, not recorded, so that it can come with the program.
const DRIVE: &str = include_str!("../../../../shaper/traces/drive.csv");
/// A profile of networks slowed down by [`SLOWDOWN`], beside the model directory.
const PROFILE: &str = "street.slow-camera.profile.yaml";
/// How much slower networks run than on this machine: a small camera's processor with a codec in hardware.
const SLOWDOWN: u32 = 20;

/// Options of the part in which a device follows its link.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Following a link")]
pub(crate) struct SteerArgs {
    /// Show the operating points only, and no device that follows its link.
    #[arg(long, conflicts_with = "steer_only")]
    pub(crate) no_steer: bool,
    /// Show only the device that follows its link.
    #[arg(long)]
    pub(crate) steer_only: bool,
    /// The link's capacity over time: CSV with the line `time_ms,capacity_bps` and then one line for each 100 ms. Without
    /// it a minute that was drawn: a good link, a fade, an outage, a way back, another outage.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Play only the first so many seconds of the trace.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=3600))]
    trace_seconds: Option<u32>,
    /// The cameras' networks run so many times slower than this machine can, by waiting; codec and server are as fast as
    /// ever. On a fast machine the whole network on the device is always best, and nothing is to be decided.
    #[arg(long, default_value_t = SLOWDOWN, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    slowdown: u32,
    /// What the controller decides by, as `autotiler profile --slowdown N` writes it [default: the one beside the model].
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Points that a camera each stays at, for comparison.
    #[arg(long = "static", value_name = "POINT", default_values = [
        "server-only,bits=34k", "layer=15,cr=4,bits=4400", "layer=36,cr=4,bits=4500", "device-only",
    ])]
    fixed: Vec<OperatingPoint>,
    /// Pictures per second of each camera.
    #[arg(long, default_value_t = 5.0, value_name = "N")]
    steer_fps: f64,
    /// How links get their capacity: tc in network namespaces (root), a relay in user space, or tc where it may be.
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    shape: Shape,
}

/// How links get their capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// `tc` where we may, else the relay.
    Auto,
    /// `tc` on a wire between network namespaces.
    Tc,
    /// A relay in user space.
    Relay,
}

/// All that is fixed before anything starts.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(super) trace: Trace,
    pub(super) slowdown: u32,
    profile: Option<PathBuf>,
    pub(super) fixed: Vec<OperatingPoint>,
    pub(super) fps: f64,
    pub(super) shape: Shape,
}

impl SteerArgs {
    /// Reads and checks what the options name.
    pub(crate) fn setting(&self) -> anyhow::Result<Setting> {
        let (name, file, text) = match &self.trace {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading the trace {}", path.display()))?;
                let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                (name, path.display().to_string(), text)
            }
            None => ("drive".to_owned(), "drive.csv".to_owned(), DRIVE.to_owned()),
        };
        let mut trace = Trace::parse(&name, &file, &text)?;
        if let Some(seconds) = self.trace_seconds {
            trace = Trace::new(name, trace.bins().iter().copied().take(10 * seconds as usize));
        }
        anyhow::ensure!(trace.length_s() >= 10.0, "--trace {file}: shorter than 10 seconds: record more");
        let fps = self.steer_fps;
        anyhow::ensure!((0.5..=50.0).contains(&fps), "--steer-fps {fps}: must be a number from 0.5 to 50");
        let mut fixed = Vec::new();
        self.fixed.iter().for_each(|point| {
            if !fixed.contains(point) {
                fixed.push(*point);
            }
        });
        let (slowdown, profile, shape) = (self.slowdown, self.profile.clone(), self.shape);
        Ok(Setting { trace, slowdown, profile, fixed, fps, shape })
    }
}

impl Setting {
    /// The profile of a device that is so slow.
    pub(super) fn profile(&self, model_dir: &Path) -> anyhow::Result<PathBuf> {
        if let Some(profile) = &self.profile {
            return Ok(profile.clone());
        }
        let beside = model_dir.with_file_name(PROFILE);
        anyhow::ensure!(
            self.slowdown == SLOWDOWN && beside.exists(),
            "there is no profile of this device: measure one with `autotiler profile --model {} --slowdown {} --quick \
             --device-class slow-camera --out FILE` and give it as --profile FILE",
            model_dir.display(),
            self.slowdown
        );
        Ok(beside)
    }
}

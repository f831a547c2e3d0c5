//! The link of one camera: a shaper that plays what its file says, and what it said of it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use autotiler_simulator::Trace;
use serde::Deserialize;

use super::{
    super::processes::{Process, Programs, free_address},
    ground::{Ground, inside},
};

/// The second schedule of a shaper is the trace; the first is its first rate, until all are ready.
const TRACE: u32 = 2;

/// A link at work.
pub(super) struct Link {
    _shaper: Process,
    schedule: PathBuf,
    told: PathBuf,
    /// The broker as the camera sees it.
    pub(super) nats: String,
    /// The camera's namespace.
    pub(super) namespace: Option<String>,
}

/// A line of the shaper: the keys that are used here.
#[derive(Debug, Clone, Copy, Deserialize)]
struct InForce {
    unix_ms: u64,
    schedule: u32,
    at_s: f64,
    bps: Option<f64>,
}

impl Link {
    /// Starts with `bps` until [`Self::play`].
    pub(super) fn start(
        programs: &Programs,
        ground: &Ground,
        number: usize,
        nats: &str,
        name: &str,
        bps: f64,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (schedule, told) =
            (folder.join(format!("{name}.link")), folder.join(format!("{name}.rates.jsonl")));
        fs::write(&schedule, format!("{bps:.0}\n"))
            .with_context(|| format!("writing {}", schedule.display()))?;
        let log = File::create(&told).with_context(|| format!("creating {}", told.display()))?;
        let (mut command, nats, namespace) = match ground.camera(number) {
            Some((namespace, interface)) => {
                let mut command = inside(&namespace, programs.shaper());
                command.args(["--interface", interface]);
                (command, nats.to_owned(), Some(namespace))
            }
            None => {
                let listen = free_address()?;
                let mut command = std::process::Command::new(programs.shaper());
                let to = nats.trim_start_matches("nats://");
                command.args(["--listen", &listen.to_string(), "--to", to]);
                command.stderr(std::process::Stdio::null());
                (command, format!("nats://{listen}"), None)
            }
        };
        command.arg("--schedule-file").arg(&schedule).stdin(std::process::Stdio::null()).stdout(log);
        let shaper = Process::spawn("autotiler-shaper", &mut command)?;
        Ok(Self { _shaper: shaper, schedule, told, nats, namespace })
    }

    /// Has the link carry what was recorded, from now on.
    pub(super) fn play(&self, trace: &Trace) -> anyhow::Result<()> {
        let bins = trace.bins().iter().enumerate().map(|(bin, bps)| format!("{},{bps:.0}\n", bin * 100));
        self.schedule(&format!("time_ms,capacity_bps\n{}", bins.collect::<String>()))
    }

    /// Takes all limits from it.
    pub(super) fn open(&self) -> anyhow::Result<()> {
        self.schedule("open\n")
    }

    /// Whole files only: the shaper may be reading.
    fn schedule(&self, text: &str) -> anyhow::Result<()> {
        let part = self.schedule.with_extension("part");
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &self.schedule))
            .with_context(|| format!("writing {}", self.schedule.display()))
    }

    /// When the trace began, by this machine's clock in milliseconds.
    pub(super) fn began_unix_ms(&self) -> anyhow::Result<Option<u64>> {
        let first = self.told()?.into_iter().find(|told| told.schedule == TRACE);
        Ok(first.map(|told| told.unix_ms - (told.at_s * 1e3) as u64))
    }

    /// The rates of the trace as they came into force: seconds since it began, bits per second.
    pub(super) fn rates(&self) -> anyhow::Result<Vec<(f64, f64)>> {
        let told = self.told()?.into_iter().filter(|told| told.schedule == TRACE);
        Ok(told.map(|told| (told.at_s, told.bps.unwrap_or(f64::INFINITY))).collect())
    }

    fn told(&self) -> anyhow::Result<Vec<InForce>> {
        let text =
            fs::read_to_string(&self.told).with_context(|| format!("reading {}", self.told.display()))?;
        // The last line may be half written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

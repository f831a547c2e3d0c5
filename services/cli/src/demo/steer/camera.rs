//! One camera: an edge process on its link, and what it wrote.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use autotiler_core::{Detection, OperatingPoint, Route};
use autotiler_scene::world::TEST_SEED;
use serde::Deserialize;

use super::{
    super::{
        processes::{Process, Programs},
        run::LOG,
    },
    ground::inside,
    link::Link,
    setting::Setting,
};

/// Where the camera that follows its link begins: nothing is known of the link yet, and pictures need no network here.
const FIRST: &str = "server-only,bits=34k";

/// An edge at work.
pub(super) struct Camera {
    name: String,
    point: Option<OperatingPoint>,
    process: Process,
    results: PathBuf,
    report: PathBuf,
}

/// An edge that has ended, with its accounts closed.
pub(super) struct Ended {
    pub(super) name: String,
    /// Where it stayed; none for the one that followed its link.
    pub(super) point: Option<OperatingPoint>,
    pub(super) frames: Vec<Frame>,
    pub(super) accounts: Accounts,
}

/// A line of the edge's results: the keys that are used here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Frame {
    pub(super) sequence: u32,
    pub(super) point: OperatingPoint,
    pub(super) captured_us: u64,
    #[serde(default)]
    pub(super) bits: Option<u32>,
    #[serde(default)]
    pub(super) total_ms: Option<f64>,
    #[serde(default)]
    pub(super) detections: Option<Vec<Detection>>,
}

/// The edge's report: the keys that are used here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Accounts {
    pub(super) captured: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) lost: BTreeMap<String, u64>,
    results_lost: u64,
}

/// What a camera at a fixed point is called.
pub(super) fn name(point: &OperatingPoint) -> String {
    match point.route {
        Route::DeviceOnly => "device-only".to_owned(),
        Route::ServerOnly => "server-only".to_owned(),
        Route::Split { layer, cr } => format!("layer{layer}-cr{cr}"),
    }
}

impl Camera {
    /// Starts at `point`, or without one as a follower of orders.
    pub(super) fn start(
        programs: &Programs,
        setting: &Setting,
        model: &Path,
        name: &str,
        point: Option<OperatingPoint>,
        link: &Link,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (results, report) = (folder.join(format!("{name}.jsonl")), folder.join(format!("{name}.json")));
        let mut command = match &link.namespace {
            Some(namespace) => programs.with_options(inside(namespace, programs.edge_program())),
            None => programs.edge(),
        };
        command.arg("--model").arg(model).args(["--nats", &link.nats, "--device", name, "--live"]);
        command.args(["--fps", &setting.fps.to_string(), "--source", &format!("scenes:seed={TEST_SEED}")]);
        command.args(["--slowdown", &setting.slowdown.to_string(), "--device-class", "slow-camera"]);
        command.args(["--point", &point.map_or_else(|| FIRST.to_owned(), |point| point.to_string())]);
        if point.is_none() {
            command.arg("--follow-orders");
        }
        command.arg("--results").arg(&results).arg("--report").arg(&report).args(["--log", LOG]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::spawn("autotiler-edge", &mut command)?;
        Ok(Self { name: name.to_owned(), point, process, results, report })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An error if it does not run any more.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.process.is_running()?, "the camera {} ended by itself", self.name);
        Ok(())
    }

    /// The frames whose fate is known so far.
    pub(super) fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        read_frames(&self.results)
    }

    /// Ends it; an error if its accounts do not close.
    pub(super) fn stop(self) -> anyhow::Result<Ended> {
        self.process.terminate()?;
        let text =
            fs::read_to_string(&self.report).with_context(|| format!("reading {}", self.report.display()))?;
        let accounts: Accounts =
            serde_json::from_str(&text).with_context(|| format!("reading {}", self.report.display()))?;
        let frames = read_frames(&self.results)?;
        accounts.check(frames.len()).with_context(|| format!("the accounts of {}", self.name))?;
        Ok(Ended { name: self.name, point: self.point, frames, accounts })
    }
}

impl Accounts {
    /// Every frame has one fate, and a line that says so.
    fn check(&self, lines: usize) -> anyhow::Result<()> {
        let (dropped, lost) = (self.dropped.values().sum::<u64>(), self.lost.values().sum::<u64>());
        let Self { captured, sent, received, results_lost, .. } = *self;
        anyhow::ensure!(
            captured == sent + dropped,
            "captured {captured} is not sent {sent} + dropped {dropped}"
        );
        anyhow::ensure!(sent == received + lost, "sent {sent} is not received {received} + lost {lost}");
        anyhow::ensure!(
            captured == lines as u64 + results_lost,
            "{captured} frames were captured and {lines} have a line; {results_lost} lines are known to be lost"
        );
        Ok(())
    }
}

/// Whole lines only: the edge may be writing.
fn read_frames(path: &Path) -> anyhow::Result<Vec<Frame>> {
    let read = || format!("reading {}", path.display());
    let text = fs::read_to_string(path).with_context(read)?;
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    whole.lines().map(|line| serde_json::from_str(line).with_context(read)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_do_not_close_are_refused() {
        let read = |text: &str| serde_json::from_str::<Accounts>(text).unwrap();
        let closed = r#"{"captured":9,"sent":7,"received":6,"dropped":{"too_old":2},"lost":{"timeout":1},"results_lost":0}"#;
        assert!(read(closed).check(9).is_ok());
        assert!(read(closed).check(8).is_err());
        for (from, to) in [(r#""captured":9"#, r#""captured":10"#), (r#""received":6"#, r#""received":5"#)] {
            assert!(read(&closed.replace(from, to)).check(9).is_err());
        }
    }
}

//! One operating point: an edge process, and what it wrote.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use autotiler_core::{Detection, OperatingPoint};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::{
    media::Media,
    processes::{Broker, Process, Programs},
};
use crate::common::progress;

/// What the services log: their good-bye to the broker at the end of each point is no news.
pub(crate) const LOG: &str = "warn,autotiler_transport::connection=error";
/// How often the progress is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// A running edge.
pub(crate) struct PointRun {
    point: OperatingPoint,
    process: Process,
    results: PathBuf,
    report: PathBuf,
    bar: ProgressBar,
}

/// A point that was run.
pub(crate) struct FinishedRun {
    pub(crate) point: OperatingPoint,
    pub(crate) frames: Vec<Frame>,
    pub(crate) report: EdgeReport,
}

/// A line of the edge's results file: the keys that are used here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Frame {
    pub(crate) sequence: u32,
    #[serde(default)]
    pub(crate) detections: Option<Vec<Detection>>,
}

/// The edge's accounts: the keys that are used here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EdgeReport {
    pub(crate) captured: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) kbit_per_frame: f64,
    pub(crate) total_ms: Percentiles,
    pub(crate) device_ms: Percentiles,
    pub(crate) transfer_ms: Percentiles,
    pub(crate) server_ms: Percentiles,
    pub(crate) wait_ms: Percentiles,
    pub(crate) frames_per_second: f64,
    #[serde(default)]
    pub(crate) out_of_reach: Option<String>,
}

/// Median and 95th percentile in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
}

impl PointRun {
    pub(crate) fn start(
        programs: &Programs,
        broker: &Broker,
        model: &Path,
        media: &Media,
        point: OperatingPoint,
        fps: f64,
        out: &Path,
    ) -> anyhow::Result<Self> {
        let stem = point.to_string().replace([',', '='], "-");
        let (results, report) = (out.join(format!("{stem}.jsonl")), out.join(format!("{stem}.json")));
        let mut command = programs.edge();
        command.arg("--model").arg(model).args(["--nats", broker.url(), "--device", "demo"]);
        command.args(["--point", &point.to_string(), "--source", &media.source()]);
        command.args(["--fps", &fps.to_string(), "--frames", &media.frames().to_string()]);
        command.arg("--results").arg(&results).arg("--report").arg(&report).args(["--log", LOG]);
        let bar = progress(media.frames() as usize, &point.to_string());
        let process = Process::spawn("autotiler-edge", &mut command)?;
        Ok(Self { point, process, results, report, bar })
    }

    /// Shows progress until the edge has ended, and reads what it left.
    pub(crate) fn finish(mut self) -> anyhow::Result<FinishedRun> {
        while self.process.is_running()? {
            self.bar.set_position(self.lines_written());
            std::thread::sleep(LOOK);
        }
        self.bar.finish_and_clear();
        let text = std::fs::read_to_string(&self.report)
            .with_context(|| format!("reading {}", self.report.display()))?;
        let report: EdgeReport =
            serde_json::from_str(&text).with_context(|| format!("reading {}", self.report.display()))?;
        let file = std::fs::File::open(&self.results)
            .with_context(|| format!("reading {}", self.results.display()))?;
        let frames = BufReader::new(file)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect::<anyhow::Result<Vec<Frame>>>()
            .with_context(|| format!("reading {}", self.results.display()))?;
        eprintln!(
            "{:32} {:4} sent {:4} received {:7.2} kbit/frame {:6.1} ms",
            self.point.to_string(),
            report.sent,
            report.received,
            report.kbit_per_frame,
            report.total_ms.p50
        );
        Ok(FinishedRun { point: self.point, frames, report })
    }

    fn lines_written(&self) -> u64 {
        std::fs::read(&self.results).map_or(0, |bytes| bytes.iter().filter(|&&b| b == b'\n').count() as u64)
    }
}

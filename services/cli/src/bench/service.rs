//! Edge, decoder and nats-server as processes: throughput, overhead, memory, start.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use autotiler_core::{LayerIndex, OperatingPoint, TargetBits};

use super::{Args, Bound, Row};
use crate::demo::{
    processes::{Broker, Decoder, Process, Programs},
    run::{EdgeReport, LOG},
};

/// Frames of the throughput and the overhead run.
const FRAMES: u32 = 600;
const PACED_FRAMES: u32 = 150;
const PACE: &str = "10";
/// Frames after which memory is taken to have settled.
const SETTLED_FRAMES: u64 = 500;
const LOOK: Duration = Duration::from_millis(5);

/// Throughput on this machine's cores, and what scheduling, NATS and headers add to the stages.
pub(super) fn service(args: &Args, layers: &[LayerIndex]) -> anyhow::Result<Vec<Row>> {
    let bench = Bench::start(args)?;
    let mut rows = Vec::new();
    for &layer in layers {
        let point = bench.point(layer)?;
        let fast = bench.edge(point, FRAMES, &[])?.finish()?;
        let what = format!("layer {layer}: edge and decoder on these cores, sustained");
        rows.push(Row::new(what, fast.frames_per_second, "frames/s", Some(Bound::AtLeast(30.0))));
        let gone: u64 = fast.dropped.values().chain(fast.lost.values()).sum();
        rows.push(Row::new(
            format!("layer {layer}: dropped or lost"),
            gone as f64,
            "frames",
            Some(Bound::AtMost(0.0)),
        ));
        let paced = bench.edge(point, PACED_FRAMES, &["--fps", PACE])?.finish()?;
        let added = paced.wait_ms.p50 + paced.transfer_ms.p50;
        let what = format!("layer {layer}: scheduling, NATS and headers over the stages");
        rows.push(Row::new(what, added, "ms", Some(Bound::AtMost(2.0))));
        rows.push(Row::new(
            format!("layer {layer}: capture to detections, paced"),
            paced.total_ms.p50,
            "ms",
            None,
        ));
    }
    Ok(rows)
}

/// Resident memory of the edge without ffmpeg, its growth, and the time from start to the first answer.
pub(super) fn memory(args: &Args, layers: &[LayerIndex]) -> anyhow::Result<Vec<Row>> {
    let bench = Bench::start(args)?;
    let Some(&layer) = layers.first() else { return Ok(Vec::new()) };
    let start = Instant::now();
    let mut edge = bench.edge(bench.point(layer)?, args.soak_frames, &[])?;
    let (mut first, mut settled, mut last) = (None, None, 0.0);
    while edge.process.is_running()? {
        let frames = edge.frames_done();
        if frames > 0 {
            first.get_or_insert_with(|| start.elapsed());
        }
        if let Some(mib) = resident_mib(edge.process.pid()) {
            last = mib;
            if frames >= SETTLED_FRAMES {
                settled.get_or_insert(mib);
            }
        }
        std::thread::sleep(LOOK);
    }
    let frames = edge.finish()?.received;
    let first = first.context("no frame was answered")?.as_secs_f64();
    let growth = last - settled.unwrap_or(last);
    Ok(vec![
        Row::new(
            format!("edge: resident memory after {frames} frames"),
            last,
            "MiB",
            Some(Bound::AtMost(120.0)),
        ),
        Row::new(
            format!("edge: growth from frame {SETTLED_FRAMES} on"),
            growth,
            "MiB",
            Some(Bound::AtMost(5.0)),
        ),
        Row::new("edge: start to first answer", first, "s", Some(Bound::AtMost(1.0))),
    ])
}

struct Bench<'a> {
    args: &'a Args,
    programs: Programs,
    broker: Broker,
    _decoder: Decoder,
    folder: tempfile::TempDir,
}

/// A running edge with the files that it writes.
struct Edge {
    process: Process,
    results: PathBuf,
    report: PathBuf,
}

impl<'a> Bench<'a> {
    fn start(args: &'a Args) -> anyhow::Result<Self> {
        let programs = Programs::find(&args.engine, &args.codec)?;
        let broker = Broker::start()?;
        let decoder = Decoder::start(&programs, &broker, &args.model)?;
        let folder = tempfile::tempdir().context("making a folder for results")?;
        Ok(Self { args, programs, broker, _decoder: decoder, folder })
    }

    fn point(&self, layer: LayerIndex) -> anyhow::Result<OperatingPoint> {
        Ok(OperatingPoint::split(layer, self.args.cr, TargetBits::try_new(8_000)?))
    }

    fn edge(&self, point: OperatingPoint, frames: u32, more: &[&str]) -> anyhow::Result<Edge> {
        let (results, report) = (self.folder.path().join("frames"), self.folder.path().join("report"));
        // Lines of the run before must not be counted.
        let _ = std::fs::remove_file(&results);
        let mut command = self.programs.edge();
        command.arg("--model").arg(&self.args.model).args(["--nats", self.broker.url(), "--device", "bench"]);
        command.args(["--point", &point.to_string(), "--frames", &frames.to_string(), "--loop"]);
        command.args(["--source", &source(&self.args.set.data, &self.args.set.set), "--log", LOG]);
        command.arg("--results").arg(&results).arg("--report").arg(&report).args(more);
        Ok(Edge { process: Process::spawn("autotiler-edge", &mut command)?, results, report })
    }
}

impl Edge {
    fn frames_done(&self) -> u64 {
        // A line has some hundred bytes; counting them all each time would disturb what is measured.
        std::fs::metadata(&self.results)
            .map_or(0, |file| if file.len() == 0 { 0 } else { file.len() / 4096 + 1 })
    }

    fn finish(mut self) -> anyhow::Result<EdgeReport> {
        while self.process.is_running()? {
            std::thread::sleep(LOOK);
        }
        let text = std::fs::read_to_string(&self.report).context("reading the edge's report")?;
        serde_json::from_str(&text).context("reading the edge's report")
    }
}

fn source(data: &Path, set: &str) -> String {
    if data.as_os_str() == "generated" {
        "scenes".to_owned()
    } else {
        format!("voc:{}:{set}", data.display())
    }
}

/// Resident memory of a process, from the kernel.
fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

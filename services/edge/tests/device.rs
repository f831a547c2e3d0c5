//! The whole device against a real nats-server and a real ffmpeg, with a tiny network and a scripted decoder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions that clippy knows as tests"
)]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use autotiler_core::{
    CompressionRatio, LayerIndex,
    wire::{Answer, FrameHeader, LossReason, Payload, ServerTimes},
};
use autotiler_edge::{Args, Config, Report, run::run_with};
use autotiler_graph::{
    darknet::{Cfg, init},
    reference::Reference,
    tiler::PlainFit,
};
use autotiler_hevc::{AccessUnit, ParameterDigest, ParameterSets};
use autotiler_model::{Model, Precision, TilerKind};
use autotiler_transport::{
    ConnectOptions, FrameSubscriber, connect, request_parameters, testing::NatsServer,
};
use clap::Parser;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);
const SPLIT: &str = "layer=0,cr=1,bits=8k";

/// Picture 32x32; layer 0 is 16x16 with 8 maps; one head of 4x4 cells and 2 classes.
const CFG: &str = "[net]\nwidth=32\nheight=32\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=7\nsize=1\nstride=1\npad=1\nactivation=linear\n\
    [yolo]\nmask=0\nanchors=8,8\nclasses=2\nnum=1\n";

fn model(dir: &Path) -> Model {
    let cfg = Cfg::parse(CFG).unwrap();
    let weights = init(&cfg, 1).unwrap();
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let mut model = Model::create(dir, "tiny", &cfg, &weights, classes, Precision::default()).unwrap();
    let spec = model.tiler_spec(LayerIndex(0), CompressionRatio::ONE).unwrap();
    let mut fit = PlainFit::new(spec);
    let feature: Vec<f32> = (0..spec.feature.len()).map(|i| (i % 7) as f32 / 7.0 - 0.3).collect();
    fit.add(&feature).unwrap();
    model.store_tiler(TilerKind::Plain, &fit.finish().unwrap(), Precision::default()).unwrap();
    model
}

/// A model, a broker that may not run, and a place for files.
struct Bench {
    dir: TempDir,
    model: Model,
    server: NatsServer,
}

impl Bench {
    fn new(broker: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = model(&dir.path().join("model"));
        Self { dir, model, server: NatsServer::stopped(broker).unwrap() }
    }

    fn started() -> Self {
        let mut bench = Self::new("");
        bench.server.resume().unwrap();
        bench
    }

    fn config(&self, point: &str, more: &[&str]) -> Config {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let (model, results, report) = (path("model"), path("results.jsonl"), path("report.json"));
        let url = format!("nats://{}", self.server.url());
        let least = ["autotiler-edge", "--model", &model, "--point", point, "--nats", &url];
        let files = ["--results", &results, "--report", &report];
        Args::try_parse_from([&least[..], &files, more].concat()).unwrap().config()
    }

    fn start(&self, point: &str, more: &[&str]) -> Device {
        let (cancel, registry) = (CancellationToken::new(), Registry::new());
        let config = self.config(point, more);
        let running = tokio::spawn(run_with(config, Arc::new(Reference), registry.clone(), cancel.clone()));
        Device { cancel, registry, running }
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join("results.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Answers frames by `outcome`; ends with the test.
    async fn decoder(&self, mut outcome: impl FnMut(&FrameHeader) -> Option<Outcome> + Send + 'static) {
        let options = ConnectOptions::new(vec![self.server.url()], "decoder");
        let connection = connect(&options).await.unwrap();
        let mut frames = FrameSubscriber::subscribe(&connection, &self.model.manifest.digest).await.unwrap();
        connection.flush().await;
        tokio::spawn(async move {
            let mut known: Option<ParameterSets> = None;
            while let Some(frame) = frames.next().await {
                let (header, unit) = FrameHeader::decode(&frame.payload).unwrap();
                let digest = ParameterDigest(header.parameter_sets);
                if known.as_ref().is_none_or(|sets| sets.digest() != digest) {
                    let asked = request_parameters(&connection, &frame.device, digest.0, LONG).await;
                    // Lost with the link: so is the frame.
                    let Ok(sets) = asked else { continue };
                    known = Some(ParameterSets::try_new(&sets).unwrap());
                }
                assert_eq!(known.as_ref().map(ParameterSets::digest), Some(digest));
                AccessUnit::open(unit, digest).unwrap();
                let Some(outcome) = outcome(&header) else { continue };
                let answer = Answer {
                    device: header.device,
                    stream: header.stream,
                    sequence: header.sequence,
                    epoch: header.epoch,
                    captured_us: header.captured_us,
                    times: ServerTimes { tail_us: 100, ..ServerTimes::default() },
                    batch: 1,
                    outcome,
                };
                let _ = connection.publish_now(frame.reply.unwrap(), answer.encode().into()).await;
            }
        });
    }
}

type Outcome = Result<Vec<autotiler_core::Detection>, LossReason>;

struct Device {
    cancel: CancellationToken,
    registry: Registry,
    running: JoinHandle<anyhow::Result<Report>>,
}

impl Device {
    /// Waits until a frame is counted under `reason` in `autotiler_edge_frames_<what>_total`.
    async fn counts(&self, what: &str, reason: &str) {
        let name = format!("autotiler_edge_frames_{what}_total");
        let counted = || {
            let families = self.registry.gather();
            let family = families.iter().find(|family| family.name() == name);
            let series = family.iter().flat_map(|family| family.get_metric());
            series
                .filter(|one| one.get_label()[0].value() == reason)
                .any(|one| one.get_counter().get_value() > 0.0)
        };
        let mut looks = interval(Duration::from_millis(10));
        let waiting = async {
            while !counted() {
                looks.tick().await;
            }
        };
        timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("no frame {what} as {reason}"));
    }

    async fn ended(self) -> anyhow::Result<Report> {
        timeout(LONG, self.running).await.expect("ends in time").unwrap()
    }
}

fn assert_closed(report: &Report) {
    let sum = |reasons: &BTreeMap<&str, u64>| reasons.values().sum::<u64>();
    assert_eq!(report.captured, report.sent + sum(&report.dropped), "{report:?}");
    assert_eq!(report.sent, report.received + sum(&report.lost), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_of_a_file_is_answered_and_written_down() {
    let bench = Bench::started();
    bench
        .decoder(|header| {
            assert!(matches!(header.payload, Payload::Plane { layer: LayerIndex(0), .. }));
            Some(if header.sequence.0 == 7 { Err(LossReason::EngineFailed) } else { Ok(Vec::new()) })
        })
        .await;
    let report = bench.start(SPLIT, &["--frames", "40"]).ended().await.unwrap();
    assert_closed(&report);
    assert_eq!((report.captured, report.received), (40, 39));
    assert_eq!(report.lost, BTreeMap::from([("engine_failed", 1)]));
    assert!(report.kbit_per_frame > 0.0 && report.total_ms.p50 > 0.0, "{report:?}");
    let lines = bench.lines();
    let mut sequences: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (0..40).collect::<Vec<_>>());
    let written = std::fs::read_to_string(bench.dir.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap()["received"], 39);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_itself_can_be_sent() {
    let bench = Bench::started();
    bench
        .decoder(|header| {
            assert_eq!(header.payload, Payload::Picture);
            Some(Ok(Vec::new()))
        })
        .await;
    let report = bench.start("server-only,bits=6k", &["--frames", "10"]).ended().await.unwrap();
    assert_closed(&report);
    assert_eq!(report.received, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_decoder_frames_are_lost_by_that_reason() {
    let bench = Bench::started();
    let report = bench.start(SPLIT, &["--frames", "5"]).ended().await.unwrap();
    assert_closed(&report);
    assert_eq!(report.lost, BTreeMap::from([("no_decoder", 5)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_needs_no_broker_works_without_one() {
    let bench = Bench::new("");
    let report = bench.start("device-only", &["--frames", "10"]).ended().await.unwrap();
    assert_closed(&report);
    assert_eq!((report.received, report.kbit_per_frame), (10, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_decoder_makes_a_live_source_drop_and_the_accounts_close() {
    let bench = Bench::started();
    bench.decoder(|_| None).await;
    let more = ["--live", "--fps", "100", "--answer-timeout", "200ms", "--window", "2"];
    let device = bench.start(SPLIT, &more);
    device.counts("dropped", "queue_full").await;
    device.counts("lost", "no_answer").await;
    device.cancel.cancel();
    let report = device.ended().await.unwrap();
    assert_closed(&report);
    assert_eq!(report.received, 0);
    assert!(report.lost.keys().eq(["no_answer"].iter()), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_it_began() {
    let bench = Bench::started();
    let (told, mut hear) = tokio::sync::mpsc::channel(1000);
    bench
        .decoder(move |_| {
            told.try_send(()).unwrap();
            Some(Ok(Vec::new()))
        })
        .await;
    let device = bench.start(SPLIT, &[]);
    for _ in 0..10 {
        timeout(LONG, hear.recv()).await.expect("frames flow").unwrap();
    }
    device.cancel.cancel();
    let report = device.ended().await.unwrap();
    assert_closed(&report);
    assert!(report.received >= 10 && report.lost.is_empty() && report.dropped.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_broker_is_survived_and_the_accounts_close() {
    let mut bench = Bench::started();
    let (told, mut hear) = tokio::sync::mpsc::channel(1000);
    bench
        .decoder(move |_| {
            told.try_send(()).unwrap();
            Some(Ok(Vec::new()))
        })
        .await;
    let device = bench.start(SPLIT, &["--fps", "100", "--answer-timeout", "5s"]);
    timeout(LONG, hear.recv()).await.expect("frames flow").unwrap();
    bench.server.kill();
    bench.server.resume().unwrap();
    // Those of before that were not taken yet, and many after.
    for _ in 0..50 {
        timeout(LONG, hear.recv()).await.expect("frames flow again").unwrap();
    }
    device.cancel.cancel();
    let report = device.ended().await.unwrap();
    assert_closed(&report);
    assert!(report.dropped.is_empty(), "a file drops nothing: {report:?}");
    let known = ["disconnected", "no_answer", "no_decoder"];
    assert!(report.lost.keys().all(|reason| known.contains(reason)), "{report:?}");
    assert!(report.received >= 40, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_broker_is_waited_for_until_told_to_stop() {
    let bench = Bench::new("");
    let device = bench.start(SPLIT, &["--drain", "100ms"]);
    // The first frames wait in the queue once there is a results file and nothing is in it.
    let results = bench.dir.path().join("results.jsonl");
    timeout(LONG, async {
        while !results.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(!device.running.is_finished());
    device.cancel.cancel();
    let report = device.ended().await.unwrap();
    assert_closed(&report);
    assert_eq!((report.sent, report.dropped.keys().all(|reason| *reason == "shutdown")), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_with_the_remedy() {
    let bench = Bench::started();
    let refused = async |point: &str, more: &[&str]| {
        format!("{:#}", bench.start(point, more).ended().await.unwrap_err())
    };
    assert!(refused("layer=1,cr=1,bits=8k", &[]).await.contains("train tilers"));
    assert!(refused("layer=0,cr=1,bits=8", &[]).await.contains("out of reach"));
    assert!(refused(SPLIT, &["--source", "images:absent"]).await.contains("absent"));
    assert!(refused(SPLIT, &["--ffmpeg", "absent-ffmpeg"]).await.contains("absent-ffmpeg"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = taken.local_addr().unwrap().to_string();
    assert!(refused(SPLIT, &["--admin", &admin]).await.contains(&admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_small_payload_limit_is_refused_with_both_numbers() {
    let mut bench = Bench::new("max_payload: 1024");
    bench.server.resume().unwrap();
    let error = bench.start(SPLIT, &[]).ended().await.unwrap_err().to_string();
    // 8 maps of 16x16 and the header.
    assert!(error.contains("1024") && error.contains("2112"), "{error}");
}

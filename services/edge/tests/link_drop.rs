//! How soon the guard leaves a link that has dropped, in two network namespaces.
//!
//! `cargo test -p autotiler-edge --test link_drop -- --ignored --nocapture` as root prints the times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and helpers of tests")]

use std::{
    env,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::wire::{Answer, FrameHeader, ServerTimes};
use autotiler_edge::{Args, run::run_with};
use autotiler_graph::{
    darknet::{Cfg, init},
    reference::Reference,
};
use autotiler_model::{Model, Precision};
use autotiler_transport::{ConnectOptions, FrameSubscriber, TelemetrySubscriber, connect};
use clap::Parser;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

const SIDE: &str = "AUTOTILER_TEST_FOLDER";
const URL: &str = "nats://10.98.0.2:4222";
const DROPS: usize = 30;
const QUEUE_AGE_MS: f64 = 300.0;
const INTERVAL_MS: f64 = 100.0;
/// A frame's age in the queue begins after the device's own work on it: head and codec, on a machine that also runs
/// the broker, the decoder and whatever else.
const WORK_MS: f64 = 100.0;
const WIDE: &str = "8mbit burst 10000";
const NARROW: &str = "100kbit burst 3100";

/// Pictures of 320x320 that fill 60 kbit, and a network that is done in a moment.
const CFG: &str = "[net]\nwidth=320\nheight=320\nchannels=3\n\
    [convolutional]\nfilters=4\nsize=3\nstride=8\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=7\nsize=1\nstride=1\npad=1\nactivation=linear\n\
    [yolo]\nmask=0\nanchors=8,8\nclasses=2\nnum=1\n";

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// Two namespaces with a wire between them, and the broker in one; gone when dropped.
struct Wire(Vec<Child>);

impl Wire {
    fn new() -> Self {
        for command in [
            "ip netns add drop-device".to_owned(),
            "ip netns add drop-server".to_owned(),
            "ip link add dr-d netns drop-device type veth peer name dr-s netns drop-server".to_owned(),
            "ip -n drop-device addr add 10.98.0.1/24 dev dr-d".to_owned(),
            "ip -n drop-server addr add 10.98.0.2/24 dev dr-s".to_owned(),
            "ip -n drop-device link set dr-d up".to_owned(),
            "ip -n drop-server link set dr-s up".to_owned(),
            "ip -n drop-server link set lo up".to_owned(),
            format!("tc -n drop-device qdisc add dev dr-d root tbf rate {WIDE} latency 2s"),
        ] {
            run(&command);
        }
        Self(vec![inside("drop-server", Path::new("nats-server"), &["-a", "10.98.0.2", "-p", "4222"], "")])
    }
}

/// Starts `program` in a namespace.
fn inside(namespace: &str, program: &Path, args: &[&str], folder: &str) -> Child {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program).args(args).env(SIDE, folder);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Wire {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in ["drop-device", "drop-server"] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and tc"]
fn a_dropped_link_is_left_within_the_queue_age_and_two_frames() {
    let folder = tempfile::tempdir().unwrap();
    let cfg = Cfg::parse(CFG).unwrap();
    let names = vec!["a".to_owned(), "b".to_owned()];
    let model = folder.path().join("model");
    Model::create(&model, "tiny", &cfg, &init(&cfg, 1).unwrap(), names, Precision::default()).unwrap();
    let mut wire = Wire::new();
    let (me, path) = (env::current_exe().unwrap(), folder.path().display().to_string());
    let side = |name| ["--ignored", "--exact", name, "--nocapture"];
    wire.0.push(inside("drop-server", &me, &side("server_side"), &path));
    let device = inside("drop-device", &me, &side("device_side"), &path);
    let output = device.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("RESULT ")).unwrap_or_else(|| panic!("{text}"));
    let mut times: Vec<f64> = line.1.split(' ').map(|word| word.parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((share * times.len() as f64).ceil() as usize).max(1) - 1];
    let limit = QUEUE_AGE_MS + 2.0 * INTERVAL_MS;
    let within = times.iter().filter(|time| **time <= limit).count();
    println!(
        "8 -> 0.1 Mbit/s, {} drops: p50 {:.0} ms, p99 {:.0} ms; {within} within {limit} ms",
        times.len(),
        at(0.5),
        at(0.99)
    );
    assert_eq!(times.len(), DROPS);
    assert!(at(0.99) <= QUEUE_AGE_MS + 2.0 * INTERVAL_MS + WORK_MS, "{times:?}");
}

/// A decoder that answers at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the other test"]
async fn server_side() {
    let Ok(folder) = env::var(SIDE) else { return };
    let network = Model::load(&Path::new(&folder).join("model")).unwrap().manifest.digest;
    let connection = connect(&ConnectOptions::new(vec![URL.parse().unwrap()], "decoder")).await.unwrap();
    let mut frames = FrameSubscriber::subscribe(&connection, &network).await.unwrap();
    while let Some(frame) = frames.next().await {
        let (header, _) = FrameHeader::decode(&frame.payload).unwrap();
        let answer = Answer {
            device: header.device,
            stream: header.stream,
            sequence: header.sequence,
            epoch: header.epoch,
            captured_us: header.captured_us,
            times: ServerTimes::default(),
            batch: 1,
            outcome: Ok(Vec::new()),
        };
        let _ = connection.publish_now(frame.reply.unwrap(), answer.encode().into()).await;
    }
}

/// The device, and whoever drops its link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other test"]
async fn device_side() {
    let Ok(folder) = env::var(SIDE) else { return };
    let path = |name: &str| Path::new(&folder).join(name).display().to_string();
    while TcpStream::connect("10.98.0.2:4222").is_err() {
        tokio::task::yield_now().await;
    }
    let (model, results) = (path("model"), path("results.jsonl"));
    let args = ["autotiler-edge", "--model", &model, "--point", "server-only,bits=60k", "--nats", URL];
    let more = ["--live", "--fps", "10", "--safe-point", "device-only", "--results", &results];
    let config = Args::try_parse_from([&args[..], &more].concat()).unwrap().config();
    let cancel = CancellationToken::new();
    let running = tokio::spawn(run_with(config, Arc::new(Reference), Registry::new(), cancel.clone()));

    let connection = connect(&ConnectOptions::new(vec![URL.parse().unwrap()], "watcher")).await.unwrap();
    let mut words = TelemetrySubscriber::subscribe(&connection).await.unwrap();
    let shape = |rate: &str| run(&format!("tc qdisc change dev dr-d root tbf rate {rate} latency 2s"));
    let mut drops = Vec::new();
    // The device's clock, by its newest word: late by the way of the word, a millisecond here.
    while drops.len() < DROPS {
        let word = words.next().await.unwrap().unwrap();
        let calm = word.guarded_for_ms.is_none() && word.total_us.p95.is_some_and(|total| total < 150_000);
        if !calm || word.received < 20 {
            continue;
        }
        // Each drop at another moment between two frames.
        let heard = Instant::now();
        tokio::time::sleep(Duration::from_micros(17_300 * (drops.len() as u64 % 6))).await;
        let before = Instant::now();
        shape(NARROW);
        let took = before.elapsed();
        drops.push(word.uptime_ms as f64 + (heard.elapsed() - took / 2).as_secs_f64() * 1e3);
        // Long enough for the guard to act; then the link is back.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        shape(WIDE);
        while words.next().await.unwrap().unwrap().guarded_for_ms.is_some() {}
    }
    cancel.cancel();
    running.await.unwrap().unwrap();
    let text = std::fs::read_to_string(&results).unwrap();
    let mut safe: Vec<f64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["point"] == "device-only")
        .map(|line| line["captured_us"].as_f64().unwrap() / 1e3)
        .collect();
    safe.sort_by(f64::total_cmp);
    let first = |drop: &f64| safe.iter().find(|captured| *captured > drop).map_or(f64::NAN, |at| at - drop);
    let times: Vec<_> = drops.iter().map(|drop| format!("{:.1}", first(drop))).collect();
    println!("RESULT {}", times.join(" "));
}

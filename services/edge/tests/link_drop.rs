//! How soon the guard leaves a link that has dropped, in two network namespaces.
//!
//! `cargo test --release -p autotiler-edge --test link_drop -- --ignored --nocapture` as root prints the times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and helpers of tests")]

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
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
use autotiler_transport::{ConnectOptions, FrameSubscriber, connect};
use clap::Parser;
use prometheus::Registry;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const SIDE: &str = "AUTOTILER_TEST_FOLDER";
const URL: &str = "nats://10.98.0.2:4222";
const DROPS: usize = 100;
const QUEUE_AGE_MS: f64 = 300.0;
const INTERVAL_MS: f64 = 100.0;
const LIMIT_MS: f64 = QUEUE_AGE_MS + 2.0 * INTERVAL_MS;
const WIDE: &str = "8mbit burst 10000";
/// A bucket of one packet: no frame passes the narrow link within the queue age.
const NARROW: &str = "100kbit burst 1600";
/// Drops come at multiples of this, so each at another moment between two frames.
const SPACING: Duration = Duration::from_micros(717_300);
/// Frames in a row that show a calm link, and how soon they are answered.
const CALM: usize = 10;
const CALM_MS: f64 = 150.0;
/// Longest wait for anything, on a busy machine.
const LONG: Duration = Duration::from_secs(120);

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
    let numbers = |name: &str| {
        let line = text.lines().find_map(|line| line.split_once(name)).unwrap_or_else(|| panic!("{text}"));
        let mut numbers: Vec<f64> = line.1.split_whitespace().map(|word| word.parse().unwrap()).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let at = |of: &[f64], share: f64| of[((share * of.len() as f64).ceil() as usize).max(1) - 1];
    let (times, work) = (numbers("TIMES"), numbers("WORK"));
    println!(
        "8 -> 0.1 Mbit/s, {} drops: p50 {:.0} ms, p99 {:.0} ms, {} within {LIMIT_MS} ms; \
         head and codec: p50 {:.0} ms, p99 {:.0} ms",
        times.len(),
        at(&times, 0.5),
        at(&times, 0.99),
        times.iter().filter(|time| **time <= LIMIT_MS).count(),
        at(&work, 0.5),
        at(&work, 0.99),
    );
    assert_eq!(times.len(), DROPS);
    assert!(at(&times, 0.99) <= LIMIT_MS, "{times:?}");
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

/// `tc` as a process that waits for commands, so that a drop is not as late as a program's start.
struct Shaper {
    tc: Child,
    commands: ChildStdin,
}

impl Shaper {
    fn start() -> Self {
        let mut tc = Command::new("tc").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let commands = tc.stdin.take().unwrap();
        Self { tc, commands }
    }

    fn shape(&mut self, rate: &str) {
        writeln!(self.commands, "qdisc change dev dr-d root tbf rate {rate} latency 2s").unwrap();
    }

    fn finish(mut self) {
        drop(self.commands);
        assert!(self.tc.wait().unwrap().success());
    }
}

/// What is read of a frame in the device's results, in milliseconds on its clock.
struct Frame {
    captured: f64,
    safe: bool,
    /// From capture to detections, where they came.
    total: Option<f64>,
    work: f64,
}

/// The device's results, as they come.
struct Frames {
    file: BufReader<File>,
    line: String,
    frames: Vec<Frame>,
    /// Zero of the device's clock on this one, in milliseconds: a frame is never heard of before it is done, and the
    /// one that is heard of soonest tells best.
    zero: f64,
    start: Instant,
}

impl Frames {
    async fn follow(path: &str) -> Self {
        let mut looks = interval(Duration::from_millis(5));
        let open = async {
            loop {
                looks.tick().await;
                if let Ok(file) = File::open(path) {
                    return file;
                }
            }
        };
        let file = BufReader::new(timeout(LONG, open).await.unwrap());
        Self { file, line: String::new(), frames: Vec::new(), zero: f64::MAX, start: Instant::now() }
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }

    /// Takes the lines that are there.
    fn read(&mut self) {
        while self.file.read_line(&mut self.line).unwrap() > 0 && self.line.ends_with('\n') {
            let line: serde_json::Value = serde_json::from_str(&self.line).unwrap();
            let stage = |name: &str| line["stages_ms"][name].as_f64().unwrap_or(0.0);
            let frame = Frame {
                captured: line["captured_us"].as_f64().unwrap() / 1e3,
                safe: line["point"] == "device-only",
                total: line["total_ms"].as_f64(),
                work: stage("head") + stage("codec"),
            };
            if let Some(total) = frame.total {
                self.zero = self.zero.min(self.now() - total - frame.captured);
            }
            self.frames.push(frame);
            self.line.clear();
        }
    }

    /// Reads on until `condition` holds.
    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        let mut looks = interval(Duration::from_millis(5));
        let holds = async {
            while !condition(self) {
                looks.tick().await;
                self.read();
            }
        };
        timeout(LONG, holds).await.unwrap();
    }

    /// The newest frames were all sent and soon answered.
    fn are_calm(&self) -> bool {
        let newest = self.frames.iter().rev().take(CALM);
        newest.filter(|frame| !frame.safe && frame.total.is_some_and(|total| total < CALM_MS)).count() == CALM
    }

    /// From `then` to the capture of the first frame after it that was worked on at the safe point.
    fn safe_after(&self, then: f64) -> Option<f64> {
        let safe = self.frames.iter().filter(|frame| frame.safe);
        safe.map(|frame| self.zero + frame.captured - then)
            .filter(|after| *after > 0.0)
            .min_by(f64::total_cmp)
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
    // A test that fails must not wait for the device's threads.
    let _stop = cancel.clone().drop_guard();
    let running = tokio::spawn(run_with(config, Arc::new(Reference), Registry::new(), cancel.clone()));

    let mut frames = Frames::follow(&results).await;
    let mut shaper = Shaper::start();
    let mut moments = interval(SPACING);
    moments.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut drops = Vec::new();
    while drops.len() < DROPS {
        frames.until(Frames::are_calm).await;
        // The first may have been missed, and then comes at once: right after a frame, each time.
        moments.tick().await;
        moments.tick().await;
        let dropped = frames.now();
        shaper.shape(NARROW);
        frames.until(|frames| frames.safe_after(dropped).is_some()).await;
        shaper.shape(WIDE);
        drops.push(dropped);
    }
    shaper.finish();
    cancel.cancel();
    running.await.unwrap().unwrap();
    frames.read();
    let print = |name: &str, numbers: &mut dyn Iterator<Item = f64>| {
        let words: Vec<_> = numbers.map(|number| format!("{number:.1}")).collect();
        println!("{name} {}", words.join(" "));
    };
    print("TIMES", &mut drops.iter().filter_map(|dropped| frames.safe_after(*dropped)));
    print(
        "WORK",
        &mut frames
            .frames
            .iter()
            .filter(|frame| !frame.safe && frame.total.is_some())
            .map(|frame| frame.work),
    );
}

//! The measured capacity against tc's rate, in two network namespaces.
//!
//! `cargo test -p autotiler-transport --test uplink -- --ignored --nocapture` as root prints the table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and helpers of tests")]

use std::{
    env,
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use autotiler_core::StreamId;
use autotiler_transport::{ConnectOptions, Echoes, ServerUrl, UplinkMeter, connect};
use bytes::Bytes;

const URL: &str = "AUTOTILER_TEST_NATS";
const FRAME_BITS: &str = "AUTOTILER_TEST_FRAME_BITS";
const SECONDS: u64 = 25;
const FRAMES_PER_SECOND: u64 = 10;
/// The issue's own limits.
const LARGEST_ERROR: f64 = 0.15;
const LARGEST_SHARE: f64 = 0.05;

/// Rates in kbit/s, tc's burst in bytes (a hundredth of a second, two packets at least), bits of a frame.
const CASES: [(u64, u64, u64); 6] = [
    (200, 3_100, 6_000),
    (500, 3_100, 12_000),
    (2_000, 3_100, 12_000),
    (8_000, 10_000, 12_000),
    (20_000, 25_000, 12_000),
    (50_000, 62_500, 12_000),
];

/// Two namespaces with a wire between them; gone when dropped.
struct Wire {
    server: Option<Child>,
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

impl Wire {
    fn new(kbit: u64, burst: u64) -> Self {
        for command in [
            "ip netns add uplink-device".to_owned(),
            "ip netns add uplink-server".to_owned(),
            "ip link add up-d netns uplink-device type veth peer name up-s netns uplink-server".to_owned(),
            "ip -n uplink-device addr add 10.99.0.1/24 dev up-d".to_owned(),
            "ip -n uplink-server addr add 10.99.0.2/24 dev up-s".to_owned(),
            "ip -n uplink-device link set up-d up".to_owned(),
            "ip -n uplink-server link set up-s up".to_owned(),
            "ip -n uplink-server link set lo up".to_owned(),
            format!(
                "tc -n uplink-device qdisc add dev up-d root tbf rate {kbit}kbit burst {burst} latency 2s"
            ),
        ] {
            run(&command);
        }
        let server = Command::new("ip")
            .args(["netns", "exec", "uplink-server", "nats-server", "-a", "10.99.0.2", "-p", "4222"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { server: Some(server) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        for name in ["uplink-device", "uplink-server"] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and tc"]
fn capacity_is_measured_within_15_percent_at_5_percent_of_probes() {
    let mut missed = Vec::new();
    println!("set kbit/s | median kbit/s | error | probes | samples");
    for (kbit, burst, bits) in CASES {
        let _wire = Wire::new(kbit, burst);
        let output = Command::new("ip")
            .args(["netns", "exec", "uplink-device"])
            .arg(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "device_side", "--nocapture"])
            .env(URL, "nats://10.99.0.2:4222")
            .env(FRAME_BITS, bits.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.split_once("RESULT ")).map(|(_, line)| line);
        let numbers: Vec<f64> = line
            .unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
            .split(' ')
            .map(|word| word.parse().unwrap())
            .collect();
        let [median, train_bits, samples] = numbers[..] else { panic!("{text}") };
        let rate = kbit as f64 * 1e3;
        let (error, share) = (median / rate - 1.0, train_bits / (rate * SECONDS as f64));
        println!(
            "{kbit} | {:.0} | {:+.1} % | {:.1} % | {samples}",
            median / 1e3,
            100.0 * error,
            100.0 * share
        );
        // NaN, where nothing was measured, misses too.
        if !(error.abs() <= LARGEST_ERROR && share <= LARGEST_SHARE) {
            missed.push(kbit);
        }
    }
    assert!(missed.is_empty(), "missed at {missed:?} kbit/s");
}

/// What runs in the device's namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other test"]
async fn device_side() {
    let Ok(url) = env::var(URL) else { return };
    let frame = env::var(FRAME_BITS).unwrap().parse::<usize>().unwrap() / 8;
    let url: ServerUrl = url.parse().unwrap();
    let options = ConnectOptions::new(vec![url], "uplink");
    while TcpStream::connect("10.99.0.2:4222").is_err() {
        tokio::task::yield_now().await;
    }
    let connection = connect(&options).await.unwrap();
    let estimates = Arc::new(Mutex::new(Vec::new()));
    let told = estimates.clone();
    let meter = UplinkMeter::start(&options, move |estimate| {
        eprintln!("{:.0} kbit/s over {:?}", estimate.bps / 1e3, estimate.span);
        told.lock().unwrap().push(estimate.bps);
    });
    let meter = meter.unwrap();
    let device = "cam-0".parse().unwrap();
    let (echo, mut echoes) = Echoes::subscribe(&connection, &device, StreamId(1)).await.unwrap();
    tokio::spawn(async move { while echoes.next().await.is_some() {} });
    tokio::spawn(meter.clone().send_trains(connection.clone(), echo, || true));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SECOND as u32);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(SECONDS) {
        ticks.tick().await;
        connection.publish_now("test.frame".to_owned(), Bytes::from(vec![7; frame])).await.unwrap();
    }
    let mut found = estimates.lock().unwrap().clone();
    found.sort_by(f64::total_cmp);
    let median = found.get(found.len() / 2).copied().unwrap_or(f64::NAN);
    println!("RESULT {median} {} {}", meter.train_bits(), found.len());
}

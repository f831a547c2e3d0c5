//! How many devices one controller follows: real telemetry on a real broker, a real gateway, Prometheus, API server.
//!
//! `AUTOTILER_SCALE=1000 cargo test -p autotiler-tests --test steer -- --ignored --nocapture many`

use std::{env, time::Duration};

use autotiler_core::{Epoch, telemetry::Telemetry};
use autotiler_tests::{PrometheusServer, Service, wait_until};
use autotiler_transport::{ConnectOptions, connect, publish_telemetry};
use tokio::runtime::Runtime;

use crate::{
    cluster::Cluster,
    device,
    stand::{READY, Stand},
};

/// Sweeps that are measured once all devices have their order.
const SWEEPS: f64 = 60.0;
/// From nothing to an order for each device, and for the sweeps.
const LONG: Duration = Duration::from_secs(400);

#[test]
#[ignore = "measures for minutes"]
fn many_devices_are_followed_by_one_controller() {
    let devices: usize = env::var("AUTOTILER_SCALE").map_or(1000, |count| count.parse().unwrap());
    let names: Vec<String> = (0..devices).map(|number| format!("cam-{number}")).collect();
    let cluster = Cluster::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let stand = &cluster.stand;
    let nats = stand.nats.url();
    let args = ["--max-devices", "20000", "--nats", &nats];
    let mut gateway = Service::start("autotiler-gateway", "gateway", args, stand.folder.path()).unwrap();
    gateway.wait_ready(READY).unwrap();
    let prometheus = PrometheusServer::start(&[gateway.addr()], Duration::from_secs(1)).unwrap();
    let runtime = speak(&nats, names);

    cluster.apply(&policy(stand, &prometheus.url()));
    let controller = cluster.controller("one");
    let metric = |name: &str| controller.metrics().unwrap_or_default().sum(name, &[]);
    let orders = || metric("autotiler_controller_orders_total");
    wait_until("an order for each device", LONG, || orders() >= devices as f64).unwrap();
    // Every status says so once; then nothing changes any more.
    let writes = || metric("autotiler_controller_status_writes_total");
    wait_until("a report of each device", LONG, || writes() >= devices as f64).unwrap();

    let before = (count(&controller, "sweep", None), orders(), writes());
    wait_until("the sweeps", LONG, || count(&controller, "sweep", None) >= before.0 + SWEEPS).unwrap();
    let sweeps = count(&controller, "sweep", None) - before.0;
    println!("devices {devices}, sweeps {sweeps}, in which {} orders", orders() - before.1);
    println!("  API writes a second  {:.2}", (writes() - before.2) / sweeps);
    for what in ["sweep", "decide"] {
        println!("  {what} p99 at most    {} s", quantile(&controller, what, 0.99));
    }
    let mut controller = controller;
    let bytes = controller.process().resident_bytes().unwrap_or_default();
    println!("  resident             {} MiB", bytes >> 20);
    drop(runtime);
}

/// All devices say each second that all is well, on a wide link.
fn speak(nats: &str, names: Vec<String>) -> Runtime {
    let runtime = Runtime::new().unwrap();
    let options = ConnectOptions::new(vec![nats.parse().unwrap()], "many");
    runtime.spawn(async move {
        let connection = connect(&options).await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        for second in 1_u64.. {
            ticks.tick().await;
            for name in &names {
                let word = Telemetry {
                    uplink_bps: Some(50_000_000),
                    rtt_us: Some(20_000),
                    captured: 10 * second,
                    ..device::word(name, Epoch(0), 1_000 * second)
                };
                let _ = publish_telemetry(&connection, &word).await;
            }
        }
    });
    runtime
}

fn policy(stand: &Stand, prometheus: &str) -> String {
    let policy = stand.policy("north", "").replace(&stand.prometheus.url(), prometheus);
    // All may have their first order at once; then a second between sweeps, as is usual.
    policy.replace("interval: 250ms", "interval: 1s").replace("maxAge: 2s", "maxAge: 10s")
}

/// Observations of a histogram, up to the bound `le`.
fn count(controller: &Service, what: &str, le: Option<&str>) -> f64 {
    let metrics = controller.metrics().unwrap_or_default();
    match le {
        None => metrics.sum(&format!("autotiler_controller_{what}_seconds_count"), &[]),
        Some(le) => metrics.sum(&format!("autotiler_controller_{what}_seconds_bucket"), &[("le", le)]),
    }
}

/// The smallest bound that `share` of the observations stay within.
fn quantile(controller: &Service, what: &str, share: f64) -> String {
    let goal = share * count(controller, what, None);
    let text = controller.get("/metrics").unwrap().body;
    let bucket = format!("autotiler_controller_{what}_seconds_bucket{{le=\"");
    let bounds = text.lines().filter_map(|line| line.strip_prefix(&bucket)?.split('"').next());
    let reached = bounds.filter(|le| count(controller, what, Some(le)) >= goal);
    reached
        .min_by(|a, b| a.parse::<f64>().unwrap_or(f64::MAX).total_cmp(&b.parse().unwrap_or(f64::MAX)))
        .map_or_else(|| "?".to_owned(), str::to_owned)
}

//! Faults of the cluster itself: a node that goes, an API server that does not answer.

use std::time::{Duration, Instant};

use autotiler_tests::wait_until;

use crate::{
    accounts::closed,
    cluster::{Cluster, DEVICES, SOON, report, time_until, until},
};

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(120);
/// A container that cannot start is tried again after a while, five minutes at most.
const BACK_WITHIN: Duration = Duration::from_secs(360);

#[test]
#[ignore = "needs the cluster of tests/kind/up: make e2e"]
fn a_node_that_was_away_takes_its_pods_up_again() {
    let cluster = Cluster::open();
    let node = cluster.kubectl(&["get", "nodes", "--output", "name"]);
    let node = node.lines().find(|name| name.ends_with("-worker")).expect("a worker").to_owned();
    let name = node.trim_start_matches("node/");
    let here = cluster.pods_on(name, "app.kubernetes.io/name=autotiler");
    assert!(!here.is_empty(), "nothing runs on {name}");
    cluster.script("fault", &["node", "stop"]);
    until("the cluster to notice", || !cluster.is_ready("node", name));
    cluster.script("fault", &["node", "start"]);
    let began = Instant::now();
    until("the node", || cluster.is_ready("node", name));
    wait_until("all of its pods", BACK_WITHIN, || here.iter().all(|pod| cluster.is_ready("pod", pod)))
        .unwrap();
    cluster.settle();
    let back = began.elapsed();
    // Devices that were on it began anew; all count from their start.
    let accounts = DEVICES.map(|device| closed(&cluster, device));
    let lost: f64 = accounts.iter().map(|account| account.lost).sum();
    let short = here.iter().map(|pod| pod.trim_start_matches(&format!("{}-", cluster.release)));
    report(
        "worker node stopped until it was missed, and started, under load",
        "devices and decoders come back by themselves; accounting closes",
        &format!(
            "{} back {:.0} s after its start; accounts close, {lost} frames lost by counted reasons",
            short.collect::<Vec<_>>().join(", "),
            back.as_secs_f64()
        ),
        true,
    );
}

#[test]
#[ignore = "needs the cluster of tests/kind/up: make e2e"]
fn the_stream_goes_on_without_an_api_server() {
    let cluster = Cluster::open();
    let before = DEVICES.map(|device| closed(&cluster, device));
    let began = Instant::now();
    cluster.script("fault", &["api", "stop"]);
    until("the API server to be gone", || cluster.get("/livez").is_none());
    let gone = Instant::now();
    let came_back = wait_until("an answer", OUTAGE, || cluster.get("/livez").is_some());
    cluster.script("fault", &["api", "start"]);
    came_back.expect_err("it was to be away for two minutes");
    let away = gone.elapsed();
    let answers = time_until("the API server", || cluster.get("/livez").is_some());
    let accounts: Vec<_> =
        DEVICES.iter().zip(before).map(|(device, before)| closed(&cluster, device).since(before)).collect();
    let passed = began.elapsed();
    let leads = || cluster.service_metrics("controller:admin").sum("autotiler_controller_leader", &[]) >= 1.0;
    let led = Instant::now();
    wait_until("a controller that leads", BACK_WITHIN, leads).unwrap();
    let led = led.elapsed();
    wait_until("fresh metrics of all devices", SOON, || {
        DEVICES.iter().all(|device| cluster.condition(device, "MetricsFresh") == "True")
    })
    .unwrap();
    cluster.settle();
    let sum = |what: fn(&crate::accounts::Accounts) -> f64| accounts.iter().map(what).sum::<f64>();
    let (received, missed) = (sum(|one| one.received), sum(|one| one.dropped + one.lost));
    let rate = received / passed.as_secs_f64() / DEVICES.len() as f64;
    report(
        &format!("API server away for {:.0} s", away.as_secs_f64()),
        "the stream goes on; everything is back by itself; accounting closes",
        &format!(
            "{received} frames answered ({rate:.1} a second and device), {missed} lost or dropped; API server {:.0} s \
             after its start, controller leads {:.0} s later",
            answers.as_secs_f64(),
            led.as_secs_f64()
        ),
        missed == 0.0 && rate > 4.0,
    );
}

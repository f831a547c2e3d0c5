//! What is measured stops being known: the stream goes on, conditions say so, and nothing is taken for zero.

use std::time::{Duration, Instant};

use autotiler_tests::Signal;

use crate::{
    audit::{Audit, Thresholds, model_dir},
    cluster::Cluster,
    site::{Site, THIN, WIDE, json, until},
};

/// The longest silence of a stream that goes on, in microseconds: what the guard allows, and a busy machine.
const GAP_US: u64 = 2_000_000;

/// Takes Prometheus away for `away` from a camera with `fallback` that waits at `meanwhile`.
fn without_prometheus(away: Duration, fallback: &str, meanwhile: &str) {
    let Some(mut site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    let controller = site.controller(&site.policy(fallback));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);

    let start = Instant::now();
    site.prometheus.kill().unwrap();
    until("the fallback", || json(&controller, "/v1/devices/cam")["decided"]["outcome"] == "fallback");
    let decided = json(&controller, "/v1/devices/cam")["decided"].clone();
    assert_eq!(decided["uplink"]["value"], serde_json::Value::Null, "{decided:#}");
    camera.see_many(10, meanwhile);
    while start.elapsed() < away {
        camera.see_many(1, meanwhile);
    }
    // The link has changed when it is back: the first new samples are waited for, then all is as ever.
    site.link.shape(THIN.0).unwrap();
    site.prometheus.resume().unwrap();
    camera.see_many(10, THIN.1);

    let accounts = camera.stop();
    Audit::new(&model_dir(), Thresholds::default()).check(&accounts.lines);
    let lines = accounts.in_order();
    let captured = |line: &serde_json::Value| line["captured_us"].as_u64().unwrap();
    let received: Vec<_> =
        lines.iter().filter(|line| line["outcome"] == "received").map(|line| captured(line)).collect();
    let gap = received.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap <= GAP_US, "{gap} us without a result");
}

#[test]
fn without_prometheus_the_stream_goes_on_at_the_fallback_and_recovers_by_itself() {
    let fallback = "  fallback: {failureThreshold: 3, action: DeviceOnly}\n";
    without_prometheus(Duration::ZERO, fallback, "device-only");
}

#[test]
#[ignore = "takes more than two minutes"]
fn two_minutes_without_prometheus_are_held_out() {
    without_prometheus(Duration::from_secs(120), "", WIDE.1);
}

#[test]
fn a_silent_gateway_and_a_silent_device_are_conditions_and_never_zero() {
    let Some(site) = Site::new(WIDE.0) else { return };
    let mut cluster = Cluster::new(site);
    let _decoder = cluster.site.decoder("decoder");
    let controller = cluster.controller("one");
    let mut camera = cluster.site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);
    until("fresh signals", || cluster.condition("edev", "cam", "MetricsFresh").0 == "True");
    until("a synced device", || cluster.condition("edev", "cam", "Synced").0 == "True");

    // What a gateway that hangs leaves behind goes stale; the device goes on.
    cluster.site.gateway.process().signal(Signal::SIGSTOP).unwrap();
    until("the condition", || cluster.condition("edev", "cam", "MetricsFresh").0 == "False");
    let uplink = json(&controller, "/v1/devices/cam")["decided"]["uplink"].clone();
    assert!(uplink["state"] != "fresh" && uplink["value"].is_null(), "{uplink}");
    assert_eq!(
        cluster.condition("atp", "north", "Ready").0,
        "True",
        "a gap in metrics is no fault of the policy"
    );
    camera.see_many(5, WIDE.1);
    cluster.site.gateway.process().signal(Signal::SIGCONT).unwrap();
    until("fresh signals again", || cluster.condition("edev", "cam", "MetricsFresh").0 == "True");

    // The device is gone without a word: the gateway drops its series.
    camera.service().process().kill_all().unwrap();
    let series = || cluster.site.prometheus.query("autotiler_device_uplink_bits_per_second").unwrap().len();
    until("the series to go", || series() == 0);
    until("the device to be called silent", || cluster.condition("edev", "cam", "MetricsFresh").0 == "False");
    let uplink = json(&controller, "/v1/devices/cam")["decided"]["uplink"].clone();
    assert!(uplink["state"] != "fresh" && uplink["value"].is_null(), "{uplink}");

    Audit::new(&model_dir(), Thresholds::default()).check(camera.frames());
}

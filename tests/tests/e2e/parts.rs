//! What is not the way of a frame goes away and comes back.

use std::time::Duration;

use crate::{
    accounts::closed,
    cluster::{Cluster, DEVICES, report, time_until, until},
};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_controller_comes_back_and_the_stream_goes_on() {
    without("controller", true);
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_prometheus_comes_back_and_the_stream_goes_on() {
    without("prometheus", true);
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_gateway_comes_back_and_the_stream_goes_on() {
    without("gateway", true);
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_nats_comes_back_and_every_frame_is_accounted_for() {
    without("nats", false);
}

/// Deletes the pod of a part; frames may be lost meanwhile where they go through it.
fn without(part: &str, frames_go_on: bool) {
    let cluster = Cluster::open();
    let label = format!("app.kubernetes.io/component={part}");
    let before = DEVICES.map(|device| closed(&cluster, device));
    let epochs = DEVICES.map(|device| epoch(&cluster, device));
    let old = cluster.pods(&label);
    assert!(!old.is_empty(), "no pod of {label}");
    cluster.kubectl(&["delete", "pod", "--selector", &label, "--wait=false"]);
    let back = time_until(&format!("another pod of {part}"), || {
        let pods = cluster.pods(&label);
        !pods.is_empty() && pods.iter().all(|pod| !old.contains(pod) && is_ready(&cluster, pod))
    });
    let settled = time_until("fresh metrics of all devices", || {
        DEVICES.iter().all(|device| cluster.condition(device, "MetricsFresh") == "True")
    });
    cluster.settle();
    let mut lost = 0.0;
    for (device, before) in DEVICES.iter().zip(before) {
        let account = closed(&cluster, device).since(before);
        lost += account.lost + account.dropped;
    }
    // Orders are kept, whoever was away.
    for (device, before) in DEVICES.iter().zip(epochs) {
        until("an epoch that did not fall", || epoch(&cluster, device) >= before);
    }
    if frames_go_on {
        assert_eq!(lost, 0.0, "no frame goes through {part}");
    }
    let seconds = |time: Duration| time.as_secs_f64();
    report(
        &format!("{part} pod deleted: ready; devices' metrics fresh; frames not received"),
        &format!("{:.1} s; {:.1} s later; {lost}", seconds(back), seconds(settled)),
        "back by itself, accounting closes",
    );
}

fn is_ready(cluster: &Cluster, pod: &str) -> bool {
    let object = cluster.object("pod", pod);
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn epoch(cluster: &Cluster, device: &str) -> u64 {
    cluster.object("edev", device)["status"]["assignment"]["epoch"].as_u64().unwrap_or_default()
}

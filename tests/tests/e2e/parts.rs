//! What is not the way of a frame goes away and comes back.

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
    let old = cluster.identities(&label);
    assert!(!old.is_empty(), "no pod of {label}");
    cluster.kubectl(&["delete", "pod", "--selector", &label, "--wait=false"]);
    // A StatefulSet's next pod has the same name, and another identity.
    let back = time_until(&format!("another pod of {part}"), || {
        let now = cluster.identities(&label);
        !now.is_empty()
            && now.iter().all(|one| !old.contains(one))
            && cluster.pods(&label).iter().all(|pod| cluster.is_ready("pod", pod))
    });
    let decided = cluster.decisions();
    let settled = time_until("decisions on fresh metrics of all devices", || {
        cluster.decisions() > decided
            && DEVICES.iter().all(|device| cluster.condition(device, "MetricsFresh") == "True")
    });
    cluster.settle();
    let (mut dropped, mut lost) = (0.0, 0.0);
    for (device, before) in DEVICES.iter().zip(before) {
        let account = closed(&cluster, device).since(before);
        dropped += account.dropped;
        lost += account.lost;
    }
    // Orders are kept, whoever was away.
    for (device, before) in DEVICES.iter().zip(epochs) {
        until("an epoch that did not fall", || epoch(&cluster, device) >= before);
    }
    let wanted = if frames_go_on {
        "the stream goes on; back by itself; accounting closes"
    } else {
        "back by itself; accounting closes"
    };
    report(
        &format!("{part} pod deleted"),
        wanted,
        &format!(
            "ready after {:.1} s, decided on fresh metrics {:.1} s later; {dropped} frames dropped, {lost} lost",
            back.as_secs_f64(),
            settled.as_secs_f64()
        ),
        !frames_go_on || dropped + lost == 0.0,
    );
}

fn epoch(cluster: &Cluster, device: &str) -> u64 {
    cluster.object("edev", device)["status"]["assignment"]["epoch"].as_u64().unwrap_or_default()
}

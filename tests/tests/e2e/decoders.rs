//! Decoders come and go under load.

use std::time::{Duration, Instant};

use crate::{
    accounts::closed,
    cluster::{Cluster, DEVICES, report},
    latency::calm_after,
};

const LABEL: &str = "app.kubernetes.io/component=decoder";
/// The 95th percentile of latency is back by then.
const CALM_WITHIN: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_decoder_loses_no_frame_that_it_took_on() {
    lose_none("a decoder of two deleted under load", |cluster| {
        let pod = cluster.pods(LABEL).remove(0);
        cluster.kubectl(&["delete", "pod", &pod, "--wait=false"]);
        Box::new(move || !cluster.is_there("pod", &pod))
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_rolling_update_of_decoders_loses_no_frame() {
    lose_none("rolling update of two decoders", |cluster| {
        let old = cluster.pods(LABEL);
        cluster.kubectl(&["rollout", "restart", &deployment(cluster)]);
        Box::new(move || old.iter().all(|pod| !cluster.is_there("pod", pod)))
    });
}

/// Does `what` to one of two decoders or both, which gives whether what was to go is gone.
fn lose_none(title: &str, what: impl for<'a> FnOnce(&'a Cluster) -> Box<dyn FnMut() -> bool + 'a>) {
    let cluster = Cluster::open();
    scale(&cluster, 2);
    let before = DEVICES.map(|device| closed(&cluster, device));
    let began = Instant::now();
    let gone = what(&cluster);
    let calm = calm_after(&cluster, began, gone);
    cluster.kubectl(&["rollout", "status", &deployment(&cluster), "--timeout=180s"]);
    let (mut sent, mut dropped, mut lost) = (0.0, 0.0, 0.0);
    for (device, before) in DEVICES.iter().zip(before) {
        let account = closed(&cluster, device).since(before);
        sent += account.sent;
        dropped += account.dropped;
        lost += account.lost;
    }
    scale(&cluster, 1);
    report(
        title,
        "no admitted frame lost; p95 back within 10 s",
        &format!("{lost} of {sent} lost, {dropped} dropped; p95 back after {:.1} s", calm.as_secs_f64()),
        lost == 0.0 && calm <= CALM_WITHIN,
    );
}

fn scale(cluster: &Cluster, count: usize) {
    cluster.kubectl(&["scale", &deployment(cluster), &format!("--replicas={count}")]);
    cluster.kubectl(&["rollout", "status", &deployment(cluster), "--timeout=180s"]);
    cluster.settle();
}

fn deployment(cluster: &Cluster) -> String {
    format!("deployment/{}-decoder", cluster.release)
}

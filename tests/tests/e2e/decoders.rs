//! Decoders come and go under load.

use std::time::{Duration, Instant};

use autotiler_tests::wait_until;

use crate::{
    accounts::{Accounts, closed},
    cluster::{Cluster, DEVICES, report, until},
};

const LABEL: &str = "app.kubernetes.io/component=decoder";
/// The 95th percentile of latency is back by then.
const CALM_WITHIN: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deleted_decoder_loses_no_frame_that_it_took_on() {
    let cluster = Cluster::open();
    with_decoders(&cluster, 2, || {
        let before = DEVICES.map(|device| closed(&cluster, device));
        let pod = cluster.pods(LABEL).remove(0);
        cluster.kubectl(&["delete", "pod", &pod, "--wait=true"]);
        let calm = calm_again(&cluster);
        until("another decoder", || cluster.pods(LABEL).len() == 2);
        tell(&cluster, "a decoder of two deleted under load", before, calm);
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_rolling_update_of_decoders_loses_no_frame() {
    let cluster = Cluster::open();
    with_decoders(&cluster, 2, || {
        let before = DEVICES.map(|device| closed(&cluster, device));
        let deployment = format!("deployment/{}-decoder", cluster.release);
        cluster.kubectl(&["rollout", "restart", &deployment]);
        cluster.kubectl(&["rollout", "status", &deployment, "--timeout=180s"]);
        let calm = calm_again(&cluster);
        tell(&cluster, "rolling update of two decoders", before, calm);
    });
}

/// Does `what` with so many decoders, and goes back to one.
fn with_decoders(cluster: &Cluster, count: usize, what: impl FnOnce()) {
    let deployment = format!("deployment/{}-decoder", cluster.release);
    let scale = |count: usize| {
        cluster.kubectl(&["scale", &deployment, &format!("--replicas={count}")]);
        cluster.kubectl(&["rollout", "status", &deployment, "--timeout=180s"]);
    };
    scale(count);
    cluster.settle();
    what();
    scale(1);
}

/// How long until the latency of all devices is what policies ask for.
fn calm_again(cluster: &Cluster) -> Duration {
    let began = Instant::now();
    wait_until("latency as before", CALM_WITHIN, || {
        let fleet = cluster.fleet();
        let p95 =
            |device| fleet.sum("autotiler_device_total_seconds", &[("device", device), ("quantile", "0.95")]);
        DEVICES.iter().all(|device| (0.001..0.4).contains(&p95(device)))
    })
    .unwrap();
    began.elapsed()
}

fn tell(cluster: &Cluster, what: &str, before: [Accounts; 2], calm: Duration) {
    let mut lost = 0.0;
    let mut sent = 0.0;
    for (device, before) in DEVICES.iter().zip(before) {
        let account = closed(cluster, device).since(before);
        lost += account.lost;
        sent += account.sent;
    }
    assert_eq!(lost, 0.0, "of {sent} frames sent");
    report(what, &format!("0 of {sent} lost; p95 back after {:.1} s", calm.as_secs_f64()), "none lost; 10 s");
}

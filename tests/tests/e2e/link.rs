//! One device's uplink is cut by tc in its pod; the other's is not.

use std::time::{Duration, Instant};

use autotiler_tests::{wait_for, wait_until};

use crate::{
    accounts::closed,
    cluster::{Cluster, DEVICES, report, until},
};

/// What the link is cut to, and how often: the slowest of so many is what is told.
const RATE: &str = "500kbit";
const ROUNDS: usize = 5;
/// The device must have left its operating point by then.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// Back where it was, after the link is: policies wait and look twice before they recover.
const RETURNS_WITHIN: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_cut_uplink_moves_its_device_and_no_other() {
    let cluster = Cluster::open();
    let [cut, other] = DEVICES;
    let before = closed(&cluster, cut);
    let (mut left, mut returned) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (here, there) = (steady_point(&cluster, cut), steady_point(&cluster, other));
        shape(
            &cluster,
            cut,
            &["replace", "dev", "eth0", "root", "tbf", "rate", RATE, "burst", "16kb", "latency", "100ms"],
        );
        let began = Instant::now();
        let moved = wait_until("another operating point", LEAVES_WITHIN, || differs(&cluster, cut, &here));
        left.push(began.elapsed());
        let neighbour = cluster.point(other);
        shape(&cluster, cut, &["del", "dev", "eth0", "root"]);
        moved.unwrap();
        assert_eq!(neighbour, there, "{other}'s link was not touched");
        let began = Instant::now();
        wait_until("the way back", RETURNS_WITHIN, || cluster.point(cut) == here).unwrap();
        returned.push(began.elapsed());
    }
    let account = closed(&cluster, cut).since(before);
    let slowest = |times: &[Duration]| times.iter().max().unwrap().as_secs_f64();
    report(
        &format!("{cut} cut to {RATE} by tc, {ROUNDS} times: another operating point; back after recovery"),
        &format!("slowest {:.1} s; slowest {:.1} s", slowest(&left), slowest(&returned)),
        "p99 5 s",
    );
    report(
        &format!("its frames meanwhile: captured, dropped and lost by counted reasons; moves of {other}"),
        &format!("{}, {}, {}; 0", account.captured, account.dropped, account.lost),
        "accounting closes",
    );
}

/// Where a device works, once it has stayed there for a while.
fn steady_point(cluster: &Cluster, device: &str) -> String {
    wait_for(&format!("{device} to stay where it is"), Duration::from_secs(180), || {
        let point = cluster.point(device);
        let moved = wait_until("a move", Duration::from_secs(8), || differs(cluster, device, &point));
        (moved.is_err() && !point.is_empty()).then_some(point)
    })
    .unwrap()
}

/// Whether it says that it works elsewhere; one that is not heard of is not elsewhere.
fn differs(cluster: &Cluster, device: &str, point: &str) -> bool {
    let now = cluster.point(device);
    !now.is_empty() && now != point
}

/// `tc qdisc ARGS` in the device's pod.
fn shape(cluster: &Cluster, device: &str, args: &[&str]) {
    let pod = cluster.device_pod(device).unwrap();
    until("tc", || {
        let tc = ["exec", pod.as_str(), "--container", "shaper", "--", "tc", "qdisc"];
        cluster.try_kubectl(&[&tc[..], args].concat()).is_ok()
    });
}

//! One device's uplink is cut by tc in its pod; the other's is not.

use std::time::{Duration, Instant};

use autotiler_tests::{quantile, wait_for, wait_looking_every};

use crate::{
    accounts::closed,
    cluster::{Cluster, DEVICES, report},
};

/// What the link is cut to, and how often: the slowest of so many is what is told.
const RATE: &str = "500kbit";
const ROUNDS: usize = 5;
/// The device must have left its operating point by then.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// Least time of a round: it takes two switches of a policy's flap budget, by default four in a minute.
const ROUND: Duration = Duration::from_secs(31);
/// Between looks, each of which costs the API server and the gateway a little of what the devices work with.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Back where it was, after the link is: policies wait and look twice before they recover.
const RETURNS_WITHIN: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_cut_uplink_moves_its_device_and_no_other() {
    let cluster = Cluster::open();
    let [cut, other] = DEVICES;
    let before = closed(&cluster, cut);
    let (mut left, mut returned, mut others_moves) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (here, there) = (steady_point(&cluster, cut), steady_point(&cluster, other));
        throttle(&cluster, cut, RATE);
        left.push(time_to(LEAVES_WITHIN * 4, || differs(&cluster, cut, &here)));
        others_moves += usize::from(differs(&cluster, other, &there));
        free(&cluster, cut);
        returned.push(time_to(RETURNS_WITHIN, || cluster.point(cut) == here));
        others_moves += usize::from(differs(&cluster, other, &there));
        moved(ROUND, || began.elapsed() >= ROUND);
    }
    let account = closed(&cluster, cut).since(before);
    // Of so few rounds the slowest stands for the 99th percentile.
    let [left, returned] = [left, returned].map(|mut times| quantile(&mut times, 1.0));
    report(
        &format!("{cut} cut to {RATE}/s by tc in its pod, {ROUNDS} times: another operating point, and back"),
        "p99 5 s; back after recovery",
        &format!("slowest {left:.1} s; slowest {returned:.1} s"),
        left <= LEAVES_WITHIN.as_secs_f64() && returned <= RETURNS_WITHIN.as_secs_f64(),
    );
    report(
        &format!("moves of {other} meanwhile; what became of the {} frames of {cut}", account.captured),
        "none; 0 lost but by counted reasons",
        &format!(
            "{others_moves}; {} received, {} dropped and {} lost by counted reasons, accounts close",
            account.received, account.dropped, account.lost
        ),
        others_moves == 0,
    );
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn drop_tells_how_a_device_leaves_its_point_and_comes_back() {
    let cluster = Cluster::open();
    steady_point(&cluster, DEVICES[0]);
    let said =
        cluster.script("drop", &["--device", DEVICES[0], "--rate", RATE, "--for", "20s", "--watch", "40s"]);
    println!("{said}");
    let points = |link: &str| -> Vec<String> {
        let at_link = |line: &&str| line.split_whitespace().nth(1) == Some(link);
        let lines = said.lines().filter(|line| at_link(line) && !line.ends_with("guard"));
        lines
            .filter_map(|line| line.split_whitespace().find(|word| is_point(word)))
            .map(str::to_owned)
            .collect()
    };
    let (open, cut) = (points("free"), points(RATE));
    let (Some(first), Some(last)) = (open.first(), open.last()) else { panic!("no timeline: {said}") };
    let moved = cut.iter().find(|point| *point != first);
    report(
        &format!("tests/kind/drop --rate {RATE} --for 20s"),
        "prints the timeline: away and back",
        &format!("{first}, {} on the thin link, {last}", moved.unwrap_or(first)),
        moved.is_some() && first == last,
    );
}

/// Seconds until `condition` is true, a bound of it at least where it does not become so.
fn time_to(bound: Duration, condition: impl FnMut() -> bool) -> f64 {
    let began = Instant::now();
    // How long it took is told either way, and judged with the others.
    let _ = moved(bound, condition);
    began.elapsed().as_secs_f64()
}

/// Whether `condition` became true in time.
fn moved(bound: Duration, mut condition: impl FnMut() -> bool) -> bool {
    wait_looking_every(LOOK_EVERY, "a move", bound, || condition().then_some(())).is_ok()
}

fn is_point(word: &str) -> bool {
    ["layer=", "server-only", "device-only"].iter().any(|route| word.starts_with(route))
}

/// Where a device works, once it has stayed there for a while.
pub(crate) fn steady_point(cluster: &Cluster, device: &str) -> String {
    wait_for(&format!("{device} to stay where it is"), Duration::from_secs(180), || {
        let point = cluster.point(device);
        let moved = moved(Duration::from_secs(8), || differs(cluster, device, &point));
        (!moved && !point.is_empty()).then_some(point)
    })
    .unwrap()
}

/// Whether it says that it works elsewhere; one that is not heard of is not elsewhere, nor is one that guards.
pub(crate) fn differs(cluster: &Cluster, device: &str, point: &str) -> bool {
    let now = cluster.point(device);
    !now.is_empty() && now != point
}

/// Holds a device's uplink to a rate, by tc in its pod. The bucket is of two packets: a larger one lets whole frames
/// pass at once.
pub(crate) fn throttle(cluster: &Cluster, device: &str, rate: &str) {
    let tbf = ["replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "3100", "latency", "1s"];
    tc(cluster, device, &tbf);
}

/// Lets go of it.
pub(crate) fn free(cluster: &Cluster, device: &str) {
    tc(cluster, device, &["del", "dev", "eth0", "root"]);
}

fn tc(cluster: &Cluster, device: &str, args: &[&str]) {
    let pod = cluster.device_pod(device).expect("a pod of the device");
    let tc = ["exec", pod.as_str(), "--container", "shaper", "--", "tc", "qdisc"];
    cluster.kubectl(&[&tc[..], args].concat());
}

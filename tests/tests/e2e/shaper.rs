//! The link shaper beside a device, held to its schedule by iperf3 in the device's own pod.

use std::{
    env,
    time::{Duration, Instant},
};

use autotiler_tests::{wait_for, wait_until};
use serde_json::Value;

use crate::cluster::{Cluster, DEVICES, SOON, report, until};

/// What the schedule says, in bits per second, and how tc writes that.
const RATES: [(&str, f64, &str); 2] = [("1M", 1e6, "rate 1Mbit"), ("4M", 4e6, "rate 4Mbit")];
/// What tc counts of a full segment, and what of it is the sender's.
const ON_THE_LINK: f64 = 1514.0 / 1448.0;
/// How far what goes through may be from it: the device's telemetry and trains, and the bucket.
const WITHIN_PERCENT: f64 = 10.0;
/// A ConfigMap reaches a pod when its kubelet looks again.
const CONFIG_WITHIN: Duration = Duration::from_secs(150);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn the_shaper_gives_a_device_the_link_of_its_schedule() {
    let cluster = Cluster::open();
    let server = Server::start(&cluster);
    let mut seen = Vec::new();
    for (number, (schedule, rate, tc)) in RATES.into_iter().enumerate() {
        set_schedule(&cluster, schedule);
        let pod = cluster.device_pod(DEVICES[0]).unwrap();
        wait_until(&format!("the shaper to play {schedule}"), CONFIG_WITHIN, || {
            let show = ["exec", &pod, "--container", "shaper", "--", "tc", "qdisc", "show", "dev", "eth0"];
            cluster.try_kubectl(&show).is_ok_and(|said| said.contains(tc))
        })
        .unwrap();
        let measured = measure(&cluster, &pod, &server.address, number);
        seen.push((schedule, rate, measured));
    }
    set_schedule(&cluster, "open");
    let worst = seen.iter().map(|(_, rate, seen)| (seen / rate - 1.0).abs() * 100.0).fold(0.0, f64::max);
    let told: Vec<_> =
        seen.iter().map(|(schedule, _, seen)| format!("{schedule}: {:.0} kbit/s", seen / 1e3)).collect();
    report(
        "link shaper, by the schedule in its ConfigMap, held to iperf3 and the device's own frames beside it, with headers",
        "within 10 %",
        &format!("{}; off by {worst:.1} % at most", told.join(", ")),
        worst <= WITHIN_PERCENT,
    );
}

fn set_schedule(cluster: &Cluster, schedule: &str) {
    let patch = serde_json::json!({"data": {"schedule": schedule}}).to_string();
    let name = format!("{}-device-{}-link", cluster.release, DEVICES[0]);
    cluster.kubectl(&["patch", "configmap", &name, "--type=merge", "--patch", &patch]);
}

/// Bits in a second that leave the device's pod, with their headers, while iperf3 takes what it gets: its own, and the
/// device's frames.
fn measure(cluster: &Cluster, pod: &str, server: &str, number: usize) -> f64 {
    // Such a container stays with the pod, so its name must be new.
    let began = Instant::now();
    let name = format!("iperf3-{}-{number}", std::process::id());
    let frames = || cluster.pod_metrics(pod, 9101).sum("autotiler_edge_frame_bytes_sum", &[]) * 8.0;
    let before = frames();
    cluster.kubectl(&[
        "debug",
        pod,
        "--image",
        &image(),
        "--container",
        &name,
        "--profile=restricted",
        "--attach=false",
        "--quiet",
        "--",
        "iperf3",
        "--client",
        server,
        "--time",
        "10",
        "--omit",
        "1",
        "--json",
    ]);
    until("iperf3", || {
        let pod = cluster.object("pod", pod);
        let containers = pod["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default();
        containers.iter().any(|one| one["name"] == name.as_str() && one["state"]["terminated"].is_object())
    });
    let own = (frames() - before) / began.elapsed().as_secs_f64();
    let said: Value = serde_json::from_str(&cluster.kubectl(&["logs", pod, "--container", &name])).unwrap();
    let taken = said["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or_else(|| panic!("{said}"));
    ON_THE_LINK * (own + taken)
}

/// The image of iperf3, which tests/kind/e2e makes for the cluster of tests/kind/up.
fn image() -> String {
    env::var("AUTOTILER_IPERF3_IMAGE").unwrap_or_else(|_| "autotiler-iperf3:0.1.0".to_owned())
}

/// A pod with iperf3 that others send to; gone when this is.
struct Server<'a> {
    cluster: &'a Cluster,
    address: String,
}

const SERVER: &str = "iperf3-server";

impl<'a> Server<'a> {
    fn start(cluster: &'a Cluster) -> Self {
        cluster.kubectl(&["delete", "pod", SERVER, "--ignore-not-found"]);
        cluster.kubectl(&["run", SERVER, "--image", &image(), "--restart=Never", "--", "--server"]);
        let address = wait_for("iperf3's server", SOON, || {
            let pod = cluster.object("pod", SERVER);
            let address = pod["status"]["podIP"].as_str()?.to_owned();
            cluster.is_ready("pod", SERVER).then_some(address)
        });
        Self { cluster, address: address.unwrap() }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; the next start deletes it as well.
        let _ = self.cluster.try_kubectl(&["delete", "pod", SERVER, "--wait=false"]);
    }
}

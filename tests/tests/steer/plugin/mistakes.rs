//! `check` against broken set-ups: each mistake is a line that names its fix.

use autotiler_tests::{KubeServer, NatsServer, NatsServerOptions};

use super::plugin;
use crate::{
    cluster::Cluster,
    device::Device,
    stand::{WIDE, until},
};

/// Whether `check` fails and some line has all of `words`.
fn finds(kube: &KubeServer, args: &[&str], words: &[&str]) -> bool {
    let said = plugin(kube, &[&["check"], args].concat());
    assert!(said.error.is_empty(), "{}", said.error);
    said.out.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn an_empty_cluster_lacks_everything() {
    let kube = KubeServer::start().unwrap();
    assert!(finds(&kube, &[], &["fail", "definitions", "does not know autotiler.dev"]));
    assert!(finds(&kube, &[], &["fix:", "kubectl apply -f crds/"]));
    assert!(finds(&kube, &[], &["fail", "controller", "no Service"]));
    assert!(finds(&kube, &[], &["warn", "NATS payload limit", "not looked at"]));
    assert!(!plugin(&kube, &["check"]).ok);

    let options = NatsServerOptions { max_payload_bytes: Some(4096), ..NatsServerOptions::default() };
    let nats = NatsServer::start_with(options).unwrap();
    assert!(finds(&kube, &["--nats", &nats.url()], &["fail", "NATS payload limit", "4096 bytes"]));
    assert!(finds(
        &kube,
        &["--nats", "127.0.0.1:1"],
        &["fail", "NATS payload limit", "connecting to 127.0.0.1:1"]
    ));
    assert!(finds(
        &kube,
        &["--controller", "http://127.0.0.1:1"],
        &["fail", "controller", "http://127.0.0.1:1"]
    ));
}

#[test]
fn each_usual_mistake_is_found() {
    let cluster = Cluster::new(&["cam", "silent"]);
    let (stand, kube) = (&cluster.stand, &cluster.kube);
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let _cam = Device::start(&stand.nats.url(), "cam");
    cluster.apply(&stand.policy("north", ""));
    // Nobody looks yet.
    assert!(finds(kube, &[], &["fail", "policy north", "no controller has looked at it"]));

    let leader = cluster.controller("one");
    let url = format!("http://{}", leader.addr());
    let check = ["--controller", url.as_str()];
    until("the leader", || finds(kube, &check, &["ok", "controller", "leads"]));
    until("the silent device", || finds(kube, &check, &["fail", "device silent"]));
    let second = cluster.controller("two");
    let waiting = format!("http://{}", second.addr());
    assert!(finds(kube, &["--controller", &waiting], &["fail", "controller", "does not lead"]));

    // Two policies for the same devices; one without its profile.
    cluster.apply(&stand.policy("south", "  priority: 5\n").replace("name: slow}", "name: nowhere}"));
    assert!(finds(kube, &check, &["fail", "policy south", "no PartitionProfile nowhere"]));
    until("the conflict", || finds(kube, &check, &["warn", "policy north"]));
    cluster.kubectl(&["delete", "atp", "south"], "");

    // Prometheus at a wrong address, and one that has not the series.
    let lost = stand.policy("north", "").replace(&stand.prometheus.url(), "http://127.0.0.1:1");
    cluster.apply(&lost);
    until("the wrong address", || finds(kube, &check, &["fail", "north", "http://127.0.0.1:1"]));
    cluster.apply(&stand.policy("north", ""));
    stand.exporter.show(&["cam"], None);
    until("the missing metrics", || finds(kube, &check, &["fail", "device cam", "uplinkBandwidth"]));

    // Nothing to decide for.
    cluster.kubectl(&["delete", "edev", "--all"], "");
    cluster.kubectl(&["delete", "atp", "--all"], "");
    assert!(finds(kube, &check, &["fail", "devices", "there is none"]));
    assert!(finds(kube, &check, &["fail", "policies", "there is none"]));
}

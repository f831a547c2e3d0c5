//! What people are told in a cluster: troubles by name, on the object that has them, and nothing of what is gone.

use std::{io::Write as _, net::TcpListener, process::Stdio};

use autotiler_core::{
    Digest,
    telemetry::{Telemetry, TotalMicros},
};
use autotiler_tests::Service;
use serde_json::{Value, json as value};

use crate::{
    cluster::Cluster,
    device::{Device, NETWORK},
    stand::{THIN, WIDE, until},
};

/// The network of a device that the profile does not fit.
const OTHER: Digest = Digest([9; 32]);

impl Cluster {
    /// Whether the server takes `object`.
    fn accepts(&self, object: &str) -> bool {
        let mut command = self.kube.kubectl().unwrap();
        command.args(["create", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(object.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }

    /// Reasons of the events about an object.
    fn events(&self, name: &str) -> Vec<String> {
        let all: Value = serde_json::from_str(&self.kubectl(&["get", "events", "-o", "json"], "")).unwrap();
        let about = |event: &&Value| event["involvedObject"]["name"] == name;
        let events = all["items"].as_array().unwrap().iter().filter(about);
        events.map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn shows(controller: &Service, series: &str) -> bool {
    controller.get("/metrics").unwrap().body.contains(series)
}

#[test]
fn a_profile_of_another_network_is_told_with_both_digests() {
    let cluster = Cluster::new(&["cam", "odd"]);
    let stand = &cluster.stand;
    stand.exporter.show(&["cam", "odd"], Some(WIDE.0));
    let cam = Device::start(&stand.nats.url(), "cam");
    let odd = Device::speaking(&stand.nats.url(), "odd", |word| Telemetry { network: OTHER, ..word });
    cluster.apply(&stand.policy("north", ""));
    let controller = cluster.controller("one");

    until("the order of the device that fits", || cam.point() == WIDE.1);
    let both = |message: &str| message.contains(&OTHER.to_string()) && message.contains(&NETWORK.to_string());
    until("the device's condition", || {
        let (status, message) = cluster.condition("edev", "odd", "Ready");
        status == "False" && both(&message)
    });
    until("the policy's condition", || {
        let (status, message) = cluster.condition("atp", "north", "ProfileResolved");
        status == "False" && both(&message) && message.contains("odd")
    });
    until("an event", || cluster.events("odd").contains(&"ProfileMismatch".to_owned()));
    until("the policy in force", || cluster.condition("atp", "north", "Ready").0 == "True");
    let digest = cluster.object("atp", "north")["status"]["profileDigest"].clone();
    assert_eq!(digest.as_str().unwrap().len(), 64);
    let why = controller.get("/v1/devices/odd").unwrap();
    assert!(why.status == 404 && both(&why.body), "{}", why.body);
    assert!(odd.orders().is_empty());
}

#[test]
fn a_deleted_policy_frees_its_devices_and_its_series_disappear() {
    let cluster = Cluster::new(&["cam"]);
    let stand = &cluster.stand;
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::speaking(&stand.nats.url(), "cam", |word| Telemetry {
        received: word.captured,
        total_us: TotalMicros { p50: Some(100_000), p95: Some(120_000) },
        ..word
    });
    cluster.apply(&stand.policy("north", ""));
    let controller = cluster.controller("one");
    until("the first order", || device.point() == WIDE.1);
    until("its report", || cluster.object("edev", "cam")["status"]["policyName"] == "north");
    let of_policy = "autotiler_controller_policy_devices{policy=\"default/north\",state=\"matched\"} 1";
    let of_device = "autotiler_controller_predicted_seconds{device=\"cam\"}";
    until("the series", || shows(&controller, of_policy) && shows(&controller, of_device));
    let tested =
        || controller.metrics().unwrap().sum("autotiler_controller_prediction_error_ratio_count", &[]);
    until("tested predictions", || tested() >= 3.0);
    let metrics = controller.metrics().unwrap();
    let error = metrics.sum("autotiler_controller_prediction_error_ratio_sum", &[]) / tested();
    assert!((0.05..0.12).contains(&error), "91.5 ms are predicted and 100 ms measured: {error}");

    cluster.kubectl(&["delete", "atp", "north"], "");
    until("the device to be free", || {
        let (status, message) = cluster.condition("edev", "cam", "Ready");
        status == "False" && message.contains("no policy")
    });
    let status = cluster.object("edev", "cam")["status"].clone();
    assert!(status["policyName"].is_null() && status["assignment"]["point"] == WIDE.1, "{status:#}");
    assert_eq!(cluster.condition("edev", "cam", "Synced").0, "Unknown");
    until("no series of it", || !shows(&controller, "default/north") && !shows(&controller, of_device));

    // Whoever takes it over finds it where it is.
    let orders = device.orders().len();
    cluster.apply(&stand.policy("south", ""));
    until("its new policy", || cluster.condition("edev", "cam", "Ready").0 == "True");
    assert!(device.orders().len() <= orders + 1 && device.point() == WIDE.1, "{:?}", device.orders());
}

#[test]
fn an_object_that_does_not_decode_is_told_on_itself_and_stops_no_watch() {
    let cluster = Cluster::new(&["cam"]);
    let stand = &cluster.stand;
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&stand.nats.url(), "cam");
    cluster.apply(&stand.policy("north", ""));
    let _controller = cluster.controller("one");
    until("the first order", || device.point() == WIDE.1);

    // Stored while the definition is looser, as by an older version of it.
    let mut loose = cluster.object("crd", "edgedevices.autotiler.dev");
    loose["metadata"]["managedFields"] = Value::Null;
    let version = &mut loose["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"] =
        value!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    version["selectableFields"] = Value::Null;
    cluster.kubectl(&["replace", "-f", "-"], &loose.to_string());
    let old = value!({
        "apiVersion": "autotiler.dev/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": "old", "labels": {"site": "here"}}, "spec": {"deviceClass": 7}
    });
    until("the server to forget the stricter schema", || cluster.accepts(&old.to_string()));

    until("its condition", || {
        let (status, message) = cluster.condition("edev", "old", "Ready");
        status == "False" && message.starts_with("spec.deviceClass: ")
    });
    until("an event", || cluster.events("old").contains(&"InvalidObject".to_owned()));
    stand.exporter.show(&["cam"], Some(THIN.0));
    until("the thin link's point of the other", || device.point() == THIN.1);

    // Mended, it is a device like any other.
    cluster
        .kubectl(&["patch", "edev", "old", "--type=merge", "-p", r#"{"spec": {"deviceClass": "slow"}}"#], "");
    let mended = Device::start(&stand.nats.url(), "old");
    stand.exporter.show(&["cam", "old"], Some(THIN.0));
    until("its order", || mended.point() == THIN.1);
    until("its condition", || cluster.condition("edev", "old", "Ready").0 == "True");
}

#[test]
fn prometheus_down_and_back_is_told_with_what_holds_meanwhile() {
    let mut cluster = Cluster::new(&["cam"]);
    cluster.stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&cluster.stand.nats.url(), "cam");
    cluster.apply(&cluster.stand.policy("north", ""));
    let _controller = cluster.controller("one");
    until("the first order", || device.point() == WIDE.1);
    cluster.stand.prometheus.kill().unwrap();
    for (kind, name) in [("edev", "cam"), ("atp", "north")] {
        until("the fallback", || {
            let (status, message) = cluster.condition(kind, name, "Fallback");
            status == "True"
                && ["Hold", "since", "until", "then DeviceOnly"].iter().all(|word| message.contains(word))
        });
    }
    until("an event", || cluster.events("north").contains(&"MetricsLost".to_owned()));
    assert_eq!(cluster.condition("atp", "north", "Ready").0, "True");
    assert_eq!(device.point(), WIDE.1);
    cluster.stand.prometheus.resume().unwrap();
    cluster.stand.exporter.show(&["cam"], Some(THIN.0));
    until("the thin link's point", || device.point() == THIN.1);
    until("the end of the fallback", || cluster.condition("edev", "cam", "Fallback").0 == "False");
}

#[test]
fn a_dead_prometheus_delays_no_other_policy() {
    let cluster = Cluster::new(&["cam"]);
    let stand = &cluster.stand;
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&stand.nats.url(), "cam");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}', timeout: 30s", silent.local_addr().unwrap());
    let south = stand.policy("south", "").replace(&format!("{}'", stand.prometheus.url()), &dead);
    cluster.apply(&south.replace("site: here", "site: there"));
    cluster.apply(&stand.policy("north", ""));
    let controller = cluster.controller("one");
    until("the first order", || device.point() == WIDE.1);
    let sweeps = || controller.metrics().unwrap().sum("autotiler_controller_sweep_seconds_count", &[]);
    let before = sweeps();
    until("twenty sweeps", || sweeps() >= before + 20.0);
    stand.exporter.show(&["cam"], Some(THIN.0));
    until("the thin link's point", || device.point() == THIN.1);
}

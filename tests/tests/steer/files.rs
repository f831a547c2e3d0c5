//! The controller without a cluster.

use std::fs;

use autotiler_tests::{PrometheusServer, Service, Signal};

use crate::{
    device::Device,
    model,
    stand::{AT_LAST, INTERVAL, READY, Stand, THIN, WIDE, json, until},
};

#[test]
fn a_device_follows_its_link_and_says_why() {
    let stand = Stand::new();
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let controller = stand.controller("controller", &stand.policy("p", ""));
    let device = Device::start(&stand.nats.url(), "cam");
    until("the wide link's point", || device.point() == WIDE.1);
    stand.exporter.show(&["cam"], Some(THIN.0));
    until("the thin link's point", || device.point() == THIN.1);
    until("its acknowledgement", || json(&controller, "/v1/devices/cam")["synced"] == true);

    let why = json(&controller, "/v1/devices/cam");
    assert_eq!(why["history"][0]["reason"], "Degraded", "{why:#}");
    assert_eq!(why["history"][1]["reason"], "FirstAssignment");
    assert_eq!(why["decided"]["uplink"]["state"], "fresh");
    let judged = why["decided"]["choice"]["judged"].as_array().unwrap();
    assert_eq!(judged.len(), 4, "every candidate: {why:#}");
    let coarse = judged.iter().find(|one| one["point"] == "layer=20,cr=4,bits=6k").unwrap();
    assert_eq!(coarse["ruledOut"]["Breaks"], "Accuracy");
    let orders = device.orders();
    assert!(orders.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "{orders:?}");
    assert_eq!(orders[1].guard.unwrap().safe_point.to_string(), "device-only");

    // While its guard is out nothing is decided, however the link looks.
    device.guard(true);
    until("the guard to be seen", || json(&controller, "/v1/devices/cam")["decided"]["outcome"] == "guarded");
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let sweeps = || controller.metrics().unwrap().sum("autotiler_controller_sweep_seconds_count", &[]);
    let before = sweeps();
    until("eight sweeps", || sweeps() >= before + 8.0);
    assert_eq!(device.point(), THIN.1);
    device.guard(false);
    until("the way back up", || device.point() == WIDE.1);
}

#[test]
fn without_prometheus_the_fallback_acts_and_the_condition_names_the_address() {
    let mut stand = Stand::new();
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let fallback = "  fallback: {failureThreshold: 3, action: DeviceOnly}\n";
    let controller = stand.controller("controller", &stand.policy("p", fallback));
    let device = Device::start(&stand.nats.url(), "cam");
    until("the first order", || device.point() == WIDE.1);
    stand.prometheus.kill().unwrap();
    until("the fallback", || device.point() == "device-only");
    let url = stand.prometheus.url();
    let errors = json(&controller, "/v1/policies")[0]["errors"].to_string();
    assert!(errors.contains(&url) && errors.contains("no Prometheus"), "{errors}");
    stand.prometheus.resume().unwrap();
    until("the link's point again", || device.point() == WIDE.1);

    // A stale series is no sample either: Prometheus would repeat the last value for five minutes.
    stand.exporter.show(&["cam"], None);
    until("the fallback again", || device.point() == "device-only");
    let outcome = json(&controller, "/v1/devices/cam")["decided"]["uplink"]["state"].clone();
    assert!(outcome == "stale" || outcome == "absent", "{outcome}");
}

#[test]
fn advice_is_shown_and_not_sent() {
    let stand = Stand::new();
    stand.exporter.show(&["cam"], Some(THIN.0));
    let controller = stand.controller("controller", &stand.policy("p", "  mode: Advise\n"));
    let device = Device::start(&stand.nats.url(), "cam");
    until("advice", || json(&controller, "/v1/devices/cam")["history"][0]["to"] == THIN.1);
    assert_eq!(json(&controller, "/v1/devices/cam")["history"][0]["epoch"], 0);
    assert!(device.orders().is_empty());
}

#[test]
fn of_two_controllers_by_force_no_order_is_written_over_unseen() {
    let stand = Stand::new();
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let both = ["one", "two"].map(|name| stand.controller(name, &stand.policy(name, "")));
    let device = Device::start(&stand.nats.url(), "cam");
    until("a first order", || device.point() == WIDE.1);
    for (bps, point) in [THIN, WIDE, THIN] {
        stand.exporter.show(&["cam"], Some(bps));
        until("the link's point", || device.point() == point);
    }
    let orders = device.orders();
    assert!(orders.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "epochs rise: {orders:?}");
    drop(both);
}

#[test]
fn bad_files_end_it_before_a_socket_opens_with_field_and_fix() {
    let stand = Stand::new();
    for (policy, says) in [
        (stand.policy("p", "  fallback: {action: Static}\n"), "static"),
        (stand.policy("p", "  objektive: {}\n"), "objektive"),
        (stand.policy("p", "").replace("name: slow", "name: nano"), "profileRef"),
        (stand.policy("p", "").replace("maxAge: 2s", "maxAge: 10ms"), "interval"),
    ] {
        let file = stand.path("bad.yaml");
        fs::write(&file, policy).unwrap();
        let (policy, profile) =
            (file.display().to_string(), stand.path("profile.yaml").display().to_string());
        let args = ["--policy", &policy, "--profile", &profile];
        let mut controller =
            Service::start("autotiler-controller", "bad", args, stand.folder.path()).unwrap();
        assert!(!controller.process().wait(AT_LAST).unwrap().success());
        let stderr = controller.process().stderr();
        assert!(stderr.contains(says) && stderr.contains("bad.yaml"), "{stderr}");
    }
}

#[test]
fn a_device_whose_network_is_not_the_profiles_is_left_alone() {
    let stand = Stand::new();
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let profile = stand.path("profile.yaml");
    let other = fs::read_to_string(&profile).unwrap().replace("'0707", "'0808");
    fs::write(&profile, other).unwrap();
    let device = Device::start(&stand.nats.url(), "cam");
    let controller = stand.controller("controller", &stand.policy("p", ""));
    let policy = || json(&controller, "/v1/policies")[0].clone();
    until("the device to be heard", || policy()["matched"] == 1);
    let sweeps = || controller.metrics().unwrap().sum("autotiler_controller_sweep_seconds_count", &[]);
    let before = sweeps();
    until("eight sweeps", || sweeps() >= before + 8.0);
    assert_eq!(policy()["shown"], 0, "{:#}", policy());
    assert!(device.orders().is_empty());
}

/// The real device, decoder and gateway; device-only is left out, for this machine needs no help.
#[test]
fn the_loop_closes_over_the_real_device_decoder_and_gateway() {
    let stand = Stand::new();
    let network = model::create(&stand.path("model")).manifest.digest;
    let nats = stand.nats.url();
    let start = |program: &str, args: &[&str]| {
        let args = args.iter().copied().chain(["--nats", &nats]);
        Service::start(program, program, args, stand.folder.path()).unwrap()
    };
    let mut gateway = start("autotiler-gateway", &["--listen", "127.0.0.1:0"]);
    gateway.wait_ready(READY).unwrap();
    let prometheus = PrometheusServer::start(&[gateway.addr()], INTERVAL).unwrap();
    let model = stand.path("model").display().to_string();
    let mut decoder = start("autotiler-decoder", &["--model", &model, "--score-threshold", "0.001"]);
    decoder.wait_ready(READY).unwrap();

    let profile = "
apiVersion: autotiler.dev/v1alpha1
kind: PartitionProfile
metadata: {name: slow}
spec:
  network: 'NETWORK'
  deviceClass: desk
  points:
  - route: split
    layer: 1
    cr: 1
    device: {p50Us: 5000, p95Us: 9000}
    server: [{batch: 1, decodeUs: 1000, tailUs: 1000}]
    rates: [{bits: 2000, accuracyDropPermille: 1}]
";
    fs::write(stand.path("profile.yaml"), profile.replace("NETWORK", &network.to_string())).unwrap();
    let policy = stand.policy("p", "  candidates: {deviceOnly: Forbidden}\n  fallback: {afterHold: Hold}\n");
    let policy = policy.replace(&stand.prometheus.url(), &prometheus.url());
    // On a busy machine a frame may be late without the link's fault, and a guard has nowhere to go here.
    let policy = policy.replace("  behavior:\n", "  behavior:\n    guard: {safePoint: Off}\n");
    let controller = stand.controller("controller", &policy);

    let (report, point) = (stand.path("report.json").display().to_string(), "layer=2,cr=1,bits=1k");
    let args =
        ["--model", &model, "--device", "cam", "--device-class", "desk", "--follow-orders", "--point", point];
    let mut edge = start(
        "autotiler-edge",
        &[&args[..], &["--fps", "10", "--score", "0.001", "--report", &report]].concat(),
    );
    until("an order that is obeyed", || {
        let why = json(&controller, "/v1/devices/cam");
        why["synced"] == true && why["telemetry"]["point"] == "layer=1,cr=1,bits=2k"
    });
    let received = || edge.metrics().unwrap_or_default().sum("autotiler_edge_frames_received_total", &[]);
    let goal = received() + 20.0;
    until("frames at the new point", || received() >= goal);
    edge.process().signal(Signal::SIGTERM).unwrap();
    assert!(edge.process().wait(AT_LAST).unwrap().success());
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let number = |key: &str| report[key].as_u64().unwrap();
    let sum = |key: &str| report[key].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(number("captured"), number("sent") + sum("dropped"), "{report:#}");
    assert_eq!(number("sent"), number("received") + sum("lost"), "{report:#}");
    assert_eq!(sum("lost") + sum("dropped"), 0, "a switch loses nothing: {report:#}");
}

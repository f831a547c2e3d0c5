//! A person looks, pins and suspends.

use super::{must, plugin};
use crate::{
    cluster::Cluster,
    device::Device,
    stand::{THIN, WIDE, until},
};

#[test]
fn a_person_looks_pins_and_suspends() {
    let cluster = Cluster::new(&["cam"]);
    let (stand, kube) = (&cluster.stand, &cluster.kube);
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&stand.nats.url(), "cam");
    cluster.apply(&stand.policy("north", ""));
    let controller = cluster.controller("one");
    let url = format!("http://{}", controller.addr());
    until("the first order", || device.point() == WIDE.1);

    until("the device in the list", || {
        let top = must(kube, &["top", "--controller", &url]);
        let line = top.lines().find(|line| line.contains("cam")).unwrap_or_default();
        line.contains(WIDE.1) && line.contains("north") && line.contains("yes")
    });
    let page = must(kube, &["explain", "cam", "--history", "--controller", &url]);
    for says in ["ordered", WIDE.1, "candidate", "in force", "FirstAssignment"] {
        assert!(page.contains(says), "{says}:\n{page}");
    }
    let unknown = plugin(kube, &["explain", "nobody", "--controller", &url]);
    assert!(!unknown.ok && unknown.error.contains("there are: cam"), "{}", unknown.error);

    must(kube, &["pin", "cam", "--point", "device-only", "--for", "10m"]);
    until("the pinned point", || device.point() == "device-only");
    let pinned = cluster.object("edev", "cam");
    assert!(pinned["spec"]["pin"]["until"].is_string(), "{pinned}");
    let fields = serde_json::from_str::<serde_json::Value>(
        &cluster.kubectl(&["get", "edev", "cam", "-o", "json", "--show-managed-fields"], ""),
    );
    let managers = fields.unwrap()["metadata"]["managedFields"].as_array().unwrap().clone();
    assert!(managers.iter().any(|one| one["manager"] == "kubectl-autotiler"), "{managers:?}");
    // Nothing of the old pin is left in a new one.
    must(kube, &["pin", "cam", "--layer", "20", "--cr", "4", "--bits", "12k"]);
    until("the other pinned point", || device.point() == THIN.1);
    assert!(cluster.object("edev", "cam")["spec"]["pin"]["until"].is_null());
    must(kube, &["unpin", "cam"]);
    until("the way back", || device.point() == WIDE.1);
    assert!(cluster.object("edev", "cam")["spec"]["pin"].is_null());
    let unknown = plugin(kube, &["pin", "nobody", "--point", "device-only"]);
    assert!(!unknown.ok && unknown.error.contains("there are: cam"), "{}", unknown.error);

    must(kube, &["suspend", "north"]);
    assert_eq!(cluster.object("atp", "north")["spec"]["suspend"], true);
    until("the frozen device", || {
        must(kube, &["explain", "cam", "--controller", &url]).contains("suspended")
    });
    must(kube, &["resume", "north"]);
    assert_eq!(cluster.object("atp", "north")["spec"]["suspend"], false);

    let nats = stand.nats.url();
    until("nothing to complain about", || {
        let said = plugin(kube, &["check", "--controller", &url, "--nats", &nats]);
        said.ok && !said.out.contains("warn") && said.out.contains("NATS payload limit: 1048576 bytes")
    });
}

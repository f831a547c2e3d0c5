//! The live page, in the cluster.

use crate::cluster::{Cluster, DEVICES, report, time_until};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn the_page_loads_and_its_interface_names_all_devices() {
    let cluster = Cluster::open();
    let get = |path: &str| cluster.get(&cluster.service("gateway:http", path)).unwrap_or_default();
    let loads = time_until("the page", || get("").contains("<title>"));
    let names = time_until("all devices in the interface", || {
        let devices = get("api/v1/devices");
        DEVICES.iter().all(|device| devices.contains(device))
    });
    let (page, devices) = (loads.as_secs_f64(), names.as_secs_f64());
    report(
        "live page and its interface, through the API server's proxy",
        "1 s on loopback",
        &format!("{page:.2} s, {devices:.2} s"),
        page <= 1.0,
    );
}

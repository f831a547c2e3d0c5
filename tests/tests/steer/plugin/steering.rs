//! A person looks, pins and suspends.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use autotiler_tests::wait_until;
use serde_json::json as value;

use super::{must, plugin};
use crate::{
    cluster::Cluster,
    device::Device,
    stand::{AT_LAST, READY, THIN, WIDE, until},
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

#[test]
fn the_controller_is_found_through_the_api_server() {
    let Some(outside) = outside() else {
        eprintln!("skipped: this machine has no address but the loopback, to which no API server passes on");
        return;
    };
    let cluster = Cluster::new(&["cam"]);
    cluster.stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&cluster.stand.nats.url(), "cam");
    cluster.apply(&cluster.stand.policy("north", ""));
    let mut controller = cluster.controller("one");
    controller.wait_ready(READY).unwrap();
    until("the first order", || device.point() == WIDE.1);
    let door = pass_on(outside, controller.addr());

    let missing = plugin(&cluster.kube, &["top"]);
    assert!(!missing.ok && missing.error.contains("--controller URL"), "{}", missing.error);
    serve(&cluster, door);
    let mut said = plugin(&cluster.kube, &["top"]);
    let listed = wait_until("the list through the API server", AT_LAST, || {
        said = plugin(&cluster.kube, &["top"]);
        said.ok && said.out.contains(WIDE.1)
    });
    assert!(listed.is_ok(), "{}", said.error);
    assert!(must(&cluster.kube, &["explain", "cam"]).contains("candidate"));
    let unknown = plugin(&cluster.kube, &["explain", "nobody"]);
    assert!(!unknown.ok && unknown.error.contains("there are: cam"), "{}", unknown.error);

    // No pod is ready: the API server's own words, at once.
    let none = value!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "autotiler-controller"}, "subsets": [],
    });
    cluster.apply(&none.to_string());
    until("its words", || plugin(&cluster.kube, &["top"]).error.contains("no endpoints available"));
}

/// The Service of a controller that listens at `door`: the API server passes on to addresses of pods alone.
fn serve(cluster: &Cluster, door: SocketAddr) {
    let ip = door.ip().to_string();
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "controller-0"},
        "spec": {"containers": [{"name": "controller", "image": "none"}]},
    });
    cluster.apply(&pod.to_string());
    let status = value!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}}).to_string();
    cluster.kubectl(&["patch", "pod", "controller-0", "--subresource=status", "-p", &status], "");
    let labels = value!({"app.kubernetes.io/name": "autotiler", "app.kubernetes.io/component": "controller"});
    let ports = value!([{"name": "admin", "port": 9104, "protocol": "TCP"}]);
    let endpoint_ports = value!([{"name": "admin", "port": door.port(), "protocol": "TCP"}]);
    let target = value!({"kind": "Pod", "name": "controller-0", "namespace": "default"});
    for object in [
        value!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "autotiler-controller", "labels": labels},
            "spec": {"ports": ports},
        }),
        value!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "autotiler-controller"},
            "subsets": [{"addresses": [{"ip": ip, "targetRef": target}], "ports": endpoint_ports}],
        }),
    ] {
        cluster.apply(&object.to_string());
    }
}

/// An address of this machine that is not the loopback. Nothing is sent.
fn outside() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let addr = socket.local_addr().ok()?;
    (!addr.ip().is_loopback()).then_some(addr)
}

/// Passes connections to a free port of `outside` on to `to`, for as long as the test runs.
fn pass_on(outside: SocketAddr, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((outside.ip(), 0)).unwrap();
    let door = listener.local_addr().unwrap();
    thread::spawn(move || {
        for inward in listener.incoming().map_while(Result::ok) {
            let Ok(onward) = TcpStream::connect(to) else { return };
            let pairs = [(inward.try_clone().unwrap(), onward.try_clone().unwrap()), (onward, inward)];
            for (mut from, mut to) in pairs {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    door
}

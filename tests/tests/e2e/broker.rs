//! What nats-server in the cluster lets a device do, with the credentials out of its own Secret.

use std::process::Command;

use autotiler_tests::{Process, wait_for};
use autotiler_transport::testing::RawClient;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::cluster::{Cluster, DEVICES, SOON, report};

/// What `cam-0` may publish: its own frames, telemetry and questions.
const OWN: [&str; 6] = [
    "autotiler.v1.frame.0123456789abcdef.cam-0",
    "autotiler.v1.detections.cam-0.0.1",
    "autotiler.v1.sets.cam-0.token",
    "autotiler.v1.telemetry.cam-0",
    "autotiler.v1.echo.cam-0.0",
    "$JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.cam-0",
];

/// What it may not: what is another's, what only services say, the store of orders, the server's own.
const FORBIDDEN: [&str; 22] = [
    "autotiler.v1.frame.0123456789abcdef.cam-1",
    "autotiler.v1.detections.cam-1.0.1",
    "autotiler.v1.sets.cam-1.token",
    "autotiler.v1.telemetry.cam-1",
    "autotiler.v1.echo.cam-1.0",
    "autotiler.v1.params.cam-1",
    "autotiler.v1.params.cam-0",
    "autotiler.v1.order.cam-1",
    "autotiler.v1.order.cam-0",
    "_INBOX.device.cam-1.token",
    "_INBOX.decoder.token",
    "_INBOX.controller.token",
    "$KV.autotiler_orders.cam-0",
    "$KV.autotiler_orders.cam-1",
    "$JS.API.DIRECT.GET.KV_autotiler_orders.$KV.autotiler_orders.cam-1",
    "$JS.API.DIRECT.GET.KV_autotiler_orders",
    "$JS.API.STREAM.MSG.GET.KV_autotiler_orders",
    "$JS.API.STREAM.INFO.KV_autotiler_orders",
    "$JS.API.STREAM.DELETE.KV_autotiler_orders",
    "$JS.API.STREAM.PURGE.KV_autotiler_orders",
    "$JS.API.CONSUMER.CREATE.KV_autotiler_orders",
    "$SYS.REQ.SERVER.PING",
];

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_device_publishes_what_is_its_own_and_nothing_else() {
    let cluster = Cluster::open();
    let folder = tempfile::tempdir().unwrap();
    let (_forward, port) = forward(&cluster, folder.path());
    let mut device = RawClient::connect(port, &credentials(&cluster, DEVICES[0])).unwrap();
    // Empty messages: whoever gets them refuses them, and counts nothing of a frame.
    let mut is_refused = |subject: &str| device.is_refused(&format!("PUB {subject} 0\r\n\r\n")).unwrap();
    let allowed: Vec<_> = OWN.into_iter().filter(|subject| !is_refused(subject)).collect();
    assert_eq!(allowed, OWN, "its own");
    let refused: Vec<_> = FORBIDDEN.into_iter().filter(|subject| is_refused(subject)).collect();
    let log = cluster.kubectl(&["logs", &format!("{}-nats-0", cluster.release)]);
    let logged = FORBIDDEN.iter().filter(|subject| {
        log.lines().any(|line| line.contains("Publish Violation") && line.contains(&format!("\"{subject}\"")))
    });
    let logged = logged.count();
    report(
        &format!("{}'s forbidden publishes, with the credentials of its Secret", DEVICES[0]),
        "all refused, and told in a log",
        &format!(
            "{} of {} refused, {logged} in nats-server's log; {} of {} of its own allowed",
            refused.len(),
            FORBIDDEN.len(),
            allowed.len(),
            OWN.len()
        ),
        refused == FORBIDDEN && logged == FORBIDDEN.len(),
    );
}

/// The text of a device's credentials.
fn credentials(cluster: &Cluster, device: &str) -> String {
    let secret = cluster.object("secret", &format!("{}-nats-device-{device}", cluster.release));
    let encoded = secret["data"]["nats.creds"].as_str().expect("a Secret of the device");
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

/// A port of this machine that leads to the cluster's nats-server, as long as the process lives.
fn forward(cluster: &Cluster, folder: &std::path::Path) -> (Process, u16) {
    let mut command = Command::new("kubectl");
    let service = format!("service/{}-nats", cluster.release);
    command.args(["--namespace", &cluster.namespace, "port-forward", &service, ":4222"]);
    let process = Process::start("port-forward", command, folder).unwrap();
    let port = wait_for("a forwarded port", SOON, || {
        let said = process.stdout();
        let address = said.split("Forwarding from 127.0.0.1:").nth(1)?;
        address.split(' ').next()?.parse().ok()
    });
    (process, port.unwrap())
}

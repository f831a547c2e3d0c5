//! What every scenario needs: a broker with JetStream, a Prometheus that scrapes the stand-in, files.

use std::{fs, path::PathBuf, time::Duration};

use autotiler_tests::{NatsServer, NatsServerOptions, PrometheusServer, Service, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::exporter::Exporter;

/// From the start of a service to its readiness, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);
/// Whatever has no limit of its own: long enough for a busy machine, short enough to end a hanging test.
pub(crate) const AT_LAST: Duration = Duration::from_secs(60);
/// How often Prometheus scrapes and policies sweep here.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);

/// A wide link and a thin one, with the points that are best there.
pub(crate) const WIDE: (f64, &str) = (50e6, "server-only,bits=75k");
pub(crate) const THIN: (f64, &str) = (300e3, "layer=20,cr=4,bits=12k");

const PROFILE: &str = "
apiVersion: autotiler.dev/v1alpha1
kind: PartitionProfile
metadata: {name: slow}
spec:
  network: '0707070707070707070707070707070707070707070707070707070707070707'
  deviceClass: slow
  points:
  - {route: device-only, device: {p50Us: 400000, p95Us: 400000}}
  - route: split
    layer: 20
    cr: 4
    device: {p50Us: 110000, p95Us: 110000}
    server: [{batch: 1, decodeUs: 2000, tailUs: 8000}]
    rates: [{bits: 6000, accuracyDropPermille: 60}, {bits: 12000, accuracyDropPermille: 10}]
  - route: server-only
    device: {p50Us: 20000, p95Us: 20000}
    server: [{batch: 1, decodeUs: 2000, tailUs: 8000}]
    rates: [{bits: 75000, accuracyDropPermille: 10}]
";

pub(crate) struct Stand {
    pub(crate) nats: NatsServer,
    pub(crate) prometheus: PrometheusServer,
    pub(crate) exporter: Exporter,
    pub(crate) folder: TempDir,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let options = NatsServerOptions { jetstream: true, ..NatsServerOptions::default() };
        let exporter = Exporter::start();
        let prometheus = PrometheusServer::start(&[exporter.addr], INTERVAL).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("profile.yaml"), PROFILE).unwrap();
        Self { nats: NatsServer::start_with(options).unwrap(), prometheus, exporter, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A policy of short windows called `name`, with `more` in its spec.
    pub(crate) fn policy(&self, name: &str, more: &str) -> String {
        format!(
            "
apiVersion: autotiler.dev/v1alpha1
kind: AutoTilerPolicy
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{site: here}}}}
  profileRef: {{name: slow}}
  metrics:
    prometheus: {{address: '{}', interval: {}ms}}
    maxAge: 2s
    warmupSamples: 2
  behavior:
    degrade: {{stabilizationWindow: 500ms}}
    recover: {{stabilizationWindow: 700ms, minDwell: 1s}}
    maxSwitches: {{count: 100, period: 60s}}
{more}",
            self.prometheus.url(),
            INTERVAL.as_millis()
        )
    }

    /// Starts a controller called `name` that works from files.
    pub(crate) fn controller(&self, name: &str, policy: &str) -> Service {
        let file = self.path(&format!("{name}.yaml"));
        fs::write(&file, policy).unwrap();
        let (policy, profile) = (file.display().to_string(), self.path("profile.yaml").display().to_string());
        let args =
            ["--policy", &policy, "--profile", &profile, "--nats", &self.nats.url(), "--identity", name];
        let mut controller = Service::start("autotiler-controller", name, args, self.folder.path()).unwrap();
        controller.wait_ready(READY).unwrap();
        controller
    }
}

/// JSON of the admin port; null while there is none.
pub(crate) fn json(service: &Service, path: &str) -> Value {
    let reply = service.get(path).ok().filter(|reply| reply.status == 200);
    reply.and_then(|reply| serde_json::from_str(&reply.body).ok()).unwrap_or_default()
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, AT_LAST, condition).unwrap_or_else(|late| panic!("{late}"));
}

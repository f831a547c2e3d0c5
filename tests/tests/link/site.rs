//! What every scenario needs: a camera behind a link that tc shapes, and everything else at the link's other end.

use std::{fs, path::PathBuf, time::Duration};

use autotiler_tests::{Link, NatsServer, NatsServerOptions, PrometheusServer, Service, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::{audit, camera::Camera};

/// From the start of a service to its readiness, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);
/// Whatever has no limit of its own: long enough for a busy machine, short enough to end a hanging test.
pub(crate) const AT_LAST: Duration = Duration::from_secs(60);
/// How often Prometheus scrapes and policies sweep here.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);

/// A wide link and a thin one, in bit/s, with the points that are best there.
pub(crate) const WIDE: (u64, &str) = (8_000_000, "server-only,bits=60k");
pub(crate) const THIN: (u64, &str) = (500_000, "layer=36,cr=4,bits=8k");

/// How much slower the camera runs networks: as fast as this machine does, the split would be best on every link.
const SLOWDOWN: &str = "14";
/// Such a camera and a server, as measured in the scenario of drops: the controller corrects what is a little off. Far
/// off it must not be, or the correction moves the choice as much as the link does.
const PROFILE: &str = "
apiVersion: autotiler.dev/v1alpha1
kind: PartitionProfile
metadata: {name: desk}
spec:
  network: 'NETWORK'
  deviceClass: desk
  points:
  - {route: device-only, device: {p50Us: 90000, p95Us: 100000}}
  - route: split
    layer: 36
    cr: 4
    device: {p50Us: 63000, p95Us: 75000}
    server: [{batch: 1, decodeUs: 500, tailUs: 5500}]
    rates: [{bits: 8000, accuracyDropPermille: 5}]
  - route: server-only
    device: {p50Us: 35000, p95Us: 52000}
    server: [{batch: 1, decodeUs: 2000, tailUs: 7500}]
    rates: [{bits: 60000, accuracyDropPermille: 5}]
";

pub(crate) struct Site {
    // Processes before the link that they hang on, and all before the folder that they write to.
    pub(crate) gateway: Service,
    pub(crate) prometheus: PrometheusServer,
    pub(crate) nats: NatsServer,
    pub(crate) link: Link,
    pub(crate) folder: TempDir,
}

impl Site {
    /// A site whose camera's link carries `bits_per_second`; this thread lives there from now on. None where no link
    /// can be made, after a printed line.
    pub(crate) fn new(bits_per_second: u64) -> Option<Self> {
        let link = Link::new(bits_per_second).unwrap()?;
        link.enter().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options =
            NatsServerOptions { jetstream: true, host: Some(Link::server()), ..NatsServerOptions::default() };
        let nats = NatsServer::start_with(options).unwrap();
        let args = ["--nats", &nats.url(), "--silence", "2s"];
        let mut gateway = Service::start("autotiler-gateway", "gateway", args, folder.path()).unwrap();
        gateway.wait_ready(READY).unwrap();
        let prometheus = PrometheusServer::start(&[gateway.addr()], INTERVAL).unwrap();
        let profile = PROFILE.replace("NETWORK", &audit::network().to_string());
        fs::write(folder.path().join("profile.yaml"), profile).unwrap();
        Some(Self { gateway, prometheus, nats, link, folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A ready decoder called `name`.
    pub(crate) fn decoder(&self, name: &str) -> Service {
        let (model, nats) = (audit::model_dir().display().to_string(), self.nats.url());
        let args = ["--model", &model, "--nats", &nats];
        let mut decoder = Service::start("autotiler-decoder", name, args, self.folder.path()).unwrap();
        decoder.wait_ready(READY).unwrap();
        decoder
    }

    /// A policy of short windows, with `more` in its spec; the guard and the fallback may work on the device alone.
    pub(crate) fn policy(&self, more: &str) -> String {
        format!(
            "
apiVersion: autotiler.dev/v1alpha1
kind: AutoTilerPolicy
metadata: {{name: north}}
spec:
  selector: {{matchLabels: {{site: here}}}}
  profileRef: {{name: desk}}
  candidates: {{deviceOnly: FallbackOnly}}
  metrics:
    prometheus: {{address: '{}', interval: {}ms}}
    maxAge: 3s
    warmupSamples: 2
    capacityHalfLife: 500ms
  behavior:
    degrade: {{stabilizationWindow: 500ms}}
    recover: {{stabilizationWindow: 1s, minDwell: 1s}}
    maxSwitches: {{count: 20, period: 60s}}
{more}",
            self.prometheus.url(),
            INTERVAL.as_millis()
        )
    }

    /// A ready controller that works from files.
    pub(crate) fn controller(&self, policy: &str) -> Service {
        let (file, profile) = (self.path("policy.yaml"), self.path("profile.yaml"));
        fs::write(&file, policy).unwrap();
        let (policy, profile) = (file.display().to_string(), profile.display().to_string());
        let args = ["--policy", &policy, "--profile", &profile, "--nats", &self.nats.url()];
        let mut controller =
            Service::start("autotiler-controller", "controller", args, self.folder.path()).unwrap();
        controller.wait_ready(READY).unwrap();
        controller
    }

    /// A live camera at the far end of the link that follows orders, at `point` until there are some; `run` tells its
    /// files from those of its other lives.
    pub(crate) fn camera(&self, run: &str, point: &str) -> Camera {
        let more =
            ["--follow-orders", "--device-class", "desk", "--live", "--fps", "10", "--slowdown", SLOWDOWN];
        Camera::start(self, run, &[&["--point", point], &more[..]].concat())
    }
}

/// JSON of an admin port; null while there is none.
pub(crate) fn json(service: &Service, path: &str) -> Value {
    let reply = service.get(path).ok().filter(|reply| reply.status == 200);
    reply.and_then(|reply| serde_json::from_str(&reply.body).ok()).unwrap_or_default()
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, AT_LAST, condition).unwrap_or_else(|late| panic!("{late}"));
}

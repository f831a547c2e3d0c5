//! A site whose controller works from a real API server.

use std::{io::Write as _, path::Path, process::Stdio};

use autotiler_tests::{KubeServer, Service};
use serde_json::Value;

use crate::site::{READY, Site};

const CAMERA: &str = "
apiVersion: autotiler.dev/v1alpha1
kind: EdgeDevice
metadata: {name: cam, labels: {site: here}}
spec: {deviceClass: desk}
";

pub(crate) struct Cluster {
    kube: KubeServer,
    pub(crate) site: Site,
}

impl Cluster {
    /// With the CRDs, the site's profile, its policy and its camera.
    pub(crate) fn new(site: Site) -> Self {
        let cluster = Self { kube: KubeServer::start().unwrap(), site };
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
        cluster.kubectl(&["apply", "-f", &crds.display().to_string()], "");
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
        let profile = std::fs::read_to_string(cluster.site.path("profile.yaml")).unwrap();
        for object in [&profile, &cluster.site.policy(""), CAMERA] {
            cluster.kubectl(&["apply", "--server-side", "-f", "-"], object);
        }
        cluster
    }

    fn kubectl(&self, args: &[&str], input: &str) -> String {
        let mut command = self.kube.kubectl().unwrap();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The status of a condition, and its message.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition: &str) -> (String, String) {
        let object: Value =
            serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"], "")).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == condition).unwrap_or_default();
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"))
    }

    /// Starts a controller; it is ready when it watches.
    pub(crate) fn controller(&self, name: &str) -> Service {
        let (kubeconfig, nats) = (self.kube.kubeconfig().display().to_string(), self.site.nats.url());
        let args = ["--nats", &nats, "--identity", name, "--lease", "3s", "--kubeconfig", &kubeconfig];
        let mut controller =
            Service::start("autotiler-controller", name, args, self.site.folder.path()).unwrap();
        controller.wait_ready(READY).unwrap();
        controller
    }
}

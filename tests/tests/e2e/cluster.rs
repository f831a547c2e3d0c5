//! The cluster under test: kubectl and helm for what people do, the API server's proxy for what services say.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use autotiler_tests::{Figure, Metrics, wait_until};
use kube::{Client, Config, config::Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long a cluster on two cores may take for anything that only has to happen at all.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// The devices that `tests/kind/up` asks for.
pub(crate) const DEVICES: [&str; 2] = ["cam-0", "cam-1"];

pub(crate) struct Cluster {
    runtime: Runtime,
    client: Client,
    /// Where the release is.
    pub(crate) namespace: String,
    /// Its name, and the first part of its objects' names.
    pub(crate) release: String,
}

impl Cluster {
    /// The cluster that KUBECONFIG says; ready when both devices have obeyed an order and get answers.
    pub(crate) fn open() -> Self {
        let runtime = Runtime::new().unwrap();
        let file =
            env::var("KUBECONFIG").expect("KUBECONFIG says which cluster: tests/kind/up, then make e2e");
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(file).unwrap();
            Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap())
                .unwrap()
        });
        let named = |variable: &str| env::var(variable).unwrap_or_else(|_| "autotiler".to_owned());
        let cluster = Self {
            runtime,
            client,
            namespace: named("AUTOTILER_NAMESPACE"),
            release: named("AUTOTILER_RELEASE"),
        };
        cluster.settle();
        cluster
    }

    /// Waits until both devices get answers and work where they were ordered to.
    pub(crate) fn settle(&self) {
        for device in DEVICES {
            until(&format!("answers to {device}"), || self.answered_within(device, Duration::from_secs(3)));
            until(&format!("{device} to be in sync"), || self.condition(device, "Synced") == "True");
        }
    }

    /// What kubectl prints, in the release's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).unwrap_or_else(|said| panic!("kubectl {args:?}: {said}"))
    }

    /// The same where it may fail: what it said then.
    pub(crate) fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        run(Command::new("kubectl").args(["--namespace", &self.namespace]).args(args))
    }

    /// What helm prints.
    pub(crate) fn helm(&self, args: &[&str]) -> String {
        run(Command::new("helm").args(["--namespace", &self.namespace]).args(args))
            .unwrap_or_else(|said| panic!("helm {args:?}: {said}"))
    }

    /// What a script of `tests/kind` prints; those work on the cluster that `up` made.
    pub(crate) fn script(&self, name: &str, args: &[&str]) -> String {
        let script = in_tree("tests/kind").join(name);
        run(Command::new(script).args(args)).unwrap_or_else(|said| panic!("{name} {args:?}: {said}"))
    }

    /// `path` of the API server; `None` while it or what is behind it does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let reply = self.client.request_text(request);
        let reply =
            self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), reply).await });
        reply.ok()?.ok()
    }

    /// An object as JSON; null while it cannot be had.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        let said = self.try_kubectl(&["get", kind, name, "--output", "json"]).unwrap_or_default();
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Whether there is such an object.
    pub(crate) fn is_there(&self, kind: &str, name: &str) -> bool {
        !self.object(kind, name).is_null()
    }

    /// Status of a device's condition.
    pub(crate) fn condition(&self, device: &str, condition: &str) -> String {
        condition_of(&self.object("edev", device), condition)
    }

    /// Whether a pod or node says so.
    pub(crate) fn is_ready(&self, kind: &str, name: &str) -> bool {
        condition_of(&self.object(kind, name), "Ready") == "True"
    }

    /// The names of pods with a label, those that end already left out.
    pub(crate) fn pods(&self, label: &str) -> Vec<String> {
        self.pods_by(label, |pod| pod["metadata"]["name"].as_str())
    }

    /// What tells pods with a label from others of their names before and after them.
    pub(crate) fn identities(&self, label: &str) -> Vec<String> {
        self.pods_by(label, |pod| pod["metadata"]["uid"].as_str())
    }

    /// The pods with a label on a node.
    pub(crate) fn pods_on(&self, node: &str, label: &str) -> Vec<String> {
        self.pods_by(label, |pod| {
            (pod["spec"]["nodeName"] == node).then(|| pod["metadata"]["name"].as_str())?
        })
    }

    fn pods_by(&self, label: &str, what: impl Fn(&Value) -> Option<&str>) -> Vec<String> {
        let said =
            self.try_kubectl(&["get", "pods", "--selector", label, "--output", "json"]).unwrap_or_default();
        let list: Value = serde_json::from_str(&said).unwrap_or_default();
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        alive.filter_map(|pod| what(pod).map(str::to_owned)).collect()
    }

    /// The pod of a device.
    pub(crate) fn device_pod(&self, device: &str) -> Option<String> {
        self.pods(&format!("autotiler.dev/device={device}")).into_iter().next()
    }

    /// What a pod shows on its admin port; nothing while it does not answer.
    pub(crate) fn pod_metrics(&self, pod: &str, port: u16) -> Metrics {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/metrics", self.namespace);
        Metrics::parse(&self.get(&path).unwrap_or_default())
    }

    /// What the gateway shows of all devices.
    pub(crate) fn fleet(&self) -> Metrics {
        self.service_metrics("gateway-metrics:metrics")
    }

    /// What a service of the release shows; nothing while it does not answer.
    pub(crate) fn service_metrics(&self, service: &str) -> Metrics {
        Metrics::parse(&self.get(&self.service(service, "metrics")).unwrap_or_default())
    }

    /// How often the controller that runs has decided on what it knew to be fresh.
    pub(crate) fn decisions(&self) -> f64 {
        let metrics = self.service_metrics("controller:admin");
        let decisions =
            |outcome| metrics.sum("autotiler_controller_decisions_total", &[("outcome", outcome)]);
        ["best", "held", "switch"].into_iter().map(decisions).sum()
    }

    /// The path of a service behind the API server's proxy.
    pub(crate) fn service(&self, service: &str, path: &str) -> String {
        format!("/api/v1/namespaces/{}/services/{}-{service}/proxy/{path}", self.namespace, self.release)
    }

    /// Where a device works, as it says itself; empty while it is silent, or its guard keeps it elsewhere.
    pub(crate) fn point(&self, device: &str) -> String {
        let fleet = self.fleet();
        if fleet.sum("autotiler_device_guarded", &[("device", device)]) > 0.0 {
            return String::new();
        }
        let info = fleet.samples("autotiler_device_info", &[("device", device)]).next().cloned();
        info.and_then(|info| info.label("point").map(str::to_owned)).unwrap_or_default()
    }

    /// Whether a new answer reaches the device in this time.
    fn answered_within(&self, device: &str, time: Duration) -> bool {
        let received = || {
            let pod = self.device_pod(device).unwrap_or_default();
            self.pod_metrics(&pod, 9101).sum("autotiler_edge_frames_received_total", &[])
        };
        let before = received();
        wait_until("an answer", time, || received() > before).is_ok()
    }
}

/// Waits for what has no deadline of its own.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, SOON, condition).unwrap();
}

/// Waits until `condition` is true, and says how long that took.
pub(crate) fn time_until(what: &str, condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    until(what, condition);
    began.elapsed()
}

/// A row of the table that `make e2e` prints; what was not reached fails the scenario once it stands there.
pub(crate) fn report(what: &str, wanted: &str, measured: &str, reached: bool) {
    Figure { what, wanted, measured: measured.to_owned(), reached: Some(reached) }.print();
    assert!(reached, "{what}: {measured}, and {wanted} was wanted");
}

/// A path of the tree, seen from anywhere.
pub(crate) fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn condition_of(object: &Value, condition: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|one| one["type"] == condition);
    found.and_then(|one| one["status"].as_str()).unwrap_or_default().to_owned()
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

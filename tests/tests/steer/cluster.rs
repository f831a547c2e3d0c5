//! The controller in a cluster: a real API server with our CRDs.

use std::{io::Write as _, path::Path, process::Stdio};

use autotiler_crds::EdgeDevice;
use autotiler_tests::{KubeServer, Service};
use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde_json::{Value, json as value};
use tokio::runtime::Runtime;

use crate::{
    device::Device,
    stand::{READY, Stand, THIN, WIDE, json, until},
};

/// Requests under way while thousands of objects are made.
const CREATED_AT_ONCE: usize = 32;

pub(crate) struct Cluster {
    pub(crate) stand: Stand,
    pub(crate) kube: KubeServer,
}

impl Cluster {
    /// An API server with the CRDs, the profile, and devices with the label that policies here select by.
    pub(crate) fn new(devices: &[&str]) -> Self {
        let cluster = Self::without_devices();
        let items: Vec<_> = devices.iter().map(|device| camera(device)).collect();
        cluster.apply(&value!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
        cluster
    }

    /// The same with thousands of devices, for which kubectl takes minutes.
    pub(crate) fn crowded(devices: &[String]) -> Self {
        let cluster = Self::without_devices();
        let api = ApiResource::erase::<EdgeDevice>(&());
        Runtime::new().unwrap().block_on(async {
            let devices_api: Api<DynamicObject> =
                Api::default_namespaced_with(cluster.kube.client().unwrap(), &api);
            let create = async |device: &String| {
                let object = serde_json::from_value(camera(device)).unwrap();
                devices_api.create(&PostParams::default(), &object).await.unwrap();
            };
            stream::iter(devices).map(create).buffer_unordered(CREATED_AT_ONCE).collect::<Vec<_>>().await;
        });
        cluster
    }

    fn without_devices() -> Self {
        let (stand, kube) = (Stand::new(), KubeServer::start().unwrap());
        let cluster = Self { stand, kube };
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
        cluster.kubectl(&["apply", "-f", &crds.display().to_string()], "");
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
        let profile = std::fs::read_to_string(cluster.stand.path("profile.yaml")).unwrap();
        cluster.apply(&profile);
        cluster
    }

    pub(crate) fn kubectl(&self, args: &[&str], input: &str) -> String {
        let mut command = self.kube.kubectl().unwrap();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn apply(&self, object: &str) {
        self.kubectl(&["apply", "--server-side", "-f", "-"], object);
    }

    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"], "")).unwrap()
    }

    /// The status of a condition, and its message.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition: &str) -> (String, String) {
        let object = self.object(kind, name);
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == condition).unwrap_or_default();
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"))
    }

    /// Starts a controller; it is ready when it watches, whether it leads or not.
    pub(crate) fn controller(&self, name: &str) -> Service {
        self.controller_with(name, &[])
    }

    /// The same, with more options.
    pub(crate) fn controller_with(&self, name: &str, more: &[&str]) -> Service {
        let kubeconfig = self.kube.kubeconfig().display().to_string();
        let nats = self.stand.nats.url();
        let args = ["--nats", &nats, "--identity", name, "--lease", "3s", "--kubeconfig", &kubeconfig];
        let args = [&args[..], more].concat();
        let mut controller =
            Service::start("autotiler-controller", name, args, self.stand.folder.path()).unwrap();
        controller.wait_ready(READY).unwrap();
        controller
    }
}

fn camera(name: &str) -> Value {
    value!({
        "apiVersion": "autotiler.dev/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": name, "labels": {"site": "here"}},
        "spec": {"deviceClass": "slow"}
    })
}

fn leads(controller: &Service) -> bool {
    controller.metrics().unwrap_or_default().sum("autotiler_controller_leader", &[]) >= 1.0
}

#[test]
fn policies_devices_pins_and_conflicts_are_followed_and_reported() {
    let cluster = Cluster::new(&["cam"]);
    let stand = &cluster.stand;
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&stand.nats.url(), "cam");
    cluster.apply(&stand.policy("north", ""));
    let controller = cluster.controller("one");

    until("the first order", || device.point() == WIDE.1);
    until("its report", || cluster.object("edev", "cam")["status"]["assignment"]["point"] == WIDE.1);
    until("its acknowledgement", || cluster.condition("edev", "cam", "Synced").0 == "True");
    until("the policy in force", || cluster.condition("atp", "north", "Ready").0 == "True");
    let columns = cluster.kubectl(&["get", "atp,edev"], "");
    assert!(columns.contains(WIDE.1) && columns.contains("north"), "{columns}");

    stand.exporter.show(&["cam"], Some(THIN.0));
    until("the thin link's point", || device.point() == THIN.1);
    until("its reason", || cluster.object("edev", "cam")["status"]["assignment"]["reason"] == "Degraded");
    let assignment = cluster.object("edev", "cam")["status"]["assignment"].clone();
    assert_eq!((&assignment["partitionLayer"], &assignment["compressionRatio"]), (&value!(20), &value!(4)));
    assert!(assignment["predicted"]["total"].is_string() && assignment["runnerUp"]["point"].is_string());

    // A pin holds, and ends by itself.
    let pin = |until: &str| {
        value!({
            "apiVersion": "autotiler.dev/v1alpha1", "kind": "EdgeDevice",
            "metadata": {"name": "cam", "labels": {"site": "here"}},
            "spec": {"deviceClass": "slow", "pin": {"route": "DeviceOnly", "until": until}}
        })
        .to_string()
    };
    cluster.apply(&pin("2999-01-01T00:00:00Z"));
    until("the pin", || device.point() == "device-only");
    until("its condition", || cluster.condition("edev", "cam", "Pinned").0 == "True");
    cluster.apply(&pin("2000-01-01T00:00:00Z"));
    until("the pin's end", || device.point() == THIN.1);

    // A policy of higher priority takes over, and the loser is told.
    cluster.apply(&stand.policy("south", "  priority: 5\n"));
    until("the loser to be told", || cluster.condition("atp", "north", "Conflicted").0 == "True");
    until("the winner", || cluster.object("edev", "cam")["status"]["policyName"] == "south");
    cluster.kubectl(&["delete", "atp", "south"], "");
    until("the way back", || cluster.object("edev", "cam")["status"]["policyName"] == "north");

    // Suspended: nothing moves.
    cluster.apply(&stand.policy("north", "  suspend: true\n"));
    until("suspension", || json(&controller, "/v1/devices/cam")["decided"]["outcome"] == "suspended");
    let orders = device.orders().len();
    stand.exporter.show(&["cam"], Some(WIDE.0));
    let sweeps = || controller.metrics().unwrap().sum("autotiler_controller_sweep_seconds_count", &[]);
    let before = sweeps();
    until("eight sweeps", || sweeps() >= before + 8.0);
    assert_eq!(device.orders().len(), orders);
    let _ = device;
}

#[test]
fn a_killed_leader_is_followed_and_a_lost_api_server_stops_no_device() {
    let mut cluster = Cluster::new(&["cam"]);
    cluster.stand.exporter.show(&["cam"], Some(WIDE.0));
    let device = Device::start(&cluster.stand.nats.url(), "cam");
    cluster.apply(&cluster.stand.policy("north", ""));
    let mut first = cluster.controller("one");
    until("the first to lead", || leads(&first));
    let second = cluster.controller("two");
    until("the first order", || device.point() == WIDE.1);
    assert!(!leads(&second));

    first.process().kill_all().unwrap();
    until("the second to lead", || leads(&second));
    cluster.stand.exporter.show(&["cam"], Some(THIN.0));
    until("an order of the second", || device.point() == THIN.1);
    let orders = device.orders();
    assert!(orders.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "{orders:?}");
    assert_eq!(orders.last().unwrap().writer, "two");

    // Fail-stop: without the API server the lease runs out, and the leader ends. Devices keep what they have.
    let mut second = second;
    cluster.kube.kill().unwrap();
    let ended = second.process().wait(READY).unwrap();
    assert!(!ended.success(), "{}", second.process().stderr());
    assert_eq!(device.point(), THIN.1);
    cluster.kube.resume().unwrap();
    cluster.stand.exporter.show(&["cam"], Some(WIDE.0));
    let _third = cluster.controller("three");
    until("an order of the third", || device.point() == WIDE.1);
}

#[test]
fn a_wrong_prometheus_is_a_condition_with_its_address_and_ready_stays() {
    let cluster = Cluster::new(&["cam"]);
    let _device = Device::start(&cluster.stand.nats.url(), "cam");
    let policy =
        cluster.stand.policy("north", "").replace(&cluster.stand.prometheus.url(), "http://127.0.0.1:1");
    cluster.apply(&policy);
    let _controller = cluster.controller("one");
    until("the condition", || {
        let (status, message) = cluster.condition("atp", "north", "MetricsFresh");
        status == "False" && message.contains("http://127.0.0.1:1")
    });
    assert_eq!(cluster.condition("atp", "north", "Ready").0, "True");
    cluster.apply(&cluster.stand.policy("west", "").replace("name: slow}", "name: nowhere}"));
    until("no profile", || cluster.condition("atp", "west", "ProfileResolved").0 == "False");
}

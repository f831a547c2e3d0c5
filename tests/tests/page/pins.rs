//! Who may hold a device at a point.

use std::{fs, path::Path, process::Output};

use autotiler_tests::KubeServer;
use serde_json::Value;

use crate::{crowd::Crowd, stand::Stand, walk::Walk};

const TOKEN: &str = "a-token-of-this-test-alone";
const DEVICE: &str = "
apiVersion: autotiler.dev/v1alpha1
kind: EdgeDevice
metadata: {name: cam-00}
spec: {deviceClass: pi-5}
";

#[test]
fn a_pin_needs_the_token_and_is_written_to_the_cluster() {
    let kube = KubeServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [token, device] = ["token", "device.yaml"].map(|file| folder.path().join(file));
    fs::write(&token, TOKEN).unwrap();
    fs::write(&device, DEVICE).unwrap();
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    kubectl(&kube, &["apply", "-f", &crds.display().to_string()]);
    kubectl(&kube, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
    kubectl(&kube, &["apply", "-f", &device.display().to_string()]);
    let pin = || {
        let object = kubectl(&kube, &["get", "edev", "cam-00", "-o", "json"]).stdout;
        serde_json::from_slice::<Value>(&object).unwrap()["spec"]["pin"].clone()
    };

    let cluster = [("KUBECONFIG", kube.kubeconfig().display().to_string())];
    let stand = Stand::new(&["--token-file", &token.display().to_string()], &cluster);
    let _crowd = Crowd::start(&stand.nats.url(), 1);
    let url = stand.url();
    let walk = |name: &str, more: &[&str]| {
        let args = [&[url.as_str(), "cam-00"], more].concat();
        Walk::start(stand.folder.path(), name, &args).ends();
    };
    walk("pins_in_vain", &[]);
    assert_eq!(pin(), Value::Null);
    walk("pins", &[TOKEN]);
    let pinned = pin();
    assert!(pinned["route"] == "DeviceOnly" && pinned["until"].is_string(), "{pinned}");
    walk("unpins", &[TOKEN]);
    assert_eq!(pin(), Value::Null);
}

fn kubectl(kube: &KubeServer, args: &[&str]) -> Output {
    let output = kube.kubectl().unwrap().args(args).output().unwrap();
    assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

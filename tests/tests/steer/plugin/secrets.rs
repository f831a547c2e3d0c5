//! Keys as Secrets, and a nats-server that believes them.

use std::{fs, process::Command};

use autotiler_tests::{KubeServer, binary};
use autotiler_transport::{
    Auth, ConnectOptions, OrderBook, TelemetrySubscriber, connect, publish_telemetry, testing::NatsServer,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use tokio::{runtime::Runtime, time::timeout};

use super::{must, plugin};
use crate::{device::word, stand::AT_LAST};

/// One Secret's text.
fn secret(kube: &KubeServer, runtime: &Runtime, name: &str, key: &str) -> Option<String> {
    runtime.block_on(async {
        let secrets: Api<Secret> = Api::default_namespaced(kube.client().unwrap());
        let found = secrets.get_opt(name).await.unwrap()?;
        Some(String::from_utf8(found.data.unwrap().remove(key).unwrap().0).unwrap())
    })
}

fn delete(kube: &KubeServer, runtime: &Runtime, name: &str) {
    runtime.block_on(async {
        let secrets: Api<Secret> = Api::default_namespaced(kube.client().unwrap());
        secrets.delete(name, &DeleteParams::default()).await.unwrap();
    });
}

const PARTS: [(&str, &str); 6] = [
    ("p-server", "resolver.conf"),
    ("p-account", "account.key"),
    ("p-decoder", "nats.creds"),
    ("p-gateway", "nats.creds"),
    ("p-controller", "nats.creds"),
    ("p-device-cam", "nats.creds"),
];

#[test]
fn keys_are_made_once_and_let_their_holders_in() {
    let (kube, runtime) = (KubeServer::start().unwrap(), Runtime::new().unwrap());
    let init = ["access", "init", "--secret-prefix", "p", "--namespace", "default", "--device", "cam"];
    must(&kube, &init);
    let all = || PARTS.map(|(name, key)| secret(&kube, &runtime, name, key).unwrap());
    let first = all();
    // As a hook does it at each upgrade.
    assert!(!must(&kube, &init).contains("made"));
    assert_eq!(all(), first);

    // What can be signed again is; what cannot is said.
    delete(&kube, &runtime, "p-decoder");
    assert!(must(&kube, &init).contains("secret/p-decoder made"));
    assert!(secret(&kube, &runtime, "p-decoder", "nats.creds").is_some());
    let printed = must(&kube, &["device", "add", "late", "--secret-prefix", "p"]);
    assert!(printed.starts_with("-----BEGIN NATS USER JWT-----"), "{printed}");
    let keep = ["device", "add", "late", "--secret-prefix", "p", "--store", "--expires", "1h"];
    must(&kube, &keep);
    let again = plugin(&kube, &keep);
    assert!(!again.ok && again.error.contains("--force"), "{}", again.error);
    must(&kube, &[&keep[..], &["--force"]].concat());
    let lost = plugin(&kube, &["device", "add", "late", "--release", "nowhere"]);
    assert!(!lost.ok && lost.error.contains("no Secret nowhere-nats-account"), "{}", lost.error);

    let late = secret(&kube, &runtime, "p-device-late", "nats.creds").unwrap();
    let [resolver, _, _, gateway, controller, cam] = all();
    runtime.block_on(all_are_let_in(&resolver, &gateway, &controller, [("cam", &cam), ("late", &late)]));

    delete(&kube, &runtime, "p-controller");
    let lost = plugin(&kube, &init);
    assert!(!lost.ok && lost.error.contains("delete Secret p-server too"), "{}", lost.error);
}

#[test]
fn the_command_line_makes_the_same_as_files() {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let autotiler = |args: &[&str]| {
        let output = Command::new(binary("autotiler").unwrap()).current_dir(&folder).args(args).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, error) = autotiler(&["access", "init", "--out", "access"]);
    assert!(ok, "{error}");
    let (ok, error) = autotiler(&["access", "init", "--out", "access"]);
    assert!(!ok && error.contains("--force"), "{error}");
    let add = ["device", "add", "cam", "--account", "access/account.key", "--out", "cam.creds"];
    let (ok, error) = autotiler(&add);
    assert!(ok, "{error}");
    let (ok, error) = autotiler(&add);
    assert!(!ok && error.contains("cam.creds is there already"), "{error}");
    let (ok, error) = autotiler(&["device", "add", "cam", "--account", "access/decoder.creds", "--out", "x"]);
    assert!(!ok && error.contains("account.key"), "{error}");

    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let [resolver, gateway, controller] =
        ["resolver.conf", "gateway.creds", "controller.creds"].map(|name| read(&format!("access/{name}")));
    runtime.block_on(all_are_let_in(&resolver, &gateway, &controller, [("cam", &read("cam.creds"))]));
}

/// A server that knows only `resolver` lets all in: each device is heard, and the store can be opened.
async fn all_are_let_in<const N: usize>(
    resolver: &str,
    gateway: &str,
    controller: &str,
    devices: [(&str, &String); N],
) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let store = folder.path().join("jetstream");
    let config = format!("jetstream {{ store_dir: {store:?} }}\n{resolver}");
    let mut server = NatsServer::stopped(&config).unwrap();
    server.resume().unwrap();
    let enter = async |text: &str| {
        let options = ConnectOptions::new(vec![server.url()], "test");
        let options = ConnectOptions { auth: Auth::CredentialsFile(file("user.creds", text)), ..options };
        timeout(AT_LAST, connect(&options)).await.unwrap().unwrap()
    };
    let gateway = enter(gateway).await;
    let mut heard = TelemetrySubscriber::subscribe(&gateway).await.unwrap();
    for (name, credentials) in devices {
        let (said, device) = (word(name, autotiler_core::Epoch(0), 1), enter(credentials).await);
        publish_telemetry(&device, &said).await.unwrap();
        assert_eq!(timeout(AT_LAST, heard.next()).await.unwrap().unwrap().unwrap(), said);
    }
    OrderBook::open(&enter(controller).await).await.unwrap();
}

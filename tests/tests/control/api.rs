//! The API of the project on a real API server: its rules, its defaults, its status, and objects of another time.

use std::{fs, path::Path, time::Duration};

use autotiler_crds::{
    AutoTilerPolicy, EdgeDevice, EdgeDeviceStatus, PartitionProfile, policy::Behavior, schema::definitions,
};
use autotiler_tests::KubeServer;
use futures::StreamExt;
use json_patch::merge;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::DeserializeGuard,
    runtime::{WatchStreamExt, conditions, wait::await_condition, watcher},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Whatever has no limit of its own: long enough for a busy machine, short enough to end a hanging test.
const AT_LAST: Duration = Duration::from_secs(60);

/// Our name in server-side apply.
const MANAGER: &str = "autotiler-tests";

/// An object of `crds/tests/broken.yaml`.
#[derive(Deserialize)]
struct Broken {
    kind: String,
    message: String,
    patch: Value,
    fixed: Value,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").join(path)).unwrap()
}

fn example(file: &str) -> Value {
    serde_yaml::from_str(&read(&format!("examples/{file}.yaml"))).unwrap()
}

/// The example and the API of a kind.
fn kind(client: &Client, kind: &str) -> (Value, Api<DynamicObject>) {
    let (file, resource) = match kind {
        "AutoTilerPolicy" => ("policy", ApiResource::erase::<AutoTilerPolicy>(&())),
        "EdgeDevice" => ("device", ApiResource::erase::<EdgeDevice>(&())),
        _ => ("profile", ApiResource::erase::<PartitionProfile>(&())),
    };
    (example(file), Api::default_namespaced_with(client.clone(), &resource))
}

/// A server with our definitions, applied as people do: from the YAML in the tree.
async fn server() -> (KubeServer, Client) {
    let server = KubeServer::start().unwrap();
    let client = server.client().unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions() {
        let yaml = read(&format!("{}.yaml", definition.spec.names.plural));
        let definition: CustomResourceDefinition = serde_yaml::from_str(&yaml).unwrap();
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(&definition)).await.unwrap();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(AT_LAST, established).await.unwrap().unwrap();
    }
    (server, client)
}

#[tokio::test]
async fn rules_are_said_by_the_server_and_status_is_apart() {
    let (server, client) = server().await;
    each_rule_refuses_its_object(&client).await;
    what_is_left_out_has_its_default(&client).await;
    status_is_written_apart_from_the_spec(&client).await;
    people_see_columns(&server);
    an_object_that_no_longer_decodes_does_not_stop_the_watch(&client).await;
}

async fn each_rule_refuses_its_object(client: &Client) {
    let all: Vec<Broken> = serde_yaml::from_str(&read("tests/broken.yaml")).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for Broken { kind: name, message, patch, fixed } in all {
        let (mut object, api) = kind(client, &name);
        merge(&mut object, &patch);
        let create = |object: &Value| serde_json::from_value::<DynamicObject>(object.clone()).unwrap();
        let refused = api.create(&dry_run, &create(&object)).await;
        let error = refused.expect_err(&message).to_string();
        assert!(error.contains(&message), "{error} does not say {message}");
        merge(&mut object, &fixed);
        api.create(&dry_run, &create(&object)).await.unwrap_or_else(|error| panic!("{message}: {error}"));
    }
}

async fn what_is_left_out_has_its_default(client: &Client) {
    for name in ["AutoTilerPolicy", "EdgeDevice", "PartitionProfile"] {
        let (object, api) = kind(client, name);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let patch = PatchParams::apply(MANAGER);
        api.patch(&object.name_any(), &patch, &Patch::Apply(&object)).await.unwrap();
    }
    let (_, policies) = kind(client, "AutoTilerPolicy");
    let stored = policies.get("north").await.unwrap();
    assert_eq!(stored.data["spec"]["objective"]["constraints"]["maxAccuracyDropPermille"], 20);
    assert_eq!(stored.data["spec"]["behavior"], serde_json::to_value(Behavior::default()).unwrap());
    // The server and the type say the same: nothing changes on the way through the type.
    let typed: AutoTilerPolicy = Api::default_namespaced(client.clone()).get("north").await.unwrap();
    assert_eq!(serde_json::to_value(&typed.spec).unwrap(), stored.data["spec"]);
}

async fn status_is_written_apart_from_the_spec(client: &Client) {
    let devices: Api<EdgeDevice> = Api::default_namespaced(client.clone());
    let before = devices.get("camera-7").await.unwrap();
    let status = json!({
        "apiVersion": "autotiler.dev/v1alpha1",
        "kind": "EdgeDevice",
        "spec": {"deviceClass": "not-through-status"},
        "status": {
            "policyName": "north",
            "assignment": {
                "epoch": 3, "point": "layer=36,cr=4,bits=12k", "partitionLayer": 36, "compressionRatio": 4,
                "targetBits": 12000, "reason": "LinkFell", "decidedAt": "2026-11-23T20:00:00Z",
                "inputs": {"uplink": "812k", "rtt": "23ms", "sampleAge": "700ms"},
            },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Assigned", "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-11-23T20:00:00Z",
            }],
        },
    });
    let patch = PatchParams::apply(MANAGER).force();
    let after = devices.patch_status("camera-7", &patch, &Patch::Apply(&status)).await.unwrap();
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.metadata.generation, before.metadata.generation);
    let EdgeDeviceStatus { policy_name, assignment, conditions, .. } = after.status.unwrap();
    assert_eq!(policy_name.as_deref(), Some("north"));
    assert_eq!(assignment.unwrap().inputs.uplink.unwrap().bps(), 812_000);
    assert_eq!(conditions.len(), 1);
    let selected = kube::api::ListParams::default().fields("status.policyName=north");
    assert_eq!(devices.list(&selected).await.unwrap().items.len(), 1);
}

fn people_see_columns(server: &KubeServer) {
    let shown = server.kubectl().unwrap().args(["get", "atp,edev,prof"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for word in ["MODE", "SYNCED", "Enforce", "POINT", "layer=36,cr=4,bits=12k", "jetson-orin-nano"] {
        assert!(shown.contains(word), "{word} is not in\n{shown}");
    }
    let ready = ["wait", "--for=condition=Ready", "edev/camera-7", "--timeout=10s"];
    assert!(server.kubectl().unwrap().args(ready).status().unwrap().success());
}

/// Stored when the definition was looser, as by an older version of it.
async fn an_object_that_no_longer_decodes_does_not_stop_the_watch(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "edgedevices.autotiler.dev";
    let ours = definitions.get(name).await.unwrap();
    let mut loose = ours.clone();
    loose.metadata.managed_fields = None;
    for version in &mut loose.spec.versions {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        version.schema.as_mut().unwrap().open_api_v3_schema = Some(serde_json::from_value(schema).unwrap());
        version.selectable_fields = None;
    }
    definitions.replace(name, &PostParams::default(), &loose).await.unwrap();
    let (mut old, api) = kind(client, "EdgeDevice");
    merge(&mut old, &json!({"metadata": {"name": "old"}, "spec": {"deviceClass": 7}}));
    let old: DynamicObject = serde_json::from_value(old).unwrap();
    // The server takes a moment to forget the stricter schema.
    tokio::time::timeout(AT_LAST, async {
        while api.create(&PostParams::default(), &old).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let guarded: Api<DeserializeGuard<EdgeDevice>> = Api::default_namespaced(client.clone());
    let mut watched = watcher(guarded, watcher::Config::default()).applied_objects().boxed();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    while good.len() + bad.len() < 2 {
        let next = tokio::time::timeout(AT_LAST, watched.next()).await.unwrap().unwrap().unwrap();
        match next.0 {
            Ok(device) => good.push(device.name_any()),
            Err(invalid) => bad.push(invalid.metadata.name.unwrap()),
        }
    }
    assert_eq!((good, bad), (vec!["camera-7".to_owned()], vec!["old".to_owned()]));
}

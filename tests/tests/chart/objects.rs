//! Objects, as a real API server sees them: each is valid, and each pod passes the restricted level.

use std::{collections::BTreeSet, fs};

use autotiler_tests::KubeServer;
use serde_json::{Value, json};

use crate::{
    accounts::run,
    helm::{CASES, OPTIONAL_APIS, RELEASE, in_tree, objects, render_case, title},
};

/// A server that knows what the chart's objects may need: our definitions, and stand-ins of other projects' ones, whose
/// own are not to be had without a network. Those say nothing but a kind, so that of these only the rendering is tested.
fn server(case: &str) -> KubeServer {
    let server = KubeServer::start().unwrap();
    let apply = |file: &std::path::Path| {
        run(server.kubectl().unwrap().arg("apply").arg("--filename").arg(file), "");
    };
    apply(&in_tree("tests/tests/chart/standins.yaml"));
    if case != "default" {
        // Installed by somebody else, or by an earlier revision.
        apply(&in_tree("charts/autotiler/files/crds"));
    }
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": RELEASE, "labels": {"pod-security.kubernetes.io/warn": "restricted"}},
    });
    run(server.kubectl().unwrap().args(["apply", "--filename=-"]), &namespace.to_string());
    server
}

fn dry_run(server: &KubeServer, objects: &[&Value]) -> String {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    // What helm gives no namespace is in the release's.
    let arguments = ["apply", "--dry-run=server", "--server-side", "--filename=-"];
    run(server.kubectl().unwrap().args(arguments), &list)
}

#[test]
fn every_object_is_valid_and_every_pod_restricted() {
    let server = server("all");
    for case in CASES {
        let apis: Vec<_> = OPTIONAL_APIS.iter().flat_map(|api| ["--api-versions", api]).collect();
        for more in [&[][..], &apis] {
            let text = render_case(case, more);
            let all = objects(&text);
            assert!(all.len() > 10, "{case}: {}", all.len());
            let said = dry_run(&server, &all.iter().collect::<Vec<_>>());
            let risky: BTreeSet<_> =
                said.lines().filter(|line| line.contains("would violate PodSecurity")).collect();
            // The link shaper asks for a capability; nothing else may.
            let shaped = case == "demo";
            assert_eq!(!risky.is_empty(), shaped, "{case}: {risky:?}");
            assert!(risky.iter().all(|line| line.contains("\"shaper\"")), "{case}: {risky:?}");
            assert!(risky.iter().all(|line| !line.contains("edge")), "{case}: {risky:?}");
            everybody_has_names_and_limits(case, &all);
        }
    }
}

fn everybody_has_names_and_limits(case: &str, all: &[Value]) {
    let mut seen = BTreeSet::new();
    for object in all {
        let name = title(object);
        let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
        assert!(seen.insert(format!("{name} {}{place}", object["apiVersion"])), "{case}: two of {name}");
        let pod = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        for container in pod["containers"].as_array().into_iter().flatten() {
            let requests = &container["resources"]["requests"];
            assert!(requests["cpu"].is_string() && requests["memory"].is_string(), "{case}: {name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{case}: {name}");
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{case}: {name}");
        }
    }
}

#[test]
fn a_namespaced_release_makes_nothing_outside_of_its_namespace() {
    for object in objects(&render_case("namespaced", &[])) {
        let name = title(&object);
        assert_eq!(object["metadata"]["namespace"], RELEASE, "{name}");
        assert!(!name.starts_with("Cluster"), "{name}");
    }
}

#[test]
fn a_decoder_has_longer_to_end_than_it_drains() {
    let all = objects(&render_case("production", &[]));
    let decoder = all.iter().find(|one| title(one) == "Deployment/autotiler-decoder").unwrap();
    let pod = &decoder["spec"]["template"]["spec"];
    let environment = pod["containers"][0]["env"].as_array().unwrap();
    let drain = environment.iter().find(|one| one["name"] == "AUTOTILER_DRAIN_DEADLINE").unwrap();
    let seconds: u64 = drain["value"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > seconds);
    assert_eq!(pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], 1);
    assert_eq!(pod["runtimeClassName"], "nvidia");
    assert!(decoder["spec"]["replicas"].is_null(), "an autoscaler says how many");
}

/// Helm itself, on the real server: what a person does with a release. Pods run nowhere here, nothing waits for them.
#[test]
fn install_upgrade_rollback_uninstall_and_install_again() {
    let server = server("default");
    let kubeconfig = server.kubeconfig().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    // Without what runs as a job before: there is no node.
    let with = |more: &str| {
        let text = format!(
            "demo: {{devices: [cam-0, cam-1]{more}}}\nnats: {{auth: {{create: false}}, tls: {{enabled: true, secret: \"\"}}}}\n"
        );
        fs::write(&values, text).unwrap();
    };
    let helm = |arguments: &[&str]| {
        let common = ["--kubeconfig", &kubeconfig, "--namespace", RELEASE];
        let output = crate::helm::helm(&[&common, arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let get =
        |what: &[&str]| run(server.kubectl().unwrap().args(["--namespace", RELEASE, "get"]).args(what), "");
    let file = values.display().to_string();
    let uid = || get(&["edev", "cam-0", "--output=jsonpath={.metadata.uid}"]);
    let latency =
        || get(&["atp", "autotiler-demo", "--output=jsonpath={.spec.objective.constraints.maxLatency}"]);

    with("");
    let notes = helm(&["install", RELEASE, "charts/autotiler", "--values", &file]);
    assert!(notes.contains("helm test autotiler") && notes.contains("port-forward"), "{notes}");
    assert!(get(&["atp,edev,prof"]).contains("cam-1"));
    let (device, definition) = (uid(), "crd/edgedevices.autotiler.dev");
    helm(&["upgrade", RELEASE, "charts/autotiler", "--values", &file]);
    with(", maxLatency: 250ms");
    helm(&["upgrade", RELEASE, "charts/autotiler", "--values", &file]);
    assert_eq!((uid(), latency()), (device.clone(), "250ms".to_owned()), "changed in place");
    helm(&["rollback", RELEASE, "2"]);
    assert_eq!((uid(), latency()), (device.clone(), "400ms".to_owned()), "and back");
    helm(&["uninstall", RELEASE]);
    assert_eq!(uid(), device, "kept");
    assert!(get(&[definition]).contains("edgedevices"));
    assert!(get(&["deployments,statefulsets,services"]).contains("No resources"));
    helm(&["install", RELEASE, "charts/autotiler", "--values", &file]);
    assert_eq!((uid(), latency()), (device, "400ms".to_owned()), "taken over again");
}

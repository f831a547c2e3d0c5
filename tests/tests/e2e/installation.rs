//! The chart's life: test, upgrade, rollback, uninstall, install again.

use crate::cluster::{Cluster, DEVICES, in_tree, report, time_until, until};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn helm_test_passes() {
    let cluster = Cluster::open();
    let said = cluster.helm(&["test", &cluster.release, "--timeout", "3m"]);
    report("helm test", "passes", "passed", said.contains("Succeeded"));
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn get_answers_the_first_question() {
    let cluster = Cluster::open();
    let said = cluster.kubectl(&["get", "atp,edev"]);
    println!("{said}");
    let answers = DEVICES.iter().all(|device| said.contains(device)) && said.contains("autotilerpolicy");
    report("kubectl get atp,edev", "answers", "policy and both devices", answers);
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn policies_and_devices_outlive_upgrade_rollback_and_uninstall() {
    let cluster = Cluster::open();
    let release = cluster.release.as_str();
    let values = cluster.helm(&["get", "values", release, "--output", "json"]);
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), values).unwrap();
    let file = file.path().display().to_string();
    let chart = in_tree("charts/autotiler").display().to_string();
    let with = ["--values", &file, "--wait", "--timeout", "5m"];

    // A policy of the user's own, as after a day of work.
    let mark = ["annotate", "--overwrite", "edev", "cam-0", "example.org/kept=yes"];
    cluster.kubectl(&mark);
    let kept = || cluster.object("edev", "cam-0")["metadata"]["annotations"]["example.org/kept"] == "yes";
    cluster.helm(&[&["upgrade", release, &chart, "--set", "log.filter=debug"], &with[..]].concat());
    cluster.settle();
    assert!(kept(), "upgrade keeps what was set on devices");
    cluster.helm(&["rollback", release, "--wait", "--timeout", "5m"]);
    cluster.settle();
    assert!(kept(), "rollback too");

    cluster.helm(&["uninstall", release, "--wait", "--timeout", "5m"]);
    let crds = cluster.kubectl(&["get", "crd", "--output", "name"]);
    assert!(crds.contains("edgedevices.autotiler.dev"), "uninstalling keeps the definitions: {crds}");
    assert!(kept(), "uninstalling keeps devices");
    until("no pod of the release", || cluster.pods("app.kubernetes.io/name=autotiler").is_empty());

    let back = time_until("the release again", || {
        cluster.helm(&[&["install", release, &chart], &with[..]].concat());
        true
    });
    cluster.settle();
    report(
        "upgrade, rollback, uninstall, install again",
        "CRDs and devices kept",
        &format!("kept; ready after {:.0} s", back.as_secs_f64()),
        kept(),
    );
}

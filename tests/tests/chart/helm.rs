//! The chart in the tree, and what helm makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use autotiler_tests::tool;
use serde::Deserialize;
use serde_json::Value;

/// The release in all tests, and its namespace.
pub(crate) const RELEASE: &str = "autotiler";

/// Values that the chart is rendered with, in `ci/`.
pub(crate) const CASES: [&str; 5] = ["default", "minimal", "production", "namespaced", "demo"];

/// APIs that may be absent from a cluster, as `standins.yaml` has them.
pub(crate) const OPTIONAL_APIS: [&str; 5] = [
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "keda.sh/v1alpha1/ScaledObject",
    "cert-manager.io/v1/Certificate",
    "cert-manager.io/v1/Issuer",
];

/// A file of the tree, by its path from the workspace's root.
pub(crate) fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the chart.
pub(crate) fn in_chart(path: &str) -> PathBuf {
    in_tree("charts/autotiler").join(path)
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The files with the ending `extension` in a folder of the chart, sorted.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(in_chart(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}

pub(crate) fn helm(arguments: &[&str]) -> Output {
    Command::new(tool("helm").unwrap()).args(arguments).current_dir(in_tree(".")).output().unwrap()
}

/// Renders the chart, or says why not.
pub(crate) fn try_render(arguments: &[&str]) -> Result<String, String> {
    let fixed = ["template", RELEASE, "charts/autotiler", "--namespace", RELEASE];
    let output = helm(&[&fixed, arguments].concat());
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The text of all objects with the values of `ci/CASE.yaml`.
pub(crate) fn render_case(case: &str, more: &[&str]) -> String {
    let file = format!("charts/autotiler/ci/{case}.yaml");
    try_render(&[&["--values", &file], more].concat()).unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// The objects in a text of several documents.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// `Kind/name`, for messages.
pub(crate) fn title(object: &Value) -> String {
    format!(
        "{}/{}",
        object["kind"].as_str().unwrap_or("?"),
        object["metadata"]["name"].as_str().unwrap_or("?")
    )
}

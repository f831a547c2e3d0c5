//! Alerts: what promtool says of them, and the pages that they lead to.

use std::{collections::BTreeSet, process::Command};

use autotiler_tests::tool;
use serde_json::Value;

use crate::{
    accounts::run,
    helm::{files, in_chart, objects, read, render_case},
};

/// What the issue of this chart asked for, and no less.
const LEAST: usize = 8;

fn rules() -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&read(in_chart("rules/autotiler.yaml"))).unwrap();
    file["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn rules_are_right_and_each_fires_and_keeps_still_in_a_test() {
    let promtool = || Command::new(tool("promtool").unwrap());
    run(promtool().args(["check", "rules"]).arg(in_chart("rules/autotiler.yaml")), "");
    run(promtool().args(["test", "rules"]).arg(in_chart("tests/alerts.yaml")), "");

    let tests: Value = serde_yaml::from_str(&read(in_chart("tests/alerts.yaml"))).unwrap();
    let cases = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let tested = |fires: bool| -> BTreeSet<_> {
        let cases = cases.clone().filter(|case| case["exp_alerts"].is_array() == fires);
        cases.map(|case| case["alertname"].as_str().unwrap()).collect()
    };
    let rules = rules();
    let names: BTreeSet<_> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert!(names.len() >= LEAST, "{names:?}");
    assert_eq!(tested(true), names, "each fires");
    assert_eq!(tested(false), names, "each keeps still");
}

#[test]
fn each_alert_leads_to_a_page_of_its_own() {
    let mut pages = BTreeSet::new();
    for rule in rules() {
        let (name, url) =
            (rule["alert"].as_str().unwrap(), rule["annotations"]["runbook_url"].as_str().unwrap());
        let page = url.strip_prefix("charts/autotiler/runbooks/").unwrap_or_else(|| panic!("{name}: {url}"));
        let text = read(in_chart("runbooks").join(page));
        assert!(text.starts_with(&format!("# {name}\n")), "{page} is not about {name}");
        for part in ["## What it means", "## What to look at", "## What to do"] {
            assert!(text.contains(part), "{page} lacks {part}");
        }
        assert!(pages.insert(in_chart("runbooks").join(page)), "{page} is of two alerts");
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
    }
    assert_eq!(pages, files("runbooks", "md").into_iter().collect(), "a page of no alert");
}

#[test]
fn the_address_of_runbooks_is_put_in_and_nothing_else_is_touched() {
    let apis = ["--api-versions", "monitoring.coreos.com/v1/PrometheusRule"];
    let plain = objects(&render_case("default", &apis));
    let made = plain.iter().find(|one| one["kind"] == "PrometheusRule").unwrap();
    assert_eq!(made["spec"]["groups"][0]["rules"].as_array().unwrap(), &rules());
    let production = objects(&render_case("production", &[]));
    let made = production.iter().find(|one| one["kind"] == "PrometheusRule").unwrap();
    assert_eq!(made["metadata"]["labels"]["release"], "kube-prometheus-stack");
    let url = &made["spec"]["groups"][0]["rules"][0]["annotations"]["runbook_url"];
    assert_eq!(url, "https://runbooks.example/autotiler/nobody-leads.md");
}

//! Every query of the dashboards, asked of the Prometheus in the cluster.

use std::{collections::BTreeMap, fs, time::Duration};

use autotiler_tests::wait_until;
use serde_json::Value;

use crate::{
    cluster::{Cluster, DEVICES, in_tree, report, until},
    link::{differs, free, steady_point, throttle},
};

/// Rates look back for up to five minutes, and need two scrapes of what they count.
const SHOWN_WITHIN: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs a cluster: make e2e"]
fn every_query_of_the_dashboards_gives_data() {
    let cluster = Cluster::open();
    // What shows a switch shows nothing before the first.
    let [device, _] = DEVICES;
    let here = steady_point(&cluster, device);
    throttle(&cluster, device, "500kbit");
    until("a switch", || differs(&cluster, device, &here));
    free(&cluster, device);

    let queries = queries();
    let mut silent: Vec<_> = queries.iter().collect();
    let shown = wait_until("data from every query", SHOWN_WITHIN, || {
        silent.retain(|(_, query)| !gives_data(&cluster, query));
        silent.is_empty()
    });
    let missing: Vec<_> = silent.iter().map(|(panel, _)| panel.as_str()).collect();
    report(
        "queries of all dashboards on the live system",
        "each gives data",
        &format!("{} of {}{}", queries.len() - silent.len(), queries.len(), of(&missing)),
        shown.is_ok(),
    );
}

fn of(missing: &[&str]) -> String {
    if missing.is_empty() { String::new() } else { format!("; none from {}", missing.join(", ")) }
}

/// Panel and number of each query of the chart's dashboards, and the query.
fn queries() -> BTreeMap<String, String> {
    let folder = fs::read_dir(in_tree("charts/autotiler/dashboards")).unwrap();
    let files = folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let dashboards = files.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let mut queries = BTreeMap::new();
    for dashboard in dashboards {
        for panel in dashboard["panels"].as_array().unwrap() {
            for (number, target) in panel["targets"].as_array().into_iter().flatten().enumerate() {
                let place = format!("{}: {} {}", dashboard["title"], panel["title"], number + 1);
                queries.insert(place, target["expr"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(queries.len() > 40, "the dashboards are there");
    queries
}

/// Whether Prometheus answers with a number; NaN is none.
fn gives_data(cluster: &Cluster, query: &str) -> bool {
    let query = query.replace("$namespace", &cluster.namespace).replace("$device", DEVICES[0]);
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let said = cluster.get(&cluster.service("prometheus:http", &format!("api/v1/query?query={query}")));
    let answer: Value = serde_json::from_str(&said.unwrap_or_default()).unwrap_or_default();
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    series.iter().any(|one| one["value"][1].as_str().is_some_and(|value| value != "NaN"))
}

//! Dashboards: each panel says what it shows, and of which installation.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{files, objects, read, render_case};

fn dashboards() -> Vec<Value> {
    files("dashboards", "json").iter().map(|file| serde_json::from_str(&read(file)).unwrap()).collect()
}

#[test]
fn every_panel_has_title_unit_description_and_query() {
    let all = dashboards();
    assert_eq!(all.len(), 3);
    let identities: BTreeSet<_> = all.iter().map(|one| one["uid"].as_str().unwrap()).collect();
    assert_eq!(identities.len(), 3);
    for dashboard in &all {
        let (title, mut ids) = (&dashboard["title"], BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let name = format!("{title}: {}", panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: its id is another's too");
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{name}");
            if panel["type"] == "row" {
                continue;
            }
            let says = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
            assert!(says(&panel["title"]) && says(&panel["description"]), "{name}");
            assert!(says(&panel["fieldConfig"]["defaults"]["unit"]), "{name} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{name}");
            for target in targets {
                let query = target["expr"].as_str().unwrap();
                assert!(query.contains(r#"namespace="$namespace""#), "{name} mixes installations: {query}");
                assert!(says(&target["legendFormat"]), "{name}");
            }
        }
    }
}

#[test]
fn they_are_provisioned_as_labelled_config_maps() {
    let all = objects(&render_case("default", &[]));
    let maps: Vec<_> =
        all.iter().filter(|one| one["metadata"]["labels"]["grafana_dashboard"] == "1").collect();
    assert_eq!(maps.len(), 3);
    for map in maps {
        assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Auto-Tiler");
        let text = map["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        let shown: Value = serde_json::from_str(text).unwrap();
        assert!(dashboards().contains(&shown));
    }
    let named = ["--set", "monitoring.dashboards.label=mine,monitoring.dashboards.labelValue=yes"];
    let renamed = objects(&render_case("default", &named));
    assert_eq!(renamed.iter().filter(|one| one["metadata"]["labels"]["mine"] == "yes").count(), 3);
}

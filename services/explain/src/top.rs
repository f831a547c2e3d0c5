//! All devices in a line each, with what they measure.

use serde_json::Value;

use crate::page::{table, text};

/// What does not say itself is shown as `-`.
pub fn top(devices: &Value) -> String {
    let devices = devices.as_array().map(Vec::as_slice).unwrap_or_default();
    if devices.is_empty() {
        return "no device is under control: none has spoken, or no policy selects one\n".to_owned();
    }
    let head =
        ["device", "policy", "point", "link Mbit/s", "p50 ms", "p95 ms", "fps", "guarded", "epoch", "synced"];
    let mut table = table(head);
    for one in devices {
        let number = |key: &str, unit: f64, digits: usize| {
            one[key].as_f64().map_or("-".to_owned(), |value| format!("{:.digits$}", value / unit))
        };
        let yes = |key: &str| match one[key].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        table.add_row([
            text(&one["device"]),
            text(&one["policy"]),
            text(&one["point"]),
            number("uplinkBps", 1e6, 3),
            number("totalP50Us", 1e3, 0),
            number("totalP95Us", 1e3, 0),
            number("framesPerSecond", 1.0, 1),
            yes("guarded").to_owned(),
            text(&one["epoch"]),
            yes("synced").to_owned(),
        ]);
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_device_is_a_line_and_what_it_does_not_know_is_no_zero() {
        let page = top(&json!([
            {"device": "cam-0", "policy": "north", "point": "layer=20,cr=4,bits=12k", "epoch": 7, "synced": true,
             "guarded": false, "uplinkBps": 800000, "totalP50Us": 120000, "totalP95Us": null, "framesPerSecond": 9.97},
            {"device": "cam-1"},
        ]));
        let line = |name: &str| page.lines().find(|line| line.contains(name)).unwrap();
        for says in ["north", "0.800", "120", "10.0", "no", "7", "yes"] {
            assert!(line("cam-0").contains(says), "{says}:\n{page}");
        }
        assert!(!line("cam-1").contains('0'), "{page}");
        assert!(top(&json!([])).contains("no device is under control"));
    }
}

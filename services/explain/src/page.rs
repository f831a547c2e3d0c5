//! The controller's answer as text. What is missing in it is shown as `-`: an older controller may not say it.

use std::fmt::Write as _;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::{Map, Value};

/// One line for each device.
pub fn list(devices: &Value) -> String {
    let mut table = table(["device", "policy", "point", "epoch", "state"]);
    let devices = devices.as_array().map(Vec::as_slice).unwrap_or_default();
    for one in devices {
        let state = match (one["guarded"].as_bool(), one["synced"].as_bool()) {
            (Some(true), _) => "guarded by itself",
            (_, Some(true)) => "applied",
            _ => "not applied yet",
        };
        table.add_row([
            text(&one["device"]),
            text(&one["policy"]),
            text(&one["point"]),
            text(&one["epoch"]),
            state.to_owned(),
        ]);
    }
    if devices.is_empty() {
        return "no device is under control: none has spoken, or no policy selects one\n".to_owned();
    }
    format!("{table}\n")
}

/// Everything of one device.
pub fn device(one: &Value, history: bool) -> String {
    let (decided, order) = (&one["decided"], &one["order"]);
    let mut page = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{name:<14}{value}");
    };
    line("device", format!("{} (class {})", text(&one["device"]), text(&one["deviceClass"])));
    line("policy", format!("{} ({})", text(&one["policy"]), text(&one["mode"])));
    let synced = if one["synced"] == true { "applied" } else { "not applied yet" };
    line("ordered", format!("{} (epoch {}, {synced})", text(&order["point"]), text(&one["epoch"])));
    line("because", text(&order["reason"]));
    line("in force", in_force(&one["telemetry"]));
    line("uplink", uplink(decided));
    line("round trip", signal(&decided["rtt"], |seconds| format!("{:.0} ms", seconds * 1e3)));
    line("server queue", queue(decided));
    line("total", total(one));
    line("drift", drift(one));
    line("outcome", outcome(&decided["outcome"]));
    if let Some(unmet) = decided["choice"]["unmet"].as_object() {
        line("infeasible", infeasible(unmet));
    }
    let _ = write!(page, "\n{}\n", candidates(&decided["choice"], &decided["current"]));
    if history {
        let _ = write!(page, "\n{}\n", past(&one["history"]));
    }
    page
}

fn in_force(telemetry: &Value) -> String {
    let point = text(&telemetry["point"]);
    let refused = telemetry["refused"].as_object().map(|refused| {
        let said = |key| refused.get(key).map(text).unwrap_or_default();
        format!("; refused order {}: {} ({})", said("epoch"), said("reason"), said("detail"))
    });
    let guarded = telemetry["guardedForMs"].as_f64();
    let guarded = guarded.map(|ms| format!("; its own guard has held it there for {:.1} s", ms / 1e3));
    format!("{point}{}{}", guarded.unwrap_or_default(), refused.unwrap_or_default())
}

fn uplink(decided: &Value) -> String {
    let newest = signal(&decided["uplink"], |bps| format!("{:.3} Mbit/s", bps / 1e6));
    match decided["meanUplinkBps"].as_f64() {
        Some(mean) => format!("{:.3} Mbit/s in the mean, newest {newest}", mean / 1e6),
        None => newest,
    }
}

fn queue(decided: &Value) -> String {
    let measured = signal(&decided["serverQueue"], |seconds| format!("{:.1} ms", seconds * 1e3));
    let used = decided["inputs"]["serverQueueS"].as_f64();
    match (decided["serverQueue"]["state"].as_str(), used) {
        (Some("fresh"), _) | (_, None) => measured,
        (_, Some(used)) => format!("{measured}; reckoned with {:.1} ms", used * 1e3),
    }
}

/// What is predicted of the point in force, what the device measures, and how the last forecast went.
fn total(one: &Value) -> String {
    let (telemetry, forecast) = (&one["telemetry"], &one["forecast"]);
    let judged = one["decided"]["choice"]["judged"].as_array().map(Vec::as_slice).unwrap_or_default();
    let here = judged.iter().find(|judged| judged["point"] == telemetry["point"]).unwrap_or(&Value::Null);
    let ms = |us: &Value| us.as_f64().map_or("nothing".to_owned(), |us| format!("{:.1} ms", us / 1e3));
    let [predicted, measured] = [&here["predicted"]["totalUs"], &telemetry["totalUs"]["p50"]].map(ms);
    let tested = match (forecast["predictedUs"].as_f64(), forecast["measuredUs"].as_f64()) {
        (Some(predicted), Some(measured)) if measured > 0.0 => {
            format!("; the last forecast was off by {:+.1} %", (predicted / measured - 1.0) * 100.0)
        }
        _ => String::new(),
    };
    format!("{predicted} predicted, {measured} measured{tested}")
}

/// How much longer stages take than the profile says.
fn drift(one: &Value) -> String {
    let inputs = &one["decided"]["inputs"];
    let factor = |value: &Value| value.as_f64().map_or("-".to_owned(), |factor| format!("{factor:.2}"));
    let [alone, cut, picture] =
        ["deviceOnly", "split", "serverOnly"].map(|kind| factor(&inputs["drift"][kind]));
    let server = factor(&inputs["serverDrift"]);
    let told = match one["drifted"]["part"].as_str() {
        Some(part) => format!("; the {part}'s is notable: `autotiler profile` measures anew"),
        None => String::new(),
    };
    format!(
        "device-only {alone}, split {cut}, server-only {picture}, the server {server} times what the profile says{told}"
    )
}

fn signal(signal: &Value, show: impl Fn(f64) -> String) -> String {
    let age = signal["ageS"].as_f64().map(|age| format!("{age:.1} s old")).unwrap_or_default();
    match (signal["state"].as_str(), signal["value"].as_f64()) {
        (Some("fresh"), Some(value)) => format!("{} ({age})", show(value)),
        (Some("stale"), _) => format!("stale ({age})"),
        _ => "absent".to_owned(),
    }
}

fn outcome(outcome: &Value) -> String {
    let seconds =
        |held: &Value| held["leftMs"].as_f64().map_or("-".to_owned(), |ms| format!("{:.1} s", ms / 1e3));
    let held = &outcome["decided"]["held"];
    if let Some(held) = held["improvement"].as_object() {
        let said = |key| held.get(key).map(text).unwrap_or_default();
        return format!(
            "held: better by {} %, the policy asks for {} %",
            said("percent"),
            said("neededPercent")
        );
    }
    for (kind, says) in [
        ("window", "held: better, but not for long enough yet; left:"),
        ("dwell", "held: too soon after the last switch; left:"),
        ("budget", "held: the flap budget is spent; a switch is free in:"),
    ] {
        if held[kind].is_object() {
            return format!("{says} {}", seconds(&held[kind]));
        }
    }
    if held == "concurrency" {
        return "held: enough other devices of the policy switch in this sweep".to_owned();
    }
    match (outcome["decided"].as_str(), outcome.as_str()) {
        (Some("best"), _) => "stays: no candidate is better".to_owned(),
        (Some("switch"), _) => "switches".to_owned(),
        (Some("nothing"), _) => "stays: no candidate is allowed and accurate enough".to_owned(),
        (_, Some("suspended")) => "frozen: the policy is suspended".to_owned(),
        (_, Some("pinned")) => "pinned by a person".to_owned(),
        (_, Some("guarded")) => "waits: the device's own guard has left its link".to_owned(),
        (_, Some("blind")) => "waits: nothing fresh is known".to_owned(),
        (_, Some("fallback")) => "nothing fresh for long: the policy's fallback".to_owned(),
        _ => match outcome["warmingUp"]["missing"].as_u64() {
            Some(missing) => format!("waits for {missing} more fresh samples after a gap"),
            None => text(outcome),
        },
    }
}

fn infeasible(unmet: &Map<String, Value>) -> String {
    let constraint = unmet.get("constraint").map(text).unwrap_or_default();
    let [limit, nearest] = ["limit", "nearest"].map(|key| {
        let Some(value) = unmet.get(key).and_then(Value::as_f64) else { return "-".to_owned() };
        match constraint.as_str() {
            "Latency" => format!("{:.0} ms", value / 1e3),
            "Uplink" => format!("{:.0} kbit/s", value / 1e3),
            _ => format!("{value:.0} thousandths"),
        }
    });
    format!("{constraint} within {limit} cannot be met; the nearest that can is {nearest}")
}

/// Every candidate: the allowed first, the fastest on top.
fn candidates(choice: &Value, current: &Value) -> String {
    let Some(judged) = choice["judged"].as_array() else {
        return "no candidates yet: nothing has been measured".to_owned();
    };
    let head = [
        "candidate",
        "device ms",
        "wait",
        "transfer",
        "queue",
        "server",
        "total ms",
        "kbit/s",
        "drop o/oo",
        "",
    ];
    let mut table = table(head);
    let mut order: Vec<usize> = (0..judged.len()).collect();
    let total = |at: &usize| judged.get(*at).and_then(|one| one["predicted"]["totalUs"].as_u64());
    order.sort_by_key(|at| {
        (
            judged.get(*at).is_some_and(|one| one["ruledOut"].is_string() || one["ruledOut"].is_object()),
            total(at),
        )
    });
    for at in order {
        let Some(one) = judged.get(at) else { continue };
        let ms = |key: &str| {
            one["predicted"][key].as_f64().map_or("-".to_owned(), |us| format!("{:.1}", us / 1e3))
        };
        let mut notes = Vec::new();
        if one["point"] == *current {
            notes.push("in force".to_owned());
        }
        if choice["best"].as_u64() == Some(at as u64) {
            notes.push("best".to_owned());
        }
        if choice["runnerUp"].as_u64() == Some(at as u64) {
            notes.push("runner-up".to_owned());
        }
        match &one["ruledOut"] {
            Value::Null => {}
            Value::String(why) if why == "NotAllowed" => {
                notes.push("the policy does not allow it".to_owned())
            }
            Value::String(why) if why == "Dominated" => {
                notes.push("another is better in every part".to_owned())
            }
            why => notes.push(format!("breaks the constraint {}", text(&why["Breaks"]))),
        }
        let kbps = one["uplinkBps"].as_f64().map_or("-".to_owned(), |bps| format!("{:.0}", bps / 1e3));
        table.add_row([
            text(&one["point"]),
            ms("deviceUs"),
            ms("waitUs"),
            ms("transferUs"),
            ms("queueUs"),
            ms("serverUs"),
            ms("totalUs"),
            kbps,
            text(&one["accuracyDropPermille"]),
            notes.join(", "),
        ]);
    }
    table.to_string()
}

fn past(history: &Value) -> String {
    let mut table = table(["epoch", "at", "from", "to", "reason", ""]);
    for entry in history.as_array().map(Vec::as_slice).unwrap_or_default() {
        let at = std::time::UNIX_EPOCH
            + std::time::Duration::from_millis(entry["atMs"].as_u64().unwrap_or_default());
        table.add_row([
            text(&entry["epoch"]),
            humantime::format_rfc3339_seconds(at).to_string(),
            text(&entry["from"]),
            text(&entry["to"]),
            text(&entry["reason"]),
            text(&entry["detail"]),
        ]);
    }
    table.to_string()
}

pub(crate) fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(head);
    table
}

pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_device_is_explained_with_inputs_candidates_and_what_holds_it() {
        let one = json!({
            "device": "cam-0", "deviceClass": "pi", "policy": "edge/north", "mode": "Enforce", "epoch": 7, "synced": true,
            "order": {"point": "server-only,bits=75k", "reason": "first assignment"},
            "telemetry": {"point": "server-only,bits=75k", "totalUs": {"p50": 320000}},
            "drifted": {"part": "device"},
            "forecast": {"point": "server-only,bits=75k", "predictedUs": 352000, "measuredUs": 320000},
            "decided": {
                "uplink": {"state": "fresh", "value": 600e3, "ageS": 0.4}, "meanUplinkBps": 520e3,
                "rtt": {"state": "stale", "ageS": 12.0}, "serverQueue": {"state": "absent"},
                "inputs": {"serverQueueS": 0.003, "drift": {"deviceOnly": 1.2, "split": 1.2, "serverOnly": 1.5}, "serverDrift": 1.0}, "current": "server-only,bits=75k",
                "outcome": {"decided": {"held": {"window": {"leftMs": 1200}}}},
                "choice": {"best": 1, "runnerUp": 0,
                "unmet": {"constraint": "Latency", "limit": 150000, "nearest": 200000}, "judged": [
                    {"point": "server-only,bits=75k", "predicted": {"totalUs": 300000}, "uplinkBps": 750000,
                     "accuracyDropPermille": 10, "ruledOut": null},
                    {"point": "layer=20,cr=4,bits=12k", "predicted": {"totalUs": 200000}, "ruledOut": null},
                    {"point": "device-only", "predicted": {"totalUs": 400000}, "ruledOut": {"Breaks": "Latency"}}]}},
            "history": [{"epoch": 7, "atMs": 0, "from": null, "to": "server-only,bits=75k", "reason": "FirstAssignment"}]
        });
        let page = device(&one, true);
        for says in [
            "0.520 Mbit/s in the mean, newest 0.600 Mbit/s (0.4 s old)",
            "stale (12.0 s old)",
            "absent; reckoned with 3.0 ms",
            "device-only 1.20, split 1.20, server-only 1.50, the server 1.00 times what the profile says; the device's is",
            "300.0 ms predicted, 320.0 ms measured; the last forecast was off by +10.0 %",
            "not for long enough yet; left: 1.2 s",
            "Latency within 150 ms cannot be met; the nearest that can is 200 ms",
            "breaks the constraint Latency",
            "runner-up",
            "FirstAssignment",
        ] {
            assert!(page.contains(says), "{says}:\n{page}");
        }
        let (best, slow) = (page.find("layer=20").unwrap(), page.rfind("device-only").unwrap());
        assert!(best < slow, "the fastest allowed stands first");
    }

    #[test]
    fn an_answer_of_another_shape_is_shown_and_does_not_fail() {
        assert!(device(&json!({}), true).contains('-'));
        assert!(list(&json!([])).contains("no device"));
    }
}

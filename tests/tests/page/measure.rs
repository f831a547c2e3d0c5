//! How quick the page is, beside what is wanted of it.
//!
//! `make measure MEASURE=page`

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use autotiler_tests::{Figure, quantile};
use serde_json::Value;

use crate::{crowd, crowd::Crowd, stand::Stand, walk::Walk};

const DEVICES: usize = 50;
const SWITCHES: usize = 30;
/// Not a part of a second, so that switches fall between the devices' words in every way.
const BETWEEN: Duration = Duration::from_millis(730);
/// Two points in turn.
const POINTS: [&str; 2] = ["server-only,bits=60k", "layer=36,cr=4,bits=12k"];
/// What is wanted: loaded and shown, a switch, and a frame of the screen that nobody sees to be late.
const LOAD_S: f64 = 1.0;
const SHOWN_S: f64 = 2.0;
const FRAME_MS: f64 = 50.0;

#[test]
#[ignore = "measures for a minute"]
fn measure_the_page() {
    let stand = Stand::new(&[], &[]);
    let crowd = Crowd::start(&stand.nats.url(), DEVICES);
    let mut walk = Walk::start(stand.folder.path(), "measure", &[&stand.url(), &DEVICES.to_string()]);
    let mut next = || serde_json::from_str::<Value>(&walk.line()).unwrap();
    let mut loads = numbers(&next()["loads"]);
    let frames = next();
    // It watches from here on.
    assert_eq!(next()["watches"], true);
    let switched: Vec<(String, f64)> = (0..SWITCHES)
        .map(|at| {
            let device = crowd::name(at % DEVICES);
            let began = unix_ms();
            crowd.switch(&device, POINTS[0]);
            thread::sleep(BETWEEN);
            (device, began)
        })
        .collect();
    let seen = next();
    let mut delays: Vec<f64> =
        switched.iter().map(|(device, began)| (seen[device].as_f64().unwrap() - began) / 1e3).collect();
    walk.ends();

    let [half, worst] = [0.5, 1.0].map(|share| quantile(&mut loads, share));
    Figure {
        what: &format!(
            "live page on loopback: from nothing to {DEVICES} devices shown, {} visits",
            loads.len()
        ),
        wanted: "<= 1 s",
        measured: format!("p50 {half:.2} s, worst {worst:.2} s"),
        reached: Some(worst <= LOAD_S),
    }
    .print();
    let [half, worst] = [0.5, 1.0].map(|share| quantile(&mut delays, share));
    Figure {
        what: &format!(
            "live page: from a switch in a device that speaks each second to its row, {SWITCHES} switches"
        ),
        wanted: "<= 2 s",
        measured: format!("p50 {half:.2} s, worst {worst:.2} s"),
        reached: Some(worst <= SHOWN_S),
    }
    .print();
    let (mut gaps, tasks) = (numbers(&frames["gaps"]), numbers(&frames["tasks"]));
    let late = gaps.iter().filter(|gap| **gap > FRAME_MS).count();
    Figure {
        what: &format!("live page with {DEVICES} devices: frames of the screen, {} in all", gaps.len()),
        wanted: "none later than 50 ms, no task of 50 ms",
        measured: format!(
            "p50 {:.0} ms, p99 {:.0} ms, {late} later than 50 ms; {} tasks of 50 ms",
            quantile(&mut gaps, 0.5),
            quantile(&mut gaps, 0.99),
            tasks.len()
        ),
        reached: Some(late == 0 && tasks.is_empty()),
    }
    .print();
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

//! What a switch costs the stream, over thousands of them.
//!
//! `cargo test --release -p autotiler-tests --test stream -- --ignored --nocapture switches`

use std::env;

use autotiler_pipeline::BoxOptions;
use autotiler_tests::{Figure, Signal, quantile};

use crate::{
    audit::{Audit, Thresholds},
    model::POINTS,
    orders::{Controller, with_store},
    rig::{AT_LAST, READY},
};

const FPS: f64 = 100.0;
const INTERVAL_MS: f64 = 1e3 / FPS;

#[test]
#[ignore = "measures for minutes"]
fn measure_thousands_of_switches() {
    let switches: usize = env::var("AUTOTILER_TESTS_SWITCHES").map_or(10_000, |count| count.parse().unwrap());
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &["--max-detections", "300"]);
    let mut edge = rig.edge("cam", POINTS[0], &["--fps", &FPS.to_string(), "--follow-orders"]);
    let mut controller = Controller::new(&rig, "cam", true);
    edge.service.wait_ready(READY).unwrap();
    for number in 1..=switches {
        controller.put(&controller.order(POINTS[number % POINTS.len()]));
        controller.obeyed();
        if number % 1_000 == 0 {
            eprintln!("{number} switches");
        }
    }
    edge.wait_received(10.0, AT_LAST);
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    let accounts = edge.accounts();
    let lost = accounts.sum("lost") + accounts.sum("dropped");

    let lines = accounts.in_order();
    let number = |line: &serde_json::Value, key: &str| line[key].as_u64().unwrap();
    let (mut across, mut within, mut disobeyed) = (Vec::new(), Vec::new(), 0);
    for pair in lines.windows(2) {
        let gap_ms = (number(pair[1], "captured_us") - number(pair[0], "captured_us")) as f64 / 1e3;
        let switched = pair[0]["epoch"] != pair[1]["epoch"];
        if switched { across.push(gap_ms) } else { within.push(gap_ms) }
    }
    for line in &lines {
        let epoch = usize::try_from(number(line, "epoch")).unwrap();
        disobeyed += usize::from(line["point"] != POINTS[epoch % POINTS.len()]);
    }
    let low = |max_detections| BoxOptions { score_threshold: 0.001, nms_iou: 0.45, max_detections };
    let thresholds = Thresholds { device: low(usize::from(u16::MAX)), server: low(300) };
    let audited = Audit::new(&rig.path("model"), thresholds).check(&accounts.lines);

    Figure {
        what: "frames lost or wrongly decoded because of a switch",
        wanted: "0 in 10,000 switches",
        measured: format!(
            "{lost} lost, {disobeyed} at a wrong point, 0 of {audited} wrong in {switches} switches"
        ),
        reached: Some(lost == 0 && disobeyed == 0 && audited == lines.len()),
    }
    .print();
    let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut across, share));
    let [still_p50, still_p99] = [0.5, 0.99].map(|share| quantile(&mut within, share));
    Figure {
        what: "gap between last old and first new frame",
        wanted: "<= 1 frame interval",
        measured: format!(
            "{} gaps at {INTERVAL_MS} ms: p50 {p50:.1}, p99 {p99:.1} ms (without a switch {still_p50:.1}, \
             {still_p99:.1} ms)",
            across.len()
        ),
        // The clock that paces the source is late by its own jitter, switch or not.
        reached: Some(p99 <= INTERVAL_MS.max(still_p99) * 1.1),
    }
    .print();
    let without_frames = switches.saturating_sub(across.len());
    println!("{without_frames} orders were overtaken by the next one before a frame was taken");
}

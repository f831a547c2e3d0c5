//! Several devices and several decoders on one broker.

use crate::{
    model::{POINT, POINTS},
    rig::{Edge, Rig},
};

const FRAMES: u64 = 60;

#[test]
fn devices_at_different_points_share_one_decoder() {
    let rig = Rig::new();
    let decoder = rig.decoder("decoder", &[]);
    let start = |(number, point)| rig.edge(&format!("cam-{number}"), point, &["--frames", "60"]);
    let edges: Vec<Edge> = POINTS.into_iter().enumerate().map(start).collect();
    for edge in edges {
        edge.accounts().assert_all_received(FRAMES);
    }
    let answered = decoder.metrics().unwrap().sum("autotiler_decoder_frames_total", &[("outcome", "ok")]);
    // device-only asks no decoder.
    assert_eq!(answered, (FRAMES * 3) as f64);
}

#[test]
fn decoders_share_the_frames_and_each_frame_is_answered_once() {
    let rig = Rig::new();
    let decoders = ["one", "other"].map(|name| rig.decoder(name, &[]));
    let edges: Vec<Edge> =
        (0..2).map(|number| rig.edge(&format!("cam-{number}"), POINT, &["--frames", "60"])).collect();
    for edge in edges {
        let accounts = edge.accounts();
        accounts.assert_all_received(FRAMES);
        assert_eq!(accounts.count("late_answers"), 0, "answered twice");
    }
    let answered = decoders
        .each_ref()
        .map(|decoder| decoder.metrics().unwrap().sum("autotiler_decoder_frames_total", &[]));
    assert_eq!(answered[0] + answered[1], (FRAMES * 2) as f64);
    assert!(answered.iter().all(|frames| *frames > 0.0), "one did it all: {answered:?}");
}

#[test]
fn a_decoder_says_what_it_finds_as_json_lines() {
    let rig = Rig::new();
    let mut decoder = rig.decoder("decoder", &["--json-lines"]);
    rig.edge("cam", POINT, &["--frames", "10"]).accounts().assert_all_received(10);
    let lines = decoder.process().json_lines();
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| line["device"] == "cam" && line["lost"].is_null()));
}

//! Nothing fails: every frame arrives, at every kind of operating point.

use autotiler_tests::{Signal, wait_until};

use crate::{
    model::{POINT, POINTS},
    rig::{AT_LAST, READY, Rig},
};

#[test]
fn every_frame_of_a_file_like_source_arrives_at_every_kind_of_point() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    for (number, point) in POINTS.into_iter().enumerate() {
        let accounts = rig.edge(&format!("cam-{number}"), point, &["--frames", "40"]).accounts();
        accounts.assert_all_received(40);
        assert_eq!(accounts.lines.len(), 40);
        assert_eq!(accounts.report["point"], point);
        let found =
            |line: &serde_json::Value| line["detections"].as_array().is_some_and(|all| !all.is_empty());
        assert!(accounts.lines.iter().any(found), "no detection at {point}");
        let kbit = accounts.report["kbit_per_frame"].as_f64().unwrap();
        assert_eq!(kbit > 0.0, point != "device-only", "{kbit} kbit at {point}");
    }
}

#[test]
fn device_only_works_without_any_decoder() {
    let rig = Rig::new();
    rig.edge("cam", "device-only", &["--frames", "20"]).accounts().assert_all_received(20);
}

#[test]
fn a_live_source_keeps_the_newest_and_counts_what_it_drops() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let accounts = rig.edge("cam", POINT, &["--frames", "300", "--live", "--fps", "1000"]).accounts();
    assert_eq!(accounts.count("captured"), 300);
    assert!(accounts.count("received") > 0);
}

#[test]
fn a_device_told_to_stop_finishes_what_it_took() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINT, &["--fps", "50"]);
    edge.service.wait_ready(READY).unwrap();
    edge.wait_received(10.0, AT_LAST);
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    let accounts = edge.accounts();
    assert_eq!(accounts.sum("lost") + accounts.sum("dropped"), 0, "{:#}", accounts.report);
}

#[test]
fn a_decoder_told_to_stop_answers_what_it_took() {
    let rig = Rig::new();
    let mut leaving = rig.decoder("leaving", &[]);
    let _staying = rig.decoder("staying", &[]);
    let edge = rig.edge("cam", POINT, &["--frames", "200", "--fps", "100"]);
    edge.wait_received(20.0, AT_LAST);
    leaving.process().signal(Signal::SIGTERM).unwrap();
    assert!(leaving.process().wait(AT_LAST).unwrap().success());
    edge.accounts().assert_all_received(200);
}

#[test]
fn no_process_leaves_a_zombie_or_an_ffmpeg_behind() {
    let rig = Rig::new();
    let mut decoder = rig.decoder("decoder", &[]);
    for run in 0..3 {
        rig.edge(&format!("cam-{run}"), POINT, &["--frames", "10"]).accounts().assert_all_received(10);
    }
    assert_eq!(decoder.process().zombies(), 0);
    let group = decoder.process().pid();
    decoder.process().signal(Signal::SIGTERM).unwrap();
    wait_until("the decoder's ffmpegs to end", AT_LAST, || {
        decoder.process().ended().unwrap().is_some() && decoder.process().children("ffmpeg").is_empty()
    })
    .unwrap_or_else(|late| panic!("{late} (group {group})"));
}

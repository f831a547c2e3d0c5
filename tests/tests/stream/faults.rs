//! Something dies in mid-stream: the stream goes on, and the accounts close exactly.

use autotiler_tests::{Process, Signal, wait_for, wait_until};
use nix::sys::signal::kill;

use crate::{
    accounts::Accounts,
    model::{POINT, POINTS},
    rig::{AT_LAST, Edge, GOES_ON, READY, Rig},
};

/// Frames received after a fault that show that the stream is alive.
const ALIVE: f64 = 10.0;

/// A device in mid-stream, at a camera's pace, that runs until it is told to stop.
fn streaming(rig: &Rig, point: &str, more: &[&str]) -> Edge {
    let args = [&["--fps", "50", "--answer-timeout", "1s"], more].concat();
    let mut edge = rig.edge("cam", point, &args);
    edge.service.wait_ready(READY).unwrap();
    edge.wait_received(ALIVE, AT_LAST);
    edge
}

/// Stops it and closes its accounts; `accounts` itself holds them to `sent = received + lost`.
fn stop(mut edge: Edge) -> Accounts {
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    edge.accounts()
}

/// Kills all of them: some encoders keep one or two for other gains.
fn kill_ffmpegs(of: &Process) {
    let running = || Some(of.children("ffmpeg")).filter(|found| !found.is_empty());
    for ffmpeg in wait_for("an ffmpeg to kill", AT_LAST, running).unwrap() {
        kill(ffmpeg, Signal::SIGKILL).unwrap();
    }
}

fn assert_no_zombie(process: &Process) {
    wait_until("the dead ffmpeg to be waited for", GOES_ON, || process.zombies() == 0).unwrap();
}

#[test]
fn goes_on_after_the_devices_ffmpeg_was_killed() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = streaming(&rig, POINT, &[]);
    kill_ffmpegs(edge.service.process());
    edge.wait_received(ALIVE, GOES_ON);
    assert_no_zombie(edge.service.process());
    let accounts = stop(edge);
    // At most the frame that it held, and the one behind.
    assert!(accounts.sum("dropped") <= 2, "{:#}", accounts.report);
    assert_eq!(accounts.sum("lost"), 0, "{:#}", accounts.report);
}

#[test]
fn goes_on_after_the_decoders_ffmpeg_was_killed() {
    let rig = Rig::new();
    let mut decoder = rig.decoder("decoder", &[]);
    let edge = streaming(&rig, POINT, &[]);
    kill_ffmpegs(decoder.process());
    edge.wait_received(ALIVE, GOES_ON);
    assert_no_zombie(decoder.process());
    let accounts = stop(edge);
    assert_eq!(accounts.sum("dropped"), 0, "{:#}", accounts.report);
    let lost = accounts.report["lost"].as_object().unwrap();
    assert!(lost.keys().all(|reason| reason == "codec_crashed"), "{:#}", accounts.report);
}

#[test]
fn goes_on_after_the_decoder_was_killed_and_came_back() {
    let rig = Rig::new();
    let mut decoder = rig.decoder("decoder", &[]);
    let edge = streaming(&rig, POINT, &[]);
    decoder.process().kill_all().unwrap();
    wait_until("a loss", AT_LAST, || edge.counted("lost") > 0.0).unwrap();
    let _next = rig.decoder("next", &[]);
    edge.wait_received(ALIVE, GOES_ON);
    let accounts = stop(edge);
    let lost = accounts.report["lost"].as_object().unwrap();
    let known = ["no_decoder", "no_answer"];
    assert!(lost.keys().all(|reason| known.contains(&reason.as_str())), "{:#}", accounts.report);
}

#[test]
fn goes_on_with_another_decoder_when_one_is_killed() {
    let rig = Rig::new();
    let mut one = rig.decoder("one", &[]);
    let _other = rig.decoder("other", &[]);
    let edge = streaming(&rig, POINT, &[]);
    one.process().kill_all().unwrap();
    edge.wait_received(ALIVE, GOES_ON);
    stop(edge);
}

#[test]
fn goes_on_after_nats_server_was_killed_and_came_back() {
    let mut rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let edge = streaming(&rig, POINT, &[]);
    rig.nats.kill().unwrap();
    wait_until("the device to see it", AT_LAST, || !edge.is_ready()).unwrap();
    rig.nats.resume().unwrap();
    edge.wait_received(ALIVE, GOES_ON);
    stop(edge);
}

#[test]
fn a_live_device_sends_no_stale_burst_after_an_outage() {
    let mut rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let edge = streaming(&rig, POINT, &["--live", "--max-age", "200ms"]);
    rig.nats.stop().unwrap();
    // A second of frames.
    let before = edge.counted("captured");
    wait_until("50 frames in the dark", AT_LAST, || edge.counted("captured") >= before + 50.0).unwrap();
    rig.nats.resume().unwrap();
    edge.wait_received(ALIVE, GOES_ON);
    let accounts = stop(edge);
    assert!(accounts.sum("dropped") > 0, "{:#}", accounts.report);
    // From capture to detections: the wait for the lost link would be in it. 200 ms of age, and a busy machine.
    let slowest = accounts.report["total_ms"]["max"].as_f64().unwrap();
    assert!(slowest < 1500.0, "a frame of {slowest} ms");
}

#[test]
fn survives_a_frozen_nats_server() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let edge = streaming(&rig, POINT, &[]);
    rig.nats.freeze().unwrap();
    wait_until("unanswered frames", AT_LAST, || edge.counted("lost") > 0.0).unwrap();
    rig.nats.thaw().unwrap();
    edge.wait_received(ALIVE, GOES_ON);
    stop(edge);
}

#[test]
fn a_restarted_device_is_served_at_once() {
    let rig = Rig::new();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = streaming(&rig, POINT, &[]);
    edge.service.process().kill_all().unwrap();
    drop(edge);
    // The same name, another point, other parameter sets.
    rig.edge("cam", POINTS[1], &["--frames", "20"]).accounts().assert_all_received(20);
}

//! What cannot work is said at the start, in words; what may still come is waited for.

use std::fs;

use autotiler_core::DeviceId;
use autotiler_model::Model;
use autotiler_tests::{NatsServerOptions, Service, wait_until};
use autotiler_transport::{FrameSubject, NatsOptions, connect};
use bytes::Bytes;
use clap::Parser;

use crate::{
    model::{PLANE_BYTES, POINT},
    rig::{AT_LAST, READY, Rig},
};

/// Waits for a refusal and gives its words.
fn refusal(service: &mut Service) -> String {
    let status = service.process().wait(AT_LAST).unwrap();
    let words = service.process().stderr();
    assert!(!status.success(), "accepted: {words}");
    assert!(!words.contains("panicked"), "{words}");
    words.to_lowercase()
}

#[test]
fn services_wait_for_an_absent_nats_server_and_say_so() {
    let mut rig = Rig::new();
    rig.nats.stop().unwrap();
    let mut decoder = rig.unready_decoder("decoder", &[]);
    let edge = rig.edge("cam", POINT, &["--frames", "20"]);
    for service in [&decoder, &edge.service] {
        let says_nats = || service.get("/readyz").is_ok_and(|r| r.status == 503 && r.body.contains("nats"));
        wait_until("a 503 that names nats", READY, says_nats).unwrap();
        assert_eq!(service.get("/livez").unwrap().status, 200);
    }
    rig.nats.resume().unwrap();
    decoder.wait_ready(READY).unwrap();
    let accounts = edge.accounts();
    // The device may have been there before the decoder.
    assert_eq!(accounts.count("captured"), 20);
    assert_eq!(accounts.sum("dropped"), 0, "{:#}", accounts.report);
}

#[test]
fn a_too_small_payload_limit_is_found_at_the_start() {
    let small =
        NatsServerOptions { max_payload_bytes: Some(PLANE_BYTES / 2), ..NatsServerOptions::default() };
    let rig = Rig::with(small);
    let mut edge = rig.edge("cam", POINT, &["--frames", "5"]);
    let words = refusal(&mut edge.service);
    assert!(words.contains("payload"), "{words}");
    let mut decoder = rig.unready_decoder("decoder", &["--max-detections", "1000"]);
    let words = refusal(&mut decoder);
    assert!(words.contains("message") || words.contains("payload"), "{words}");
}

#[test]
fn a_model_with_a_wrong_digest_is_refused_by_both() {
    let rig = Rig::new();
    let weights = fs::read_dir(rig.path("model")).unwrap().map(|entry| entry.unwrap().path());
    let weights =
        weights.into_iter().find(|path| path.extension().is_some_and(|it| it == "safetensors")).unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let mut edge = rig.edge("cam", POINT, &["--frames", "5"]);
    assert!(refusal(&mut edge.service).contains("digest"));
    let mut decoder = rig.unready_decoder("decoder", &[]);
    assert!(refusal(&mut decoder).contains("digest"));
}

#[test]
fn an_operating_point_that_the_model_has_not_is_refused() {
    let rig = Rig::new();
    for point in ["layer=0,cr=1,bits=6k", "layer=1,cr=4,bits=6k", "layer=99,cr=1,bits=6k"] {
        let mut edge = rig.edge("cam", point, &["--frames", "5"]);
        let words = refusal(&mut edge.service);
        assert!(words.contains("layer"), "{point}: {words}");
    }
}

#[test]
fn missing_programs_and_libraries_are_named() {
    let rig = Rig::new();
    let mut edge = rig.edge("cam", POINT, &["--frames", "5", "--ffmpeg", "no-such-ffmpeg"]);
    assert!(refusal(&mut edge.service).contains("no-such-ffmpeg"));
    let mut decoder = rig.unready_decoder("decoder", &["--ffmpeg", "no-such-ffmpeg"]);
    assert!(refusal(&mut decoder).contains("no-such-ffmpeg"));
    let mut decoder = rig.unready_decoder("library", &["--ort-library", "no-such-library.so"]);
    assert!(refusal(&mut decoder).contains("no-such-library.so"));
}

#[test]
fn garbage_for_a_decoder_is_counted_and_harms_nobody() {
    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        nats: NatsOptions,
    }
    let rig = Rig::new();
    let decoder = rig.decoder("decoder", &[]);
    let model = Model::load(&rig.path("model")).unwrap();
    let device: DeviceId = "stranger".parse().unwrap();
    let subject = FrameSubject::new(&model.manifest.digest, device).to_string();
    let options = Args::parse_from(["test", "--nats", &rig.nats.url()]).nats.connect_options("stranger");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = connect(&options).await.unwrap();
        connection.wait_up().await;
        for garbage in [vec![], vec![0; 64], vec![0xff; 3], b"AT".repeat(50)] {
            connection.publish_now(subject.clone(), Bytes::from(garbage)).await.unwrap();
        }
        connection.flush().await;
        connection.close().await;
    });
    let bad =
        || decoder.metrics().unwrap().sum("autotiler_decoder_frames_total", &[("outcome", "bad_frame")]);
    wait_until("four bad frames", AT_LAST, || bad() == 4.0).unwrap();
    rig.edge("cam", POINT, &["--frames", "10"]).accounts().assert_all_received(10);
}

//! The guard leaves what does not carry, and knows it from a decoder that is slow.

use std::time::Duration;

use autotiler_core::{
    Epoch, OperatingPoint,
    order::{GuardTerms, Order},
    wire::{Answer, FrameHeader, ServerTimes},
};
use autotiler_tests::Signal;
use autotiler_transport::{ConnectOptions, FrameSubscriber, connect};

use crate::{
    model::{POINT, POINTS},
    orders::{Controller, with_store},
    rig::{AT_LAST, Rig},
};

/// What a cold decoder takes, and a server with a long queue.
const SLOW: Duration = Duration::from_millis(600);

/// Answers each frame [`SLOW`] after it came, until its connection ends.
async fn slow_decoder(options: ConnectOptions, network: autotiler_core::Digest) {
    let connection = connect(&options).await.unwrap();
    let mut frames = FrameSubscriber::subscribe(&connection, &network).await.unwrap();
    while let Some(frame) = frames.next().await {
        let (header, _) = FrameHeader::decode(&frame.payload).unwrap();
        let answer = Answer {
            device: header.device,
            stream: header.stream,
            sequence: header.sequence,
            epoch: header.epoch,
            captured_us: header.captured_us,
            times: ServerTimes::default(),
            batch: 1,
            outcome: Ok(Vec::new()),
        };
        let connection = connection.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SLOW).await;
            let _ = connection.publish_now(frame.reply.unwrap(), answer.encode().into()).await;
        });
    }
}

#[test]
fn a_decoder_that_answers_late_is_not_taken_for_a_dead_link() {
    let rig = Rig::new();
    let controller = Controller::new(&rig, "cam", false);
    let decoder = ConnectOptions::new(vec![rig.nats.url().parse().unwrap()], "slow");
    controller.runtime.spawn(slow_decoder(decoder, rig.network));
    let live = ["--fps", "20", "--live", "--safe-point", "device-only", "--guard-age", "500ms"];
    let mut edge = rig.edge("cam", POINT, &live);
    let late = |total: Option<u64>| total.is_some_and(|total| u128::from(total) >= SLOW.as_micros());
    let before =
        controller.hear("late answers", |word| word.guarded_for_ms.is_none() && late(word.total_us.p50));
    // Three seconds of them, for the window holds four.
    edge.wait_received(20.0, AT_LAST);
    let after = controller.hear("more of them", |word| word.received >= before.received + 20);
    assert_eq!((after.guard_moves, after.point.to_string().as_str()), (before.guard_moves, POINT));
    edge.service.process().signal(Signal::SIGTERM).unwrap();
    let accounts = edge.accounts();
    assert_eq!(accounts.sum("lost"), accounts.report["lost"]["no_decoder"].as_u64().unwrap_or(0));
}

#[test]
fn a_frozen_broker_is_left_within_the_guards_time_and_taken_again_when_it_is_back() {
    let rig = with_store();
    let _decoder = rig.decoder("decoder", &[]);
    let mut edge = rig.edge("cam", POINT, &["--fps", "20", "--live", "--follow-orders"]);
    let mut controller = Controller::new(&rig, "cam", true);
    let safe_point = OperatingPoint::device_only();
    let guard = Some(GuardTerms { queue_age_ms: 300, hold_ms: 300, safe_point });
    controller.put(&Order { guard, ..controller.order(POINTS[1]) });
    let before = controller.hear("calm at the point", |word| {
        let calm = word.total_us.p95.is_some_and(|total| total < 150_000) && word.server_us.decode.is_some();
        word.epoch == Epoch(1) && word.guarded_for_ms.is_none() && calm
    });

    rig.nats.freeze().unwrap();
    // Done on the device alone.
    edge.wait_received(20.0, AT_LAST);
    rig.nats.thaw().unwrap();
    let after = controller.hear("the return", |word| {
        word.guard_moves >= before.guard_moves + 2 && word.guarded_for_ms.is_none()
    });
    assert_eq!((after.epoch, after.switches), (Epoch(1), before.switches), "no order, no switch");
    assert_eq!(after.point.to_string(), POINTS[1]);
    edge.wait_received(10.0, AT_LAST);
    edge.service.process().signal(Signal::SIGTERM).unwrap();

    let accounts = edge.accounts();
    let mut lines: Vec<_> =
        accounts.lines.iter().filter(|line| line["sequence"].as_u64() >= Some(before.captured)).collect();
    lines.sort_by_key(|line| line["sequence"].as_u64());
    let left = lines.iter().find(|line| line["point"] == "device-only").expect("frames at the safe point");
    let stuck = |line: &&&serde_json::Value| {
        line["point"] == POINTS[1] && line["total_ms"].as_f64().is_none_or(|total| total > 300.0)
    };
    let stuck = lines.iter().find(stuck).expect("a frame that did not get through");
    let captured = |line: &serde_json::Value| line["captured_us"].as_u64().unwrap();
    let took_ms = (captured(left) - captured(stuck)) / 1000;
    // 100 ms until the guard asks, its own 300 ms, and two frames; one more for the device's own work on the stuck one.
    assert!(took_ms <= 100 + 300 + 3 * 50, "{took_ms} ms");
}

use std::{collections::BTreeMap, sync::Arc};

use autotiler_core::{BBox, Epoch, OperatingPoint, wire::Answer};
use autotiler_transport::{FrameQueue, QueuePolicy};
use bytes::Bytes;
use prometheus::Registry;

use super::*;
use crate::frame::Assignment;

fn ledger(results: Option<Results>) -> Arc<Ledger> {
    let stream = Stream::start("cam".parse().unwrap());
    let metrics = EdgeMetrics::register(&Registry::new()).unwrap();
    Arc::new(Ledger::new(stream, metrics, results, Duration::from_secs(1)))
}

fn record(sequence: u32) -> FrameRecord {
    let point = OperatingPoint::device_only();
    FrameRecord::new(Sequence(sequence), None, Assignment { epoch: Epoch(1), point })
}

fn outbound(sequence: u32) -> OutboundFrame {
    OutboundFrame {
        sequence: Sequence(sequence),
        captured: Instant::now(),
        subject: String::new(),
        reply: String::new(),
        payload: Bytes::new(),
    }
}

/// Captured, queued and handed to the broker.
fn sent(ledger: &Ledger, sequence: u32) {
    ledger.captured();
    ledger.queued(record(sequence));
    ledger.sending(&outbound(sequence), Slot::unbounded());
}

fn answer(ledger: &Ledger, sequence: u32, outcome: Result<Vec<Detection>, LossReason>) -> Reply {
    let answer = Answer {
        device: ledger.stream.device.hash64(),
        stream: ledger.stream.id,
        sequence: Sequence(sequence),
        epoch: Epoch(1),
        captured_us: 0,
        times: ServerTimes { queue_us: 1, decode_us: 2, tail_us: 3, boxes_us: 4 },
        batch: 1,
        outcome,
    };
    Reply::Answer(answer.encode().into())
}

#[test]
fn every_fate_is_counted_once() {
    let ledger = ledger(None);
    (0..6).for_each(|sequence| sent(&ledger, sequence));
    assert!(!ledger.is_settled());
    ledger.replied(Sequence(0), answer(&ledger, 0, Ok(Vec::new())));
    ledger.replied(Sequence(1), answer(&ledger, 1, Err(LossReason::Undecodable)));
    ledger.replied(Sequence(2), Reply::NoDecoder);
    ledger.failed(&outbound(3));
    ledger.expire(Instant::now() + Duration::from_secs(2));
    // Too late, and twice.
    ledger.replied(Sequence(4), answer(&ledger, 4, Ok(Vec::new())));
    ledger.replied(Sequence(0), answer(&ledger, 0, Ok(Vec::new())));
    ledger.captured();
    Ledger::dropped(&ledger, &record(6), DropReason::Unreadable);
    ledger.captured();
    ledger.done_on_device(&record(7), &[]);

    assert!(ledger.is_settled());
    let report = ledger.close();
    assert_eq!((report.captured, report.sent, report.received, report.late_answers), (8, 7, 2, 2));
    let lost = [("disconnected", 1), ("no_answer", 2), ("no_decoder", 1), ("undecodable", 1)];
    assert_eq!(report.lost, BTreeMap::from(lost));
    assert_eq!(report.dropped, BTreeMap::from([("unreadable", 1)]));
}

#[test]
fn an_answer_to_another_frame_is_never_taken() {
    let ledger = ledger(None);
    sent(&ledger, 0);
    ledger.replied(Sequence(0), answer(&ledger, 1, Ok(Vec::new())));
    ledger.replied(Sequence(0), Reply::Answer(Bytes::from_static(b"garbage")));
    assert!(!ledger.is_settled());
    ledger.write_off();
    assert_eq!(ledger.close().lost, BTreeMap::from([("no_answer", 1)]));
}

#[test]
fn what_the_queue_gives_up_is_dropped_by_its_reason() {
    let ledger = ledger(None);
    let queue = FrameQueue::new(1, QueuePolicy::Newest { max_age: Duration::MAX }, ledger.clone());
    for sequence in 0..2 {
        ledger.captured();
        ledger.queued(record(sequence));
        queue.offer(outbound(sequence));
    }
    queue.abandon();
    assert!(ledger.is_settled());
    assert_eq!(ledger.close().dropped, BTreeMap::from([("queue_full", 1), ("shutdown", 1)]));
}

#[tokio::test]
async fn settled_is_told_to_whoever_waits() {
    let ledger = ledger(None);
    sent(&ledger, 0);
    let waiting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.settled().await }
    });
    tokio::task::yield_now().await;
    ledger.replied(Sequence(0), Reply::NoDecoder);
    waiting.await.unwrap();
}

#[test]
fn each_frame_has_one_line_with_its_fate() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.jsonl");
    let lost = prometheus::IntCounter::new("lost", "lost").unwrap();
    let ledger = ledger(Some(Results::create(&path, lost).unwrap()));
    let bbox = BBox { x0: 0.0, y0: 0.25, x1: 0.5, y1: 0.75 };
    (0..2).for_each(|sequence| sent(&ledger, sequence));
    ledger.replied(Sequence(0), answer(&ledger, 0, Ok(vec![Detection { class: 3, score: 1.0, bbox }])));
    ledger.replied(Sequence(1), answer(&ledger, 1, Err(LossReason::EngineFailed)));
    ledger.close();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["outcome"], "received");
    assert_eq!(lines[0]["detections"][0]["class"], 3);
    assert_eq!(lines[0]["stages_ms"]["server_tail"], 0.003);
    assert!(lines[0]["total_ms"].as_f64().unwrap() > 0.0);
    assert_eq!((&lines[1]["outcome"], &lines[1]["reason"]), (&"lost".into(), &"engine_failed".into()));
}

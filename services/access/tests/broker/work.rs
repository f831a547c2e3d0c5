//! Each role does its whole work with its own credentials.

use std::{sync::Arc, time::Instant};

use autotiler_access::ServiceRole;
use autotiler_core::{Digest, Epoch, OperatingPoint, Sequence, StreamId, order::Order, telemetry::Telemetry};
use autotiler_transport::{
    AnswerSubject, AnswerSubscriber, Connection, DropReason, Echoes, FrameObserver, FramePublisher,
    FrameQueue, FrameSubject, FrameSubscriber, OrderBook, OrderWatch, OutboundFrame, ParameterServer,
    QueuePolicy, Reply, Slot, TelemetrySubscriber, publish_telemetry, request_parameters, testing::RawClient,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::site::{LONG, Site, device};

const NETWORK: Digest = Digest([7; 32]);
const STREAM: StreamId = StreamId(0);

/// What a device says of itself.
pub(crate) fn word(name: &str) -> Telemetry {
    Telemetry::at_start(device(name), "pi-5".to_owned(), NETWORK, OperatingPoint::device_only())
}

pub(crate) fn order(epoch: u32) -> Order {
    Order {
        epoch: Epoch(epoch),
        point: OperatingPoint::device_only(),
        min_bits: None,
        max_cut_permille: 0,
        network: NETWORK,
        tiler: None,
        guard: None,
        reason: "test".to_owned(),
        writer: "test".to_owned(),
        decided_at_ms: 1,
    }
}

/// Nobody keeps accounts here.
struct Careless;

impl FrameObserver for Careless {
    fn sending(&self, _: &OutboundFrame, _: Slot) {}
    fn written(&self, _: &OutboundFrame) {}
    fn failed(&self, frame: &OutboundFrame) {
        panic!("{frame:?} failed");
    }
    fn dropped(&self, frame: &OutboundFrame, reason: DropReason) {
        panic!("{frame:?} dropped: {reason}");
    }
}

async fn soon<F: Future>(what: F) -> F::Output {
    timeout(LONG, what).await.expect("in time")
}

#[tokio::test]
async fn frames_answers_and_parameter_sets_go_their_way() {
    let site = Site::start();
    let (cam, decoder) =
        (site.connect(&site.device("cam")).await, site.connect(&site.service(ServiceRole::Decoder)).await);
    let mut frames = FrameSubscriber::subscribe(&decoder, &NETWORK).await.unwrap();
    let mut answers = AnswerSubscriber::subscribe(&cam, &device("cam"), STREAM).await.unwrap();
    let sets = ParameterServer::subscribe(&cam, &device("cam")).await.unwrap();
    tokio::spawn(sets.serve(|digest| (digest == 5).then(|| Bytes::from_static(b"sets"))));

    let queue = FrameQueue::new(4, QueuePolicy::Wait, Arc::new(Careless));
    tokio::spawn(FramePublisher::new(cam.clone(), queue.clone(), 4).run());
    queue.offer(OutboundFrame {
        sequence: Sequence(1),
        captured: Instant::now(),
        subject: FrameSubject::new(&NETWORK, device("cam")).to_string(),
        reply: AnswerSubject { device: device("cam"), stream: STREAM, sequence: Sequence(1) }.to_string(),
        payload: Bytes::from_static(b"frame"),
    });
    let frame = soon(frames.next()).await.unwrap();
    assert_eq!((frame.device.as_str(), &frame.payload[..]), ("cam", &b"frame"[..]));
    let asked = request_parameters(&decoder, &frame.device, 5, LONG).await.unwrap();
    assert_eq!(&asked[..], b"sets");
    decoder.publish_now(frame.reply.unwrap(), "boxes".into()).await.unwrap();
    let answer = (Sequence(1), Reply::Answer(Bytes::from_static(b"boxes")));
    assert_eq!(soon(answers.next()).await.unwrap(), answer);

    // A device that wants its answer at another's place gets none at all.
    let mut raw = RawClient::connect(site.server.port(), site.device("cam").reveal()).unwrap();
    let subject = FrameSubject::new(&NETWORK, device("cam"));
    for reply in ["autotiler.v1.detections.other.0.1", "autotiler.v1.telemetry.other"] {
        raw.say(&format!("PUB {subject} {reply} 1\r\nx\r\n")).unwrap();
        assert_eq!(soon(frames.next()).await.unwrap().reply, None);
    }
    nothing_was_refused(&[&cam, &decoder]);
}

#[tokio::test]
async fn telemetry_is_heard_across_accounts_and_echoes_come_back() {
    let site = Site::start();
    let cam = site.connect(&site.device("cam")).await;
    let roles = [ServiceRole::Gateway, ServiceRole::Controller, ServiceRole::Monitor];
    let mut listeners = Vec::new();
    for role in roles {
        let connection = site.connect(&site.service(role)).await;
        let heard = TelemetrySubscriber::subscribe(&connection).await.unwrap();
        listeners.push((connection, heard));
    }
    publish_telemetry(&cam, &word("cam")).await.unwrap();
    for (connection, heard) in &mut listeners {
        assert_eq!(soon(heard.next()).await.unwrap().unwrap(), word("cam"));
        nothing_was_refused(&[&*connection]);
    }
    let (sender, mut echoes) = Echoes::subscribe(&cam, &device("cam"), STREAM).await.unwrap();
    sender.send("there and back".into()).await.unwrap();
    assert_eq!(&soon(echoes.next()).await.unwrap()[..], b"there and back");
    nothing_was_refused(&[&cam]);
}

#[tokio::test]
async fn a_device_follows_its_orders_and_the_controller_keeps_them() {
    let site = Site::start();
    let (cam, other) = (site.connect(&site.device("cam")).await, site.connect(&site.device("other")).await);
    // It may come before the store.
    let mut watch = OrderWatch::new(&cam, &device("cam"));
    let early = tokio::spawn(async move {
        let posted = watch.next().await;
        (posted, watch)
    });
    let controller = site.connect(&site.service(ServiceRole::Controller)).await;
    let book = OrderBook::open(&controller).await.unwrap();
    let first = book.put(&device("cam"), &order(1), 0).await.unwrap();
    let (posted, mut watch) = soon(early).await.unwrap();
    assert_eq!(posted.order.unwrap().unwrap().epoch, Epoch(1));

    let second = book.put(&device("cam"), &order(2), first).await.unwrap();
    let posted = soon(watch.next()).await;
    assert_eq!((posted.revision, posted.order.unwrap().unwrap().epoch), (second, Epoch(2)));
    // One that comes later finds the kept one, and only its own.
    book.put(&device("other"), &order(9), 0).await.unwrap();
    let kept = soon(OrderWatch::new(&cam, &device("cam")).next()).await;
    assert_eq!(kept.order.unwrap().unwrap().epoch, Epoch(2));
    let kept = soon(OrderWatch::new(&other, &device("other")).next()).await;
    assert_eq!(kept.order.unwrap().unwrap().epoch, Epoch(9));
    nothing_was_refused(&[&cam, &other, &controller]);
}

fn nothing_was_refused(connections: &[&Connection]) {
    for connection in connections {
        assert_eq!(connection.refusals(), 0);
    }
}

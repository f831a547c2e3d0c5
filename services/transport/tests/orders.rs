//! Orders through a real nats-server with JetStream, and telemetry.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

use std::time::Duration;

use autotiler_core::{DeviceId, Digest, Epoch, OperatingPoint, order::Order, telemetry::Telemetry};
use autotiler_transport::{
    ConnectOptions, Connection, OrderBook, OrderWatch, TelemetrySubscriber, connect,
    orders::{BUCKET, OpenError, PutError},
    publish_telemetry,
    subject::pattern::kept_order,
    testing::NatsServer,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(20);

fn jetstream() -> (NatsServer, tempfile::TempDir) {
    let store = tempfile::tempdir().unwrap();
    let config = format!("jetstream {{ store_dir: {:?} }}", store.path());
    let mut server = NatsServer::stopped(&config).unwrap();
    server.resume().unwrap();
    (server, store)
}

async fn connected(server: &NatsServer) -> Connection {
    let options = ConnectOptions::new(vec![server.url()], "test");
    timeout(LONG, connect(&options)).await.expect("in time").unwrap()
}

async fn bystander(server: &NatsServer) -> async_nats::Client {
    timeout(LONG, async_nats::connect(server.url().to_string())).await.expect("in time").unwrap()
}

fn device() -> DeviceId {
    "cam-0".parse().unwrap()
}

fn order(epoch: u32) -> Order {
    Order {
        epoch: Epoch(epoch),
        point: OperatingPoint::device_only(),
        min_bits: None,
        max_cut_permille: 0,
        network: Digest([1; 32]),
        tiler: None,
        guard: None,
        reason: "test".to_owned(),
        writer: "test".to_owned(),
        decided_at_ms: 1,
    }
}

async fn next_epoch(watch: &mut OrderWatch) -> u32 {
    let posted = timeout(LONG, watch.next()).await.expect("in time");
    posted.order.unwrap().unwrap().epoch.0
}

#[tokio::test]
async fn whoever_missed_an_order_cannot_replace_it() {
    let (server, _store) = jetstream();
    let (one, other) = (connected(&server).await, connected(&server).await);
    // Both come first, as far as they know.
    let (one, other) = tokio::join!(OrderBook::open(&one), OrderBook::open(&other));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.get(&device()).await.unwrap().revision, 0);

    let first = one.put(&device(), &order(1), 0).await.unwrap();
    let refused = other.put(&device(), &order(2), 0).await.unwrap_err();
    assert!(matches!(refused, PutError::Conflict { expected: 0, .. }), "{refused}");
    let second = other.put(&device(), &order(2), first).await.unwrap();
    assert!(second > first);
    assert!(matches!(one.put(&device(), &order(3), first).await, Err(PutError::Conflict { .. })));

    let posted = one.get(&device()).await.unwrap();
    assert_eq!((posted.revision, posted.order.unwrap().unwrap().epoch), (second, Epoch(2)));
}

#[tokio::test]
async fn a_watch_gives_what_is_there_what_comes_and_what_came_while_the_broker_was_away() {
    let (mut server, _store) = jetstream();
    let connection = connected(&server).await;
    let book = OrderBook::open(&connection).await.unwrap();
    let first = book.put(&device(), &order(1), 0).await.unwrap();
    let mut watch = OrderWatch::new(&connection, &device());
    assert_eq!(next_epoch(&mut watch).await, 1);
    let second = book.put(&device(), &order(2), first).await.unwrap();
    assert_eq!(next_epoch(&mut watch).await, 2);

    server.kill();
    timeout(LONG, connection.wait_down()).await.unwrap();
    server.resume().unwrap();
    let later = connected(&server).await;
    let book = timeout(LONG, async {
        loop {
            match OrderBook::open(&later).await {
                Ok(book) => break book,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    book.await.unwrap().put(&device(), &order(3), second).await.unwrap();
    // The newest of before may come again.
    while next_epoch(&mut watch).await != 3 {}
}

#[tokio::test]
async fn a_new_order_comes_without_being_asked_for_and_one_of_another_device_is_not_taken() {
    let (server, _store) = jetstream();
    let connection = connected(&server).await;
    let book = OrderBook::open(&connection).await.unwrap();
    let first = book.put(&device(), &order(1), 0).await.unwrap();
    let mut watch = OrderWatch::new(&connection, &device());
    assert_eq!(next_epoch(&mut watch).await, 1);
    let bystander = bystander(&server).await;
    let mut asked = bystander.subscribe(kept_order(&device())).await.unwrap();
    bystander.flush().await.unwrap();
    let second = book.put(&device(), &order(2), first).await.unwrap();
    assert_eq!(next_epoch(&mut watch).await, 2);
    bystander.publish(kept_order(&device()), "mine".into()).await.unwrap();
    assert_eq!(asked.next().await.unwrap().payload, "mine", "it was asked for before");

    // The other has the store's answer about its own key sent to this one.
    let other: DeviceId = "cam-1".parse().unwrap();
    book.put(&other, &order(9), 0).await.unwrap();
    let aimed_at = autotiler_transport::subject::order(&device());
    bystander.publish_with_reply(kept_order(&other), aimed_at, Bytes::new()).await.unwrap();
    tokio::select! {
        posted = watch.next() => panic!("{posted:?}"),
        hinted = asked.next() => assert!(hinted.is_some()),
        () = sleep(LONG) => panic!("the answer was not even a hint"),
    }
    book.put(&device(), &order(3), second).await.unwrap();
    assert_eq!(next_epoch(&mut watch).await, 3);
}

#[tokio::test]
async fn orders_come_from_a_bucket_that_says_only_headers() {
    let (server, _store) = jetstream();
    let connection = connected(&server).await;
    OrderBook::open(&connection).await.unwrap();
    let context = async_nats::jetstream::new(bystander(&server).await);
    let name = format!("KV_{BUCKET}");
    let mut config = context.get_stream(&name).await.unwrap().cached_info().config.clone();
    config.republish.as_mut().unwrap().headers_only = true;
    context.delete_stream(&name).await.unwrap();
    context.create_stream(config).await.unwrap();
    let book = OrderBook::open(&connection).await.unwrap();
    let first = book.put(&device(), &order(1), 0).await.unwrap();
    let mut watch = OrderWatch::new(&connection, &device());
    assert_eq!(next_epoch(&mut watch).await, 1);
    book.put(&device(), &order(2), first).await.unwrap();
    assert_eq!(next_epoch(&mut watch).await, 2);
}

#[tokio::test]
async fn a_broker_without_jetstream_says_so() {
    let server = NatsServer::start().unwrap();
    let error = OrderBook::open(&connected(&server).await).await.unwrap_err();
    assert!(matches!(error, OpenError::NoJetStream(_)), "{error:?}");
}

#[tokio::test]
async fn telemetry_of_all_devices_is_heard_and_impostors_are_named() {
    let server = NatsServer::start().unwrap();
    let (speaker, listener) = (connected(&server).await, connected(&server).await);
    let mut heard = TelemetrySubscriber::subscribe(&listener).await.unwrap();
    let point = OperatingPoint::device_only();
    let telemetry = Telemetry::at_start(device(), "pi-5".to_owned(), Digest([1; 32]), point);
    publish_telemetry(&speaker, &telemetry).await.unwrap();
    assert_eq!(timeout(LONG, heard.next()).await.unwrap().unwrap().unwrap(), telemetry);
    let subject = autotiler_transport::subject::telemetry(&"cam-1".parse().unwrap());
    speaker.publish_now(subject.clone(), telemetry.to_json().into()).await.unwrap();
    assert_eq!(timeout(LONG, heard.next()).await.unwrap().unwrap().unwrap_err().label(), "other_device");
    speaker.publish_now(subject, "{".into()).await.unwrap();
    assert_eq!(timeout(LONG, heard.next()).await.unwrap().unwrap().unwrap_err().label(), "bad_json");
}

//! The ways of a frame and its answer through a real nats-server, and what happens when that goes away.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use autotiler_core::{DeviceId, Digest, Sequence, StreamId};
use autotiler_transport::{
    AnswerSubject, AnswerSubscriber, Auth, ConnectError, ConnectOptions, Connection, DropReason,
    FrameObserver, FramePublisher, FrameQueue, FrameSubject, FrameSubscriber, OutboundFrame, ParameterError,
    QueuePolicy, Reply, Slot, connect, request_parameters, serve_parameters, testing::NatsServer,
};
use bytes::Bytes;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{interval, timeout},
};

const NETWORK: Digest = Digest([7; 32]);
const STREAM: StreamId = StreamId(3);
const LONG: Duration = Duration::from_secs(20);

fn device() -> DeviceId {
    "cam-0".parse().unwrap()
}

fn options(server: &NatsServer, name: &str) -> ConnectOptions {
    ConnectOptions::new(vec![server.url()], name)
}

async fn connected(server: &NatsServer, name: &str) -> Connection {
    timeout(LONG, connect(&options(server, name))).await.expect("in time").unwrap()
}

/// What became of each frame, as a device would keep it.
#[derive(Default)]
struct Ledger {
    state: Mutex<Accounts>,
    resolved: watch::Sender<usize>,
}

#[derive(Default)]
struct Accounts {
    pending: BTreeMap<u32, (Slot, Instant)>,
    answered: BTreeSet<u32>,
    no_decoder: BTreeSet<u32>,
    no_answer: BTreeSet<u32>,
    dropped: BTreeMap<u32, DropReason>,
}

impl Accounts {
    fn resolved(&self) -> usize {
        self.answered.len() + self.no_decoder.len() + self.no_answer.len() + self.dropped.len()
    }
}

impl Ledger {
    fn with<T>(&self, change: impl FnOnce(&mut Accounts) -> T) -> T {
        let mut accounts = self.state.lock().unwrap();
        let result = change(&mut accounts);
        self.resolved.send_replace(accounts.resolved());
        result
    }

    fn reply(&self, sequence: u32, reply: &Reply) {
        self.with(|accounts| {
            if accounts.pending.remove(&sequence).is_some() {
                match reply {
                    Reply::Answer(_) => accounts.answered.insert(sequence),
                    Reply::NoDecoder => accounts.no_decoder.insert(sequence),
                };
            }
        });
    }

    fn give_up_older_than(&self, age: Duration) {
        self.with(|accounts| {
            let old: Vec<_> = accounts
                .pending
                .iter()
                .filter(|(_, (_, sent))| sent.elapsed() > age)
                .map(|(n, _)| *n)
                .collect();
            for sequence in old {
                accounts.pending.remove(&sequence);
                accounts.no_answer.insert(sequence);
            }
        });
    }

    async fn wait_resolved(&self, frames: usize) {
        let mut resolved = self.resolved.subscribe();
        timeout(LONG, resolved.wait_for(|count| *count >= frames))
            .await
            .expect("all resolved in time")
            .unwrap();
    }
}

impl FrameObserver for Ledger {
    fn sending(&self, frame: &OutboundFrame, slot: Slot) {
        self.with(|accounts| accounts.pending.insert(frame.sequence.0, (slot, Instant::now())));
    }
    fn written(&self, _: &OutboundFrame) {}
    fn failed(&self, frame: &OutboundFrame) {
        self.with(|accounts| {
            accounts.pending.remove(&frame.sequence.0);
            accounts.no_answer.insert(frame.sequence.0)
        });
    }
    fn dropped(&self, frame: &OutboundFrame, reason: DropReason) {
        self.with(|accounts| accounts.dropped.insert(frame.sequence.0, reason));
    }
}

/// A device: queue, publisher, answers and ledger over one connection.
struct Device {
    connection: Connection,
    queue: FrameQueue,
    ledger: Arc<Ledger>,
    publisher: JoinHandle<()>,
    start: Instant,
}

impl Device {
    async fn start(server: &NatsServer, policy: QueuePolicy, capacity: usize, window: usize) -> Self {
        let connection = connected(server, "device").await;
        let ledger = Arc::new(Ledger::default());
        let queue = FrameQueue::new(capacity, policy, ledger.clone());
        let mut answers = AnswerSubscriber::subscribe(&connection, &device(), STREAM).await.unwrap();
        tokio::spawn({
            let ledger = ledger.clone();
            async move {
                while let Some((sequence, reply)) = answers.next().await {
                    ledger.reply(sequence.0, &reply);
                }
            }
        });
        let publisher = FramePublisher::new(connection.clone(), queue.clone(), window);
        let publisher = tokio::spawn(publisher.run());
        Self { connection, queue, ledger, publisher, start: Instant::now() }
    }

    /// Captures a frame whose payload says when, in milliseconds since the start.
    fn frame(&self, sequence: u32, bytes: usize) -> OutboundFrame {
        let captured = Instant::now();
        let mut payload = (captured.duration_since(self.start).as_millis() as u64).to_be_bytes().to_vec();
        payload.resize(bytes.max(8), 0);
        OutboundFrame {
            sequence: Sequence(sequence),
            captured,
            subject: FrameSubject::new(&NETWORK, device()).to_string(),
            reply: AnswerSubject { device: device(), stream: STREAM, sequence: Sequence(sequence) }
                .to_string(),
            payload: payload.into(),
        }
    }
}

/// A decoder that answers each frame with its own payload until it is told to drain.
async fn decoder(server: &NatsServer, start: Instant) -> Decoder {
    let connection = connected(server, "decoder").await;
    let mut frames = FrameSubscriber::subscribe(&connection, &NETWORK).await.unwrap();
    connection.flush().await;
    let (drain, mut told) = watch::channel(false);
    let work = tokio::spawn(async move {
        let mut ages = Vec::new();
        let mut draining = false;
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                _ = told.changed(), if !draining => {
                    draining = true;
                    frames.drain().await;
                    continue;
                }
            };
            let Some(frame) = frame else { break };
            let captured_ms = u64::from_be_bytes(frame.payload[..8].try_into().unwrap());
            ages.push(start.elapsed().saturating_sub(Duration::from_millis(captured_ms)));
            // An answer that cannot leave is the device's to count.
            let _ = connection.publish_now(frame.reply.unwrap(), frame.payload).await;
        }
        connection.close().await;
        ages
    });
    Decoder { drain, work }
}

struct Decoder {
    drain: watch::Sender<bool>,
    /// Yields the age at arrival of each frame.
    work: JoinHandle<Vec<Duration>>,
}

impl Decoder {
    async fn drained(self) -> Vec<Duration> {
        self.drain.send_replace(true);
        timeout(LONG, self.work).await.expect("drained in time").unwrap()
    }
}

const LIVE: QueuePolicy = QueuePolicy::Newest { max_age: Duration::from_millis(200) };

#[tokio::test]
async fn decoders_share_the_frames_and_each_is_answered_once() {
    let server = NatsServer::start().unwrap();
    let device = Device::start(&server, QueuePolicy::Wait, 2, 8).await;
    let decoders = [decoder(&server, device.start).await, decoder(&server, device.start).await];
    let queue = device.queue.clone();
    let frames: Vec<_> = (0..200).map(|sequence| device.frame(sequence, 500)).collect();
    tokio::task::spawn_blocking(move || frames.into_iter().for_each(|frame| queue.offer(frame)))
        .await
        .unwrap();
    device.ledger.wait_resolved(200).await;
    device.ledger.with(|accounts| assert_eq!(accounts.answered.len(), 200));
    let mut taken = Vec::new();
    for decoder in decoders {
        taken.push(decoder.drained().await.len());
    }
    assert_eq!(taken.iter().sum::<usize>(), 200, "{taken:?}");
    assert!(taken.iter().all(|share| *share > 0), "{taken:?}");
}

#[tokio::test]
async fn without_a_decoder_the_broker_says_so_at_once() {
    let server = NatsServer::start().unwrap();
    let device = Device::start(&server, QueuePolicy::Wait, 4, 4).await;
    (0..3).for_each(|sequence| device.queue.offer(device.frame(sequence, 100)));
    device.ledger.wait_resolved(3).await;
    device.ledger.with(|accounts| assert_eq!(accounts.no_decoder.len(), 3));
}

#[tokio::test]
async fn a_crash_of_the_broker_makes_no_burst_of_stale_frames_and_the_accounts_close() {
    let mut server = NatsServer::start().unwrap();
    let device = Device::start(&server, LIVE, 2, 4).await;
    let decoder = decoder(&server, device.start).await;
    let mut sequence = 0;
    let mut ticks = interval(Duration::from_millis(10));
    // 50 frames with the broker, 50 without, then until 50 more are answered.
    let mut answered_after = None;
    loop {
        ticks.tick().await;
        device.ledger.give_up_older_than(Duration::from_millis(500));
        match sequence {
            50 => server.kill(),
            100 => server.resume().unwrap(),
            _ => {}
        }
        device.queue.offer(device.frame(sequence, 1000));
        sequence += 1;
        let answered = device.ledger.with(|accounts| accounts.answered.len());
        if sequence > 100 && answered >= *answered_after.get_or_insert(answered) + 50 {
            break;
        }
        assert!(device.start.elapsed() < LONG, "the stream goes on");
    }
    device.queue.close();
    timeout(LONG, device.publisher).await.expect("publisher drains").unwrap();
    let offered = sequence as usize;
    while device.ledger.with(|accounts| accounts.resolved()) < offered {
        ticks.tick().await;
        device.ledger.give_up_older_than(Duration::from_millis(500));
    }
    device.ledger.with(|accounts| {
        assert_eq!(accounts.resolved(), offered);
        assert!(accounts.pending.is_empty());
        assert!(accounts.no_answer.len() <= 4, "the window bounds the loss: {:?}", accounts.no_answer);
        assert!(accounts.dropped.len() >= 40, "what was captured without a broker was dropped");
    });
    let ages = decoder.drained().await;
    // 200 ms is the age limit in the queue; the rest is the way and a busy machine. What the client held when the broker
    // died may come late, but that is a window at most: a burst would be all that was captured meanwhile.
    let stale: Vec<_> = ages.iter().filter(|age| **age > Duration::from_millis(700)).collect();
    assert!(stale.len() <= 4, "stale frames at a decoder: {stale:?}");
}

#[tokio::test]
async fn a_file_source_waits_for_the_broker_and_drops_nothing() {
    let mut server = NatsServer::start().unwrap();
    let device = Device::start(&server, QueuePolicy::Wait, 2, 2).await;
    let decoder = decoder(&server, device.start).await;
    let frames: Vec<_> = (0..60).map(|sequence| device.frame(sequence, 1000)).collect();
    let queue = device.queue.clone();
    let source = tokio::task::spawn_blocking(move || frames.into_iter().for_each(|frame| queue.offer(frame)));
    device.ledger.wait_resolved(10).await;
    server.kill();
    device.connection.wait_down().await;
    server.resume().unwrap();
    let mut ticks = interval(Duration::from_millis(20));
    while device.ledger.with(|accounts| accounts.resolved()) < 60 {
        ticks.tick().await;
        device.ledger.give_up_older_than(Duration::from_secs(1));
        assert!(device.start.elapsed() < LONG, "the stream goes on");
    }
    source.await.unwrap();
    device.ledger.with(|accounts| {
        assert!(accounts.dropped.is_empty());
        // Frames on the way when the broker died, and those sent before the decoder was back.
        assert!(accounts.no_answer.len() <= 4, "{:?}", accounts.no_answer);
        assert_eq!(accounts.answered.len() + accounts.no_answer.len() + accounts.no_decoder.len(), 60);
    });
    decoder.drained().await;
}

#[tokio::test]
async fn a_too_small_payload_limit_is_refused_with_its_numbers() {
    let mut server = NatsServer::stopped("max_payload: 1024").unwrap();
    server.resume().unwrap();
    let device = Device::start(&server, QueuePolicy::Wait, 4, 4).await;
    let error = device.connection.check_payload(4096).unwrap_err();
    assert_eq!((error.limit, error.needed), (1024, 4096));
    device.queue.offer(device.frame(0, 4096));
    device.ledger.wait_resolved(1).await;
    device.ledger.with(|accounts| assert_eq!(accounts.dropped.get(&0), Some(&DropReason::PayloadLimit)));

    server.kill();
    device.connection.wait_down().await;
    server.configure("max_payload: 1MB").unwrap();
    server.resume().unwrap();
    timeout(LONG, device.connection.wait_up()).await.expect("reconnects");
    assert_eq!(device.connection.check_payload(4096), Ok(()));
}

#[tokio::test]
async fn a_draining_decoder_finishes_what_it_was_given() {
    let server = NatsServer::start().unwrap();
    let device = Device::start(&server, QueuePolicy::Wait, 2, 8).await;
    let stays = decoder(&server, device.start).await;
    let goes = decoder(&server, device.start).await;
    const FRAMES: u32 = 20_000;
    let frames: Vec<_> = (0..FRAMES).map(|sequence| device.frame(sequence, 1000)).collect();
    let queue = device.queue.clone();
    let source = tokio::task::spawn_blocking(move || {
        frames.into_iter().for_each(|frame| queue.offer(frame));
        queue.close();
    });
    device.ledger.wait_resolved(100).await;
    let mut finished = goes.drained().await.len();
    for _ in 0..5 {
        let goes = decoder(&server, device.start).await;
        finished += goes.drained().await.len();
    }
    source.await.unwrap();
    device.ledger.wait_resolved(FRAMES as usize).await;
    device.ledger.with(|accounts| assert_eq!(accounts.answered.len(), FRAMES as usize));
    timeout(LONG, device.publisher).await.expect("publisher ends with its queue").unwrap();
    assert_eq!(finished + stays.drained().await.len(), FRAMES as usize);
}

#[tokio::test]
async fn an_absent_broker_is_waited_for() {
    let mut server = NatsServer::stopped("").unwrap();
    let options = options(&server, "early");
    let connecting = tokio::spawn(async move { connect(&options).await });
    // The first tries have failed when the port has been refused to us as well.
    assert!(tokio::net::TcpStream::connect(server.url().to_string()).await.is_err());
    assert!(!connecting.is_finished());
    server.resume().unwrap();
    let connection = timeout(LONG, connecting).await.expect("connects in time").unwrap().unwrap();
    assert!(connection.is_up());
}

#[tokio::test]
async fn wrong_credentials_end_the_wait() {
    let mut server = NatsServer::stopped("authorization { token: right }").unwrap();
    server.resume().unwrap();
    let with = |token: &str| ConnectOptions {
        auth: Auth::Token(token.to_owned().into()),
        ..options(&server, "edge")
    };
    let refused = timeout(LONG, connect(&with("wrong"))).await.expect("in time").unwrap_err();
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
    timeout(LONG, connect(&with("right"))).await.expect("in time").unwrap();
    let missing =
        ConnectOptions { auth: Auth::CredentialsFile("absent.creds".into()), ..options(&server, "edge") };
    assert!(matches!(connect(&missing).await.unwrap_err(), ConnectError::Credentials { .. }));
}

#[tokio::test]
async fn parameter_sets_are_found_by_digest() {
    let server = NatsServer::start().unwrap();
    let (edge, asker) = (connected(&server, "device").await, connected(&server, "decoder").await);
    let ask = |digest| {
        let asker = asker.clone();
        async move { request_parameters(&asker, &device(), digest, Duration::from_secs(5)).await }
    };
    assert!(matches!(ask(1).await, Err(ParameterError::NoDevice { .. })));
    tokio::spawn(async move {
        let sets = Bytes::from_static(b"VPS SPS PPS");
        serve_parameters(&edge, &device(), |digest| (digest == 0xfeed_0001).then(|| sets.clone())).await
    });
    // Until the subscription has reached the server, nobody answers.
    let sets = timeout(LONG, async {
        loop {
            match ask(0xfeed_0001).await {
                Err(ParameterError::NoDevice { .. }) => tokio::task::yield_now().await,
                other => return other,
            }
        }
    });
    assert_eq!(sets.await.expect("in time").unwrap(), "VPS SPS PPS");
    assert!(matches!(ask(2).await, Err(ParameterError::Unknown { digest: 2, .. })));
}

#[tokio::test]
async fn a_full_subscription_loses_by_count() {
    let server = NatsServer::start().unwrap();
    let slow = ConnectOptions { subscription_capacity: 4, ..options(&server, "slow") };
    let slow = connect(&slow).await.unwrap();
    let mut frames = FrameSubscriber::subscribe(&slow, &NETWORK).await.unwrap();
    slow.flush().await;
    let sender = connected(&server, "device").await;
    let subject = FrameSubject::new(&NETWORK, device()).to_string();
    for _ in 0..20 {
        sender.publish_now(subject.clone(), Bytes::from_static(b"frame")).await.unwrap();
    }
    sender.flush().await;
    timeout(LONG, async {
        while slow.slow_consumer_losses() < 16 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("losses are counted");
    for _ in 0..4 {
        assert!(frames.next().await.is_some());
    }
    assert_eq!(slow.slow_consumer_losses(), 16);
    server_is_gone_drops(server, &sender).await;
}

async fn server_is_gone_drops(mut server: NatsServer, sender: &Connection) {
    server.kill();
    sender.wait_down().await;
    let late = sender.publish_now("autotiler.v1.telemetry.cam-0".into(), Bytes::new()).await;
    assert_eq!(late, Err(DropReason::Disconnected));
}

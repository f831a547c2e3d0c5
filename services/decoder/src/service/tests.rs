//! The whole service between a real nats-server and devices that send real frames.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc as std_mpsc},
    time::Instant,
};

use autotiler_core::{
    Gain, Sequence,
    wire::{Answer, FrameHeader, LossReason, Payload},
};
use autotiler_transport::{
    AnswerSubject, AnswerSubscriber, ConnectOptions, DropReason, FrameObserver, FramePublisher, FrameQueue,
    FrameSubject, OutboundFrame, QueuePolicy, Reply, Slot, serve_parameters, testing::NatsServer,
};
use bytes::Bytes;
use futures::FutureExt;
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::{
    catalogue::Point,
    fixture::{Camera, Fixture, Shot, assert_same, noise},
};

const LONG: Duration = Duration::from_secs(30);
/// Answers round scores to 1/65535 and corners to 2/65535; batches add 1e-5 at most.
const TOLERANCE: f32 = 1e-4;

/// Lets every frame go at once.
struct Unbounded;

impl FrameObserver for Unbounded {
    fn sending(&self, _: &OutboundFrame, _: Slot) {}
    fn written(&self, _: &OutboundFrame) {}
    fn failed(&self, frame: &OutboundFrame) {
        panic!("frame {} failed", frame.sequence.0);
    }
    fn dropped(&self, frame: &OutboundFrame, reason: DropReason) {
        panic!("frame {} dropped: {reason}", frame.sequence.0);
    }
}

/// A device on the broker.
struct Device {
    camera: Camera,
    network: Digest,
    connection: Connection,
    queue: FrameQueue,
    answers: AnswerSubscriber,
}

impl Device {
    async fn start(server: &NatsServer, fixture: &Fixture, name: &str, point: Point) -> Self {
        let connection = connected(server).await;
        let camera = Camera::new(fixture, name, point);
        let queue = FrameQueue::new(1000, QueuePolicy::Wait, Arc::new(Unbounded));
        tokio::spawn(FramePublisher::new(connection.clone(), queue.clone(), 1).run());
        let stream = autotiler_core::StreamId(9);
        let answers = AnswerSubscriber::subscribe(&connection, &camera.device, stream).await.unwrap();
        Self { camera, network: fixture.model.manifest.digest, connection, queue, answers }
    }

    /// Answers for its parameter sets when asked by the right digest.
    fn serve_parameters(&self) {
        let sets = self.camera.encoder.parameter_sets().clone();
        self.serve_parameters_by(move |digest| (digest == sets.digest().0).then(|| sets.annex_b().clone()));
    }

    fn serve_parameters_by(&self, find: impl Fn(u32) -> Option<Bytes> + Send + Sync + 'static) {
        let (connection, device) = (self.connection.clone(), self.camera.device.clone());
        let mut serving = Box::pin(async move { serve_parameters(&connection, &device, find).await });
        // As far as the subscription, which goes before the first frame over the same connection.
        assert!((&mut serving).now_or_never().is_none());
        tokio::spawn(serving);
    }

    fn send_bytes(&self, sequence: Sequence, message: Vec<u8>) {
        let device = self.camera.device.clone();
        let reply = AnswerSubject { device: device.clone(), stream: autotiler_core::StreamId(9), sequence };
        self.queue.offer(OutboundFrame {
            sequence,
            captured: Instant::now(),
            subject: FrameSubject::new(&self.network, device).to_string(),
            reply: reply.to_string(),
            payload: message.into(),
        });
    }

    fn send(&self, shot: &Shot) {
        self.send_bytes(shot.header.sequence, shot.message());
    }

    /// The next answer; `None` when the broker says that no decoder is there.
    async fn answer(&mut self) -> (Sequence, Option<Answer>) {
        let (sequence, reply) = timeout(LONG, self.answers.next()).await.expect("in time").unwrap();
        match reply {
            Reply::Answer(message) => (sequence, Some(Answer::decode(&message).unwrap())),
            Reply::NoDecoder => (sequence, None),
        }
    }

    async fn outcome(&mut self) -> Result<Vec<autotiler_core::Detection>, LossReason> {
        self.answer().await.1.expect("a decoder listens").outcome
    }

    /// Sends frames until a decoder is there; the first answer is swallowed.
    async fn wait_for_decoder(&mut self) {
        loop {
            self.send_bytes(Sequence(u32::MAX), b"is anybody there?".to_vec());
            if self.answer().await.1.is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn connected(server: &NatsServer) -> Connection {
    timeout(LONG, connect(&options(server))).await.expect("in time").unwrap()
}

fn options(server: &NatsServer) -> ConnectOptions {
    ConnectOptions::new(vec![server.url()], "test")
}

/// A running service.
struct Running {
    stop: CancellationToken,
    registry: Registry,
    task: JoinHandle<Result<(), ServiceError>>,
}

impl Running {
    fn start(config: Config) -> Self {
        let service = Service::prepare(config).unwrap();
        let (stop, registry) = (CancellationToken::new(), service.registry().clone());
        Self { task: tokio::spawn(service.run(stop.clone())), stop, registry }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(LONG, self.task).await.expect("in time").unwrap().unwrap();
    }

    /// `autotiler_decoder_frames_total` by outcome.
    fn frames(&self) -> BTreeMap<String, u64> {
        let families = self.registry.gather();
        let frames = families.iter().find(|f| f.name() == "autotiler_decoder_frames_total").unwrap();
        let counts = frames.get_metric().iter().map(|metric| {
            (metric.get_label()[0].value().to_owned(), metric.get_counter().get_value() as u64)
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_several_devices_and_points_come_back_right() {
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let running = Running::start(fixture.config(Some(options(&server))));
    let points = [("a", Point::Plane(0)), ("b", Point::Plane(1)), ("c", Point::Picture)];
    for (name, point) in points {
        let mut device = Device::start(&server, &fixture, name, point).await;
        device.serve_parameters();
        device.wait_for_decoder().await;
        let shots: Vec<Shot> = (0..6).map(|step| device.camera.shoot(Gain(step * 8))).collect();
        shots.iter().for_each(|shot| device.send(shot));
        for shot in &shots {
            let (sequence, answer) = device.answer().await;
            let answer = answer.unwrap();
            let header = shot.header;
            assert_eq!((sequence, answer.sequence), (header.sequence, header.sequence));
            assert_eq!((answer.epoch, answer.captured_us), (header.epoch, header.captured_us));
            assert_same(&answer.outcome.unwrap(), &shot.expected, TOLERANCE);
        }
    }
    assert_eq!(running.frames()["ok"], 18);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_reason_and_the_stream_goes_on() {
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let running = Running::start(fixture.config(Some(options(&server))));
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    device.serve_parameters();
    device.wait_for_decoder().await;

    let good = device.camera.shoot(Gain::UNITY);
    let with = |header: FrameHeader| header.encode(good.unit.bytes());
    let changed = |at: usize, to: u8| {
        let mut message = good.message();
        message[at] = to;
        message
    };
    let mut unit = good.unit.bytes().to_vec();
    unit[12] ^= 1;
    let Payload::Plane { layer, cr, tiler } = good.header.payload else { panic!("a plane") };
    let other_layer = Payload::Plane { layer: autotiler_core::LayerIndex(2), cr, tiler };
    let other_tiler = Payload::Plane { layer, cr, tiler: tiler ^ 1 };
    let header = good.header;
    let faults = [
        (changed(2, 9), LossReason::BadFrame),
        (changed(3, 63), LossReason::BadFrame),
        (good.message()[..20].to_vec(), LossReason::BadFrame),
        (good.message()[..90].to_vec(), LossReason::BadFrame),
        (changed(100, good.message()[100] ^ 1), LossReason::BadFrame),
        (with(FrameHeader { device: 7, ..header }), LossReason::BadFrame),
        (with(FrameHeader { network: 7, ..header }), LossReason::UnknownNetwork),
        (with(FrameHeader { payload: other_tiler, ..header }), LossReason::UnknownTiler),
        (with(FrameHeader { payload: other_layer, ..header }), LossReason::UnknownTiler),
        (with(FrameHeader { parameter_sets: 7, ..header }), LossReason::UnknownParameterSets),
        (with(FrameHeader { payload: Payload::Picture, ..header }), LossReason::Undecodable),
        (header.encode(&unit), LossReason::Undecodable),
        (header.encode(&[]), LossReason::Undecodable),
    ];
    let mut expected = BTreeMap::from([("ok".to_owned(), faults.len() as u64), ("bad_frame".to_owned(), 1)]);
    for (number, (message, reason)) in faults.into_iter().enumerate() {
        device.send_bytes(header.sequence, message);
        assert_eq!(device.outcome().await, Err(reason), "fault {number}");
        device.send(&good);
        assert_same(&device.outcome().await.unwrap(), &good.expected, TOLERANCE);
        *expected.entry(reason.label().to_owned()).or_default() += 1;
    }
    assert_eq!(running.frames(), expected);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_place_is_answered_at_once() {
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let mut config = fixture.config(Some(options(&server)));
    config.intake.queue = 2;
    let running = Running::start(config);
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    // Its word for its parameter sets is held back, so the first two frames keep their places.
    let (release, held) = std_mpsc::channel::<()>();
    let held = Mutex::new(held);
    let sets = device.camera.encoder.parameter_sets().annex_b().clone();
    device.serve_parameters_by(move |_| {
        let released = tokio::task::block_in_place(|| held.lock().unwrap().recv());
        released.ok().map(|()| sets.clone())
    });
    device.wait_for_decoder().await;

    let shots: Vec<Shot> = (0..5).map(|_| device.camera.shoot(Gain::UNITY)).collect();
    shots.iter().for_each(|shot| device.send(shot));
    for shot in &shots[2..] {
        let (sequence, answer) = device.answer().await;
        assert_eq!((sequence, answer.unwrap().outcome), (shot.header.sequence, Err(LossReason::Overloaded)));
    }
    release.send(()).unwrap();
    for shot in &shots[..2] {
        let (sequence, answer) = device.answer().await;
        assert_eq!(sequence, shot.header.sequence);
        assert_same(&answer.unwrap().outcome.unwrap(), &shot.expected, TOLERANCE);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_does_not_answer_loses_its_own_frames_only() {
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let running = Running::start(fixture.config(Some(options(&server))));
    let mut mute = Device::start(&server, &fixture, "mute", Point::Plane(0)).await;
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    device.serve_parameters();
    device.wait_for_decoder().await;
    let (lost, good) = (mute.camera.shoot(Gain::UNITY), device.camera.shoot(Gain::UNITY));
    mute.send(&lost);
    device.send(&good);
    assert_same(&device.outcome().await.unwrap(), &good.expected, TOLERANCE);
    assert_eq!(mute.outcome().await, Err(LossReason::UnknownParameterSets));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_all_that_was_taken_on() {
    const FRAMES: u32 = 60;
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let running = Running::start(fixture.config(Some(options(&server))));
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    device.serve_parameters();
    device.wait_for_decoder().await;
    let shots: Vec<Shot> = (0..FRAMES).map(|_| device.camera.shoot(Gain::UNITY)).collect();
    shots.iter().for_each(|shot| device.send(shot));
    let mut answered = BTreeMap::new();
    while answered.len() < shots.len() {
        if answered.len() == 1 {
            running.stop.cancel();
        }
        let (sequence, answer) = device.answer().await;
        let before = answered.insert(sequence, answer.map(|answer| answer.outcome.is_ok()));
        assert_eq!(before, None, "frame {} is answered twice", sequence.0);
    }
    assert!(answered.values().all(|outcome| *outcome != Some(false)));
    let taken = answered.values().flatten().count() as u64;
    assert_eq!(running.frames().get("ok"), Some(&taken));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_counted_and_harms_nobody() {
    const MESSAGES: u64 = 300;
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let running = Running::start(fixture.config(Some(options(&server))));
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    device.serve_parameters();
    device.wait_for_decoder().await;
    let good = device.camera.shoot(Gain::UNITY);
    for seed in 0..MESSAGES {
        let bytes = noise(seed, (seed * 7 % 500) as usize);
        // Bare, then as an access unit behind a right header.
        let message = if seed % 2 == 0 { bytes } else { good.header.encode(&bytes) };
        device.send_bytes(good.header.sequence, message);
        assert!(device.outcome().await.is_err());
    }
    device.send(&good);
    assert_same(&device.outcome().await.unwrap(), &good.expected, TOLERANCE);
    let lost = BTreeMap::from([
        ("bad_frame".to_owned(), MESSAGES / 2 + 1),
        ("ok".to_owned(), 1),
        ("undecodable".to_owned(), MESSAGES / 2),
    ]);
    assert_eq!(running.frames(), lost);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_broker_is_waited_for_and_named() {
    let (mut server, fixture) = (NatsServer::stopped("").unwrap(), Fixture::new());
    let readiness = Readiness::new();
    let service = Service::prepare(fixture.config(Some(options(&server)))).unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(service.serve(stop.clone(), readiness.require("nats")));
    assert_eq!(readiness.missing(), ["nats"]);
    server.resume().unwrap();
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(0)).await;
    device.wait_for_decoder().await;
    assert!(readiness.is_ready());
    stop.cancel();
    timeout(LONG, task).await.expect("in time").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decoders_of_one_model_share_its_frames() {
    const FRAMES: u32 = 40;
    let (server, fixture) = (NatsServer::start().unwrap(), Fixture::new());
    let start = || Running::start(fixture.config(Some(options(&server))));
    let (one, other) = (start(), start());
    let mut device = Device::start(&server, &fixture, "cam", Point::Plane(1)).await;
    device.serve_parameters();
    let share = |running: &Running| running.frames().get("ok").copied().unwrap_or_default();
    let mut answered = std::collections::BTreeSet::new();
    // Until both have joined and had a share: which one gets a frame is the broker's choice.
    while answered.len() < FRAMES as usize || share(&one) == 0 || share(&other) == 0 {
        let shot = device.camera.shoot(Gain::UNITY);
        device.send(&shot);
        let (sequence, answer) = device.answer().await;
        if let Some(answer) = answer {
            assert_same(&answer.outcome.unwrap(), &shot.expected, TOLERANCE);
            assert!(answered.insert(sequence), "frame {} is answered twice", sequence.0);
        }
    }
    assert_eq!(share(&one) + share(&other), answered.len() as u64);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_no_answers_is_refused_at_the_start() {
    let (mut server, fixture) = (NatsServer::stopped("max_payload: 512").unwrap(), Fixture::new());
    server.resume().unwrap();
    let service = Service::prepare(fixture.config(Some(options(&server)))).unwrap();
    let error = timeout(LONG, service.run(CancellationToken::new())).await.expect("in time").unwrap_err();
    assert!(matches!(error, ServiceError::PayloadLimit(PayloadLimit { limit: 512, .. })), "{error}");
}

#[test]
fn a_bad_configuration_fails_before_any_socket() {
    let fixture = Fixture::new();
    let mut config = fixture.config(None);
    config.worker.codec.ffmpeg = "no-such-ffmpeg".into();
    assert!(matches!(Service::prepare(config), Err(ServiceError::Ffmpeg { .. })));
    let mut config = fixture.config(None);
    config.model = config.model.join("nowhere");
    assert!(matches!(Service::prepare(config), Err(ServiceError::Model(_))));
}

#[test]
fn the_largest_answer_fits_the_usual_payload_limit() {
    const NATS_DEFAULT: usize = 1 << 20;
    const { assert!(ANSWER_HEADER_LEN + 65_535 * DETECTION_LEN <= NATS_DEFAULT) }
}

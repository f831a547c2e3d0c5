//! Real frames through real ffmpeg and ONNX Runtime, without a broker.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
};

use autotiler_graph::{Engine, EngineError, Graph, Session, Tensor};
use autotiler_hevc::ParameterSets;
use prometheus::Registry;
use tokio::sync::mpsc;

use super::*;
use crate::{
    fixture::{self, Camera, Fixture, Shot, assert_same},
    ticket::{Identity, Outgoing},
};

/// Batched sums are taken in another order: 1e-4 is far above that, and far below a wrong frame.
const TOLERANCE: f32 = 1e-4;

struct Bench {
    jobs: SyncSender<Job>,
    worker: Worker,
    outbox: mpsc::Sender<Outgoing>,
    answers: mpsc::Receiver<Outgoing>,
}

impl Bench {
    fn new(fixture: &Fixture, engine: impl Engine + 'static) -> Self {
        let (jobs, taken) = sync_channel(64);
        let (outbox, answers) = mpsc::channel(64);
        let metrics = DecoderMetrics::register(&Registry::new()).unwrap();
        let stages = Stages::load(Box::new(engine), Arc::new(fixture.model.clone()), 8).unwrap();
        let boxes = BoxFinder::new(&fixture.model.network, fixture::BOXES);
        let worker = Worker::new(taken, stages, boxes, &fixture::worker_options(), metrics);
        Self { jobs, worker, outbox, answers }
    }

    fn job(&self, camera: &Camera, point: Point, shot: &Shot) -> Job {
        self.job_with(camera, point, shot, camera.encoder.parameter_sets().clone())
    }

    fn job_with(&self, camera: &Camera, point: Point, shot: &Shot, parameter_sets: ParameterSets) -> Job {
        let identity = Identity::of_header(&shot.header);
        let outbox = self.outbox.clone();
        let ticket = Ticket::new(camera.device.clone(), identity, None, Instant::now(), outbox);
        let access_unit = shot.unit.bytes().clone();
        Job { ticket, point, gain: shot.header.gain, parameter_sets, access_unit }
    }

    fn outcome(&mut self) -> Result<Vec<Detection>, LossReason> {
        self.answers.try_recv().unwrap().answer.outcome
    }
}

#[test]
fn every_point_finds_what_its_stages_find_when_called_directly() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    for point in [Point::Plane(0), Point::Plane(1), Point::Picture] {
        let mut camera = Camera::new(&fixture, "cam", point);
        for gain in [Gain::UNITY, Gain(30)] {
            let shot = camera.shoot(gain);
            assert!(!shot.expected.is_empty());
            bench.worker.process(vec![bench.job(&camera, point, &shot)]);
            let answer = bench.answers.try_recv().unwrap().answer;
            assert_eq!(answer.outcome, Ok(shot.expected));
            assert_eq!((answer.sequence, answer.batch), (shot.header.sequence, 1));
            assert!(answer.times.decode_us > 0 && answer.times.tail_us > 0);
        }
    }
}

#[test]
fn a_batch_finds_in_each_frame_what_is_in_it() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(0));
    let shots: Vec<Shot> = [0, 10, 20, 30].map(|step| camera.shoot(Gain(step))).into();
    for shot in &shots {
        bench.jobs.try_send(bench.job(&camera, Point::Plane(0), shot)).unwrap();
    }
    let batch = bench.worker.next_batch().unwrap();
    assert_eq!(batch.len(), 4);
    bench.worker.process(batch);
    for shot in &shots {
        let answer = bench.answers.try_recv().unwrap().answer;
        assert_eq!((answer.sequence, answer.batch), (shot.header.sequence, 4));
        assert_same(&answer.outcome.unwrap(), &shot.expected, TOLERANCE);
    }
}

#[test]
fn pictures_share_no_run() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Picture);
    let shot = camera.shoot(Gain::UNITY);
    for _ in 0..3 {
        bench.jobs.try_send(bench.job(&camera, Point::Picture, &shot)).unwrap();
    }
    assert_eq!(bench.worker.next_batch().unwrap().len(), 1);
}

#[test]
fn a_damaged_unit_is_lost_alone() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(0));
    let shots = [camera.shoot(Gain::UNITY), camera.shoot(Gain::UNITY)];
    let mut damaged = bench.job(&camera, Point::Plane(0), &shots[0]);
    let mut bytes = damaged.access_unit.to_vec();
    bytes[10] ^= 4;
    damaged.access_unit = bytes.into();
    let whole = bench.job(&camera, Point::Plane(0), &shots[1]);
    bench.worker.process(vec![damaged, whole]);
    assert_eq!(bench.outcome(), Err(LossReason::Undecodable));
    assert_eq!(bench.outcome(), Ok(shots[1].expected.clone()));
}

#[test]
fn parameter_sets_of_another_size_start_no_session() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(0));
    let other = Camera::new(&fixture, "other", Point::Plane(1));
    let shot = camera.shoot(Gain::UNITY);
    let sets = other.encoder.parameter_sets().clone();
    bench.worker.process(vec![bench.job_with(&camera, Point::Plane(0), &shot, sets)]);
    assert_eq!(bench.outcome(), Err(LossReason::Undecodable));
    assert!(bench.worker.codec.is_empty());
}

#[test]
fn a_killed_ffmpeg_costs_its_frame_and_no_other() {
    let fixture = Fixture::new();
    let mut bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(0));
    let mut send = |bench: &mut Bench| {
        let shot = camera.shoot(Gain::UNITY);
        let job = bench.job(&camera, Point::Plane(0), &shot);
        let (format, sets) = (camera.encoder.format(), camera.encoder.parameter_sets().clone());
        bench.worker.process(vec![job]);
        let outcome = bench.outcome().map(|found| found == shot.expected);
        (outcome, bench.worker.codec.get(format, &sets).unwrap().process_id())
    };
    let (first, pid) = send(&mut bench);
    assert_eq!(first, Ok(true));
    let killed = Command::new("kill").args(["-KILL", &pid.unwrap().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(send(&mut bench), (Err(LossReason::CodecCrashed), None));
    assert_eq!(send(&mut bench).0, Ok(true));
    assert_eq!(bench.worker.metrics.ffmpeg_respawns.get(), 1);
}

/// Fails on demand.
struct Flaky {
    engine: autotiler_onnx::OnnxEngine,
    broken: Arc<AtomicBool>,
}

struct FlakySession {
    session: Box<dyn Session>,
    broken: Arc<AtomicBool>,
}

impl Engine for Flaky {
    fn name(&self) -> &str {
        "flaky"
    }
    fn load(&self, graph: &Graph) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(FlakySession { session: self.engine.load(graph)?, broken: Arc::clone(&self.broken) }))
    }
}

impl Session for FlakySession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(EngineError::Run { engine: "flaky", source: "broken".into() });
        }
        self.session.run(inputs)
    }
}

#[test]
fn an_engine_that_fails_is_said_and_tried_again() {
    let fixture = Fixture::new();
    let broken = Arc::new(AtomicBool::new(false));
    let flaky = Flaky { engine: fixture::engine(), broken: Arc::clone(&broken) };
    let mut bench = Bench::new(&fixture, flaky);
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(1));
    for (fails, expected) in [(true, false), (true, false), (false, true)] {
        broken.store(fails, Ordering::Relaxed);
        let shot = camera.shoot(Gain::UNITY);
        bench.worker.process(vec![bench.job(&camera, Point::Plane(1), &shot)]);
        let wanted = if expected { Ok(shot.expected) } else { Err(LossReason::EngineFailed) };
        assert_eq!(bench.outcome(), wanted);
    }
}

#[test]
fn the_worker_ends_when_all_is_answered() {
    let fixture = Fixture::new();
    let bench = Bench::new(&fixture, fixture::engine());
    let mut camera = Camera::new(&fixture, "cam", Point::Plane(1));
    for _ in 0..10 {
        let shot = camera.shoot(Gain::UNITY);
        bench.jobs.try_send(bench.job(&camera, Point::Plane(1), &shot)).unwrap();
    }
    let Bench { jobs, worker, outbox, mut answers } = bench;
    drop((jobs, outbox));
    worker.run();
    assert!((0..10).all(|_| answers.try_recv().is_ok_and(|outgoing| outgoing.answer.outcome.is_ok())));
    assert!(answers.try_recv().is_err());
}

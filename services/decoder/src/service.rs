//! The service: prepared without a socket, run until it is told to stop.

use std::{
    convert::Infallible,
    io,
    process::{Command, Stdio},
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use autotiler_core::{
    Digest,
    wire::answer::{ANSWER_HEADER_LEN, DETECTION_LEN},
};
use autotiler_graph::{Engine, EngineError};
use autotiler_model::{Model, ModelError};
use autotiler_onnx::OnnxEngine;
use autotiler_pipeline::{BoxFinder, PipelineError};
use autotiler_runtime::{
    Admin, AdminError, DeadlinePassed, Latch, Readiness, SignalError, cancel_on_signal, drain_with_deadline,
};
use autotiler_transport::{
    ConnectError, Connection, FrameSubscriber, PayloadLimit, SubscribeError, connect, connection::LinkState,
};
use prometheus::Registry;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{AdminAddress, Config},
    catalogue::Catalogue,
    intake::{Intake, IntakeError},
    json_lines::JsonLines,
    metrics::DecoderMetrics,
    outbox,
    stages::Stages,
    thread::{self, Ended},
    worker::Worker,
};

/// Answers to frames that were not taken on may wait too.
const REFUSALS: usize = 256;
/// How often losses of the NATS client are looked up.
const LOSSES_EVERY: Duration = Duration::from_secs(1);

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The model directory is not usable.
    #[error("loading the model")]
    Model(#[from] ModelError),
    /// No engine.
    #[error("opening the engine")]
    Engine(#[from] EngineError),
    /// The engine does not take the model.
    #[error("loading the model's operating points")]
    Stages(#[from] PipelineError),
    /// No ffmpeg.
    #[error("running {program}; install ffmpeg or name it with --ffmpeg")]
    Ffmpeg {
        /// As configured.
        program: String,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// A metric's name is taken.
    #[error("registering metrics")]
    Metrics(#[from] prometheus::Error),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No connection will come.
    #[error("connecting to nats-server")]
    Connect(#[from] ConnectError),
    /// The broker takes no answers of our size.
    #[error("an answer of --max-detections does not fit a message")]
    PayloadLimit(#[from] PayloadLimit),
    /// No frames will come.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// No thread to be had.
    #[error("starting a thread")]
    Thread(#[source] io::Error),
    /// The way in ended.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// No runtime to serve on.
    #[error("starting the runtime")]
    Runtime(#[source] io::Error),
    /// Nobody could tell it to stop.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// A part of the service ended that should not.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
    /// What was taken on could not be finished.
    #[error("finishing what was taken on")]
    Drain(#[from] DeadlinePassed),
}

/// A decoder with its model loaded and warm, and no socket yet.
pub struct Service {
    config: Config,
    registry: Registry,
    metrics: DecoderMetrics,
    network: Digest,
    classes: Vec<String>,
    catalogue: Catalogue,
    stages: Stages,
    boxes: BoxFinder,
}

impl Service {
    /// Checks and loads all that the service needs, to run on ONNX Runtime. Blocks for as long as the model takes to load.
    ///
    /// # Errors
    /// [`ServiceError`], of whatever in `config` cannot work.
    pub fn prepare(config: Config) -> Result<Self, ServiceError> {
        let engine = OnnxEngine::new(config.onnx.clone())?;
        Self::prepare_on(Box::new(engine), config)
    }

    /// The same, to run on `engine`.
    ///
    /// # Errors
    /// [`ServiceError`], of whatever in `config` cannot work.
    pub fn prepare_on(engine: Box<dyn Engine>, config: Config) -> Result<Self, ServiceError> {
        let registry = Registry::new();
        let metrics = DecoderMetrics::register(&registry)?;
        check_ffmpeg(&config)?;
        let model = Model::load(&config.model)?;
        let (network, classes) = (model.manifest.digest, model.manifest.classes.clone());
        let catalogue = Catalogue::new(&model);
        let boxes = BoxFinder::new(&model.network, config.boxes);
        let stages = Stages::load(engine, Arc::new(model), config.worker.stages)?;
        Ok(Self { config, registry, metrics, network, classes, catalogue, stages, boxes })
    }

    /// Its metrics, as the admin port shows them.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves until the process is told to end, then finishes what was taken on: the rest of a `main`.
    ///
    /// # Errors
    /// As [`Service::run`], and when the system gives no threads or no signals.
    pub fn run_to_the_end(self) -> Result<(), ServiceError> {
        // Two threads: the work itself has one of its own, and takes the rest of the machine.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ServiceError::Runtime)?;
        let served = runtime.block_on(async { self.run(cancel_on_signal()?).await });
        // What passed the drain's deadline is not waited for a second time.
        runtime.shutdown_background();
        served
    }

    /// Serves until `stop` is cancelled, then finishes what was taken on.
    ///
    /// # Errors
    /// [`ServiceError`] when something ends that should not, or the drain passes its deadline.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServiceError> {
        let readiness = Readiness::new();
        let nats = readiness.require("nats");
        let AdminAddress::At(address) = self.config.admin else { return self.serve(stop, nats).await };
        let admin = Admin::bind(address, self.registry.clone(), readiness).await?;
        tokio::select! {
            served = self.serve(stop, nats) => served,
            // Its own token is never cancelled: a drain can be watched to its end.
            admin = admin.serve(CancellationToken::new()) => admin.map_err(ServiceError::Admin),
        }
    }

    async fn serve(self, stop: CancellationToken, nats: Latch) -> Result<(), ServiceError> {
        let connection = tokio::select! {
            connected = connect(&self.config.nats) => connected?,
            () = stop.cancelled() => return Ok(()),
        };
        connection.check_payload(ANSWER_HEADER_LEN + self.config.boxes.max_detections * DETECTION_LEN)?;
        let frames = FrameSubscriber::subscribe(&connection, &self.network).await?;
        tracing::info!(network = %self.network, model = %self.config.model.display(), "taking frames");
        let deadline = self.config.drain_deadline;
        let watch = watch_link(connection.clone(), nats, self.metrics.clone());
        let work = self.work(connection, frames, stop.clone());
        tokio::pin!(work, watch);
        tokio::select! {
            done = &mut work => return done,
            never = &mut watch => match never {},
            () = stop.cancelled() => {}
        }
        drain_with_deadline(deadline, work).await?
    }

    /// Intake, worker and outbox, until the first has ended and the others have finished what it left them.
    async fn work(
        self,
        connection: Connection,
        frames: FrameSubscriber,
        stop: CancellationToken,
    ) -> Result<(), ServiceError> {
        let queue = self.config.intake.queue;
        let (jobs, taken) = sync_channel(queue);
        let (outbox, answers) = mpsc::channel(queue + REFUSALS);
        let mut threads = Vec::new();
        let mut lines = None;
        if self.config.json_lines {
            let dropped = self.metrics.json_lines_dropped.clone();
            let (writer, ended) =
                JsonLines::start(io::stdout(), self.classes, dropped).map_err(ServiceError::Thread)?;
            (lines, threads) = (Some(writer), vec![ended]);
        }
        let metrics = self.metrics;
        let worker = Worker::new(taken, self.stages, self.boxes, &self.config.worker, metrics.clone());
        let mut worker = thread::spawn("worker", move || worker.run()).map_err(ServiceError::Thread)?;
        let publisher = outbox::publish(connection.clone(), answers, lines, metrics.clone());
        let intake =
            Intake::new(connection.clone(), self.catalogue, self.config.intake, jobs, outbox, metrics);
        let work = async {
            tokio::select! {
                taken = intake.run(frames, &stop) => taken?,
                _ = worker.wait() => return Err(IntakeError::WorkerEnded.into()),
            }
            if worker.wait().await { Ok(()) } else { Err(ServiceError::Ended("worker")) }
        };
        let (worked, ()) = tokio::join!(work, publisher);
        wait_all(threads).await;
        connection.close().await;
        worked
    }
}

async fn wait_all(threads: Vec<Ended>) {
    for mut thread in threads {
        thread.wait().await;
    }
}

/// Shows the link in readiness and metrics, for ever. That a link is closed is for the intake to say.
async fn watch_link(connection: Connection, nats: Latch, metrics: DecoderMetrics) -> Infallible {
    let mut link = connection.link();
    let mut tick = tokio::time::interval(LOSSES_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let up = *link.borrow_and_update() == LinkState::Up;
        nats.set(up);
        metrics.nats_up.set(i64::from(up));
        let missed = connection.slow_consumer_losses();
        metrics.missed_frames.inc_by(missed.saturating_sub(metrics.missed_frames.get()));
        let refused = connection.refusals();
        metrics.broker_refusals.inc_by(refused.saturating_sub(metrics.broker_refusals.get()));
        tokio::select! {
            Ok(()) = link.changed() => {}
            _ = tick.tick() => {}
        }
    }
}

fn check_ffmpeg(config: &Config) -> Result<(), ServiceError> {
    let program = &config.worker.codec.ffmpeg;
    let mut version = Command::new(program);
    version.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed = |source| ServiceError::Ffmpeg { program: program.display().to_string(), source };
    let status = version.status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(failed(io::Error::other(status.to_string()))) }
}

#[cfg(test)]
mod tests;

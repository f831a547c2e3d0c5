//! The process: checks everything that can be checked, starts the stages, waits, drains, reports.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use autotiler_core::DeviceId;
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::BoxOptions;
use autotiler_runtime::{Admin, Readiness, drain_with_deadline};
use autotiler_transport::{ConnectOptions, FrameQueue, QueuePolicy};
use prometheus::Registry;
use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    fate::DropReason,
    frame::{Assignment, CapturedFrame, PlaneFrame, Stream},
    handoff::{Overflow, Watcher, handoff},
    ledger::Ledger,
    link::Link,
    metrics::EdgeMetrics,
    report::Report,
    results::Results,
    source::{SourceOptions, SourceSpec},
    stages::{
        Capture, CaptureOptions, Codec, CodecOptions, Detected, Inference, ParameterBook, inference::Outlets,
    },
};

/// Frames that wait before the broker.
const QUEUE: usize = 2;
/// Detections made on the device that wait to be published; nobody waits for those that find no room.
const DETECTED: usize = 16;
/// How long the link may take to close once all accounts are.
const CLOSE: Duration = Duration::from_secs(1);

/// What the process is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker.
    pub nats: ConnectOptions,
    /// Name of the device.
    pub device: DeviceId,
    /// Model directory.
    pub model: PathBuf,
    /// First assignment.
    pub assignment: Assignment,
    /// Where pictures come from.
    pub source: SourceSpec,
    /// Start files again at their end.
    pub repeat: bool,
    /// How the source is taken.
    pub capture: CaptureOptions,
    /// What happens when pictures come too fast.
    pub pacing: Pacing,
    /// Admin port.
    pub admin: Option<SocketAddr>,
    /// One JSON line for each frame.
    pub results: Option<PathBuf>,
    /// The accounts as JSON.
    pub report: Option<PathBuf>,
    /// The engine.
    pub engine: OnnxOptions,
    /// Which boxes are kept, where the device finds them.
    pub boxes: BoxOptions,
    /// The codec.
    pub codec: CodecOptions,
    /// The ffmpeg program of the source.
    pub ffmpeg: PathBuf,
    /// Most frames that are sent and not answered.
    pub window: usize,
    /// An answer that takes longer is held to be lost.
    pub answer_timeout: Duration,
    /// Longest time to finish what was begun.
    pub drain: Duration,
}

/// What happens when pictures come faster than they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// The newest stays, the others are dropped by reason.
    Live {
        /// Frames that are older are not sent.
        max_age: Duration,
    },
    /// The source waits. Nothing is dropped.
    File,
}

impl Pacing {
    fn overflow(self) -> Overflow {
        match self {
            Self::Live { .. } => Overflow::Newest,
            Self::File => Overflow::Wait,
        }
    }

    fn queue(self) -> QueuePolicy {
        match self {
            Self::Live { max_age } => QueuePolicy::Newest { max_age },
            Self::File => QueuePolicy::Wait,
        }
    }
}

/// Runs until the source ends or `cancel` is cancelled, then drains; yields the closed accounts.
///
/// # Errors
/// A bad model, operating point, source or file before any socket opens; later what no waiting mends, like
/// refused credentials.
pub async fn run(config: Config, registry: Registry, cancel: CancellationToken) -> anyhow::Result<Report> {
    let engine = OnnxEngine::new(config.engine.clone()).context("opening the engine")?;
    run_with(config, Arc::new(engine), registry, cancel).await
}

/// [`run`] with an engine of the caller's choice.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    engine: Arc<dyn Engine>,
    registry: Registry,
    cancel: CancellationToken,
) -> anyhow::Result<Report> {
    let metrics = EdgeMetrics::register(&registry)?;
    let stream = Stream::start(config.device.clone());
    let results = match &config.results {
        Some(path) => Some(Results::create(path, metrics.results_lost.clone())?),
        None => None,
    };
    let ledger = Arc::new(Ledger::new(stream.clone(), metrics.clone(), results, config.answer_timeout));
    let queue = FrameQueue::new(QUEUE, config.pacing.queue(), ledger.clone());
    let ready = Ready::load(&config, engine, &stream)?;
    let largest_payload = ready.inference.stage().format().map_or(0, |format| format.len());
    let parameters = ready.parameters.clone();

    // All is checked; from here on sockets open.
    let readiness = Readiness::new();
    let latch = readiness.require("nats");
    let admin_cancel = CancellationToken::new();
    if let Some(addr) = config.admin {
        let admin = Admin::bind(addr, registry, readiness).await?;
        tokio::spawn(admin.serve(admin_cancel.clone()));
    }
    let (detected, found) = mpsc::channel(DETECTED);
    let link = Link {
        options: config.nats.clone(),
        stream,
        queue: queue.clone(),
        window: config.window,
        largest_payload,
        detected: found,
        parameters,
        ledger: ledger.clone(),
        metrics: metrics.clone(),
        latch,
    };
    // Kept here so that later commands can change it.
    let (_assignments, assignment) = watch::channel(config.assignment);
    let stages = Stages::start(ready, &config, &queue, &ledger, &metrics, detected, assignment, &cancel)?;
    let ended = serve(stages, link, &queue, &ledger, &cancel, config.drain).await;
    admin_cancel.cancel();
    let report = ledger.close();
    if let Some(path) = &config.report {
        write_report(path, &report).with_context(|| format!("writing the report {}", path.display()))?;
    }
    ended.map(|()| report)
}

/// Everything that can fail for a bad configuration, loaded and warm.
struct Ready {
    source: Box<dyn crate::source::Source>,
    inference: Inference,
    codec: Codec,
    parameters: ParameterBook,
}

impl Ready {
    fn load(config: &Config, engine: Arc<dyn Engine>, stream: &Stream) -> anyhow::Result<Self> {
        let model = Model::load(&config.model)
            .with_context(|| format!("loading the model {}", config.model.display()))?;
        let options = SourceOptions {
            size: (model.network.input.w, model.network.input.h),
            ffmpeg: config.ffmpeg.clone(),
            repeat: config.repeat,
        };
        let source =
            config.source.open(&options).with_context(|| format!("opening the source {}", config.source))?;
        let parameters = ParameterBook::default();
        let digest = model.manifest.digest;
        let point = config.assignment.point;
        let inference = Inference::new(engine, Arc::new(model), config.assignment, config.boxes)
            .with_context(|| format!("making ready for the operating point {point}"))?;
        let mut codec = Codec::new(config.codec.clone(), digest, stream.clone(), parameters.clone());
        if let (Some(format), Some(bits)) = (inference.stage().format(), point.bits()) {
            codec.warm(format, bits).with_context(|| format!("coding at the operating point {point}"))?;
        }
        Ok(Self { source, inference, codec, parameters })
    }
}

/// All threads of the stages, joined.
type Working = tokio::task::JoinHandle<anyhow::Result<()>>;

/// The running threads.
struct Stages {
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    stop_source: Option<Arc<dyn Fn() + Send + Sync>>,
    captured: Watcher<CapturedFrame>,
    planes: Watcher<PlaneFrame>,
}

impl Stages {
    #[allow(clippy::too_many_arguments, reason = "the one place where all parts meet")]
    fn start(
        ready: Ready,
        config: &Config,
        queue: &FrameQueue,
        ledger: &Arc<Ledger>,
        metrics: &EdgeMetrics,
        detected: mpsc::Sender<Detected>,
        assignment: watch::Receiver<Assignment>,
        cancel: &CancellationToken,
    ) -> io::Result<Self> {
        let Ready { source, inference, codec, .. } = ready;
        let (give_captured, take_captured) = handoff(1, config.pacing.overflow());
        let (give_planes, take_planes) = handoff(1, config.pacing.overflow());
        let (captured, planes) = (give_captured.watcher(), give_planes.watcher());
        let stop_source = source.stopper();
        let capture = Capture {
            source,
            options: config.capture,
            assignment,
            to: give_captured,
            ledger: ledger.clone(),
            cancel: cancel.clone(),
        };
        let accounts = ledger.clone();
        let outlets = Outlets {
            planes: give_planes,
            detected: Box::new(move |found: Detected| {
                accounts.done_on_device(&found.record, &found.detections);
                // Without a link or with a slow one they are dropped: the device has had them.
                if detected.try_send(found).is_err() {
                    tracing::debug!("detections not published");
                }
            }),
            ledger: ledger.clone(),
            metrics: metrics.clone(),
        };
        let (queue, accounts, shown) = (queue.clone(), ledger.clone(), metrics.clone());
        let threads = vec![
            spawn("capture", move || Ok(capture.run()?))?,
            spawn("inference", move || {
                inference.run(&take_captured, &outlets);
                Ok(())
            })?,
            spawn("codec", move || {
                codec.run(&take_planes, &queue, &accounts, &shown);
                Ok(())
            })?,
        ];
        Ok(Self { threads, stop_source, captured, planes })
    }

    /// Makes the source end, even if it waits for a picture.
    fn stop(&self) {
        if let Some(stop) = &self.stop_source {
            stop();
        }
    }

    /// Waits until the stages have finished what they hold; after `end` they drop it.
    async fn finish(
        &self,
        working: &mut Working,
        queue: &FrameQueue,
        ledger: &Ledger,
        end: Instant,
    ) -> Result<anyhow::Result<()>, JoinError> {
        if let Ok(result) = tokio::time::timeout_at(end, &mut *working).await {
            return result;
        }
        self.abandon(ledger);
        queue.abandon();
        working.await
    }

    /// Drops what waits between the stages.
    fn abandon(&self, ledger: &Ledger) {
        for frame in self.captured.abandon() {
            ledger.dropped(&frame.record, DropReason::SHUTDOWN);
        }
        for frame in self.planes.abandon() {
            ledger.dropped(&frame.record, DropReason::SHUTDOWN);
        }
    }
}

fn spawn(
    name: &str,
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<anyhow::Result<()>>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Waits for the end of the source or the word to stop, and drains.
async fn serve(
    mut stages: Stages,
    link: Link,
    queue: &FrameQueue,
    ledger: &Arc<Ledger>,
    cancel: &CancellationToken,
    deadline: Duration,
) -> anyhow::Result<()> {
    let threads = std::mem::take(&mut stages.threads);
    let mut working = tokio::task::spawn_blocking(move || join_all(threads));
    let mut linked = tokio::spawn(link.run());
    let mut ended = Ok(());
    let mut worked = None;
    tokio::select! {
        () = cancel.cancelled() => {}
        result = &mut working => worked = Some(result),
        result = &mut linked => {
            ended = result.context("the link panicked").and_then(|result| Ok(result?));
            cancel.cancel();
        }
    }
    stages.stop();
    // With a broken link no end is in sight: what is left is written off at once.
    let end = Instant::now() + if ended.is_err() { Duration::ZERO } else { deadline };
    let worked = match worked {
        Some(result) => result,
        None => stages.finish(&mut working, queue, ledger, end).await,
    };
    queue.close();
    if tokio::time::timeout_at(end, ledger.settled()).await.is_err() {
        tracing::warn!("drain took too long; what is left is written off");
        queue.abandon();
        ledger.write_off();
    }
    if !linked.is_finished() && drain_with_deadline(CLOSE, &mut linked).await.is_err() {
        linked.abort();
    }
    ended.and(worked.context("a stage panicked").and_then(|result| result))
}

fn join_all(threads: Vec<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    let mut ended = Ok(());
    for thread in threads {
        let name = thread.thread().name().unwrap_or_default().to_owned();
        let result = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the {name} thread panicked")));
        ended = ended.and(result);
    }
    ended
}

fn write_report(path: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(fs::write(path, text)?)
}

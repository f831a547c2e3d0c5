//! The process: checks everything that can be checked, starts the stages, waits, drains, reports.

mod ready;
mod threads;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use autotiler_core::{DeviceId, bits::BitsSettings, order::GuardTerms};
use autotiler_graph::Engine;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::BoxOptions;
use autotiler_runtime::{Admin, Readiness, drain_with_deadline};
use autotiler_transport::{ConnectOptions, FrameQueue, QueuePolicy, UplinkMeter};
use prometheus::Registry;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    frame::{Assignment, Stream},
    guarding::Guarding,
    handoff::{Overflow, handoff},
    helm::Helm,
    ledger::Ledger,
    link::Link,
    metrics::EdgeMetrics,
    prepared::CodecOptions,
    report::Report,
    results::Results,
    source::SourceSpec,
    stages::{CaptureOptions, Codec, Inference},
    telemetry::Speaker,
};
use ready::Ready;
use threads::{Parts, Stages, join_all, spawn};

/// Frames that wait before the broker.
const QUEUE: usize = 2;
/// Detections made on the device that wait to be published; nobody waits for those that find no room.
const DETECTED: usize = 16;
/// A frame that was longer under way, round trip not counted, was held up by the link and not by chance.
const SLOW: Duration = Duration::from_millis(30);
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
    /// What to do until there are orders.
    pub assignment: Assignment,
    /// The range in which frames are sized until then; none: bits are fixed.
    pub bits: Option<BitsSettings>,
    /// The guard until then.
    pub guard: Option<GuardTerms>,
    /// Follow orders.
    pub follow_orders: bool,
    /// Send trains to measure the uplink.
    pub measure_uplink: bool,
    /// What kind of device it is.
    pub device_class: String,
    /// Memory that must be free before an order for something new is obeyed, in bytes.
    pub spare_memory: u64,
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
    let ready = Ready::load(&config, engine)?;
    let helm = Arc::new(Helm::new(ready.course.clone(), ready.safe.clone()));
    let meter = start_meter(&config.nats, &helm)?;
    let ledger = Ledger::new(stream.clone(), metrics.clone(), results, config.answer_timeout);
    let ledger = Arc::new(ledger.telling(slow_frames(helm.clone(), meter.clone())));
    let queue = FrameQueue::new(QUEUE, config.pacing.queue(), ledger.clone());
    let largest_payload = ready.course.work.format().map_or(0, |format| format.len());
    let network = ready.model.manifest.digest;

    // All is checked; from here on sockets open.
    let readiness = Readiness::new();
    let latch = readiness.require("nats");
    let admin_cancel = CancellationToken::new();
    if let Some(addr) = config.admin {
        let admin = Admin::bind(addr, registry, readiness).await?;
        tokio::spawn(admin.serve(admin_cancel.clone()));
    }
    let (detected, found) = mpsc::channel(DETECTED);
    let (give_orders, orders) = handoff(1, Overflow::Newest);
    let waiting_orders = give_orders.watcher();
    let guarding = Guarding::new(helm.clone(), ledger.clone(), meter.clone(), stream.clone());
    let link = Link {
        options: config.nats.clone(),
        stream: stream.clone(),
        queue: queue.clone(),
        window: config.window,
        largest_payload,
        detected: found,
        parameters: ready.preparer.parameters.clone(),
        ledger: ledger.clone(),
        metrics: metrics.clone(),
        latch,
        orders: config.follow_orders.then_some(give_orders),
        guarding: guarding.clone(),
        trains: config.measure_uplink,
        speaker: Speaker {
            stream: stream.clone(),
            device_class: config.device_class.clone(),
            network,
            helm: helm.clone(),
            ledger: ledger.clone(),
            meter: meter.clone(),
        },
    };
    let (newest, pictures) = watch::channel(None);
    let inference = Inference::new(guarding, &ready.model.network, config.boxes);
    let codec = Codec::new(network, stream, ready.preparer.parameters.clone(), helm.clone(), meter);
    let (preparer, turned) = (ready.preparer, helm.clone());
    let parts = Parts { source: ready.source, newest, helm, inference, codec };
    let stages = Stages::start(parts, &config, &queue, &ledger, &metrics, detected, &cancel)?;
    let preparing = spawn("prepare", move || {
        preparer.run(&orders, &turned, &pictures);
        Ok(())
    })?;
    let ended = serve(stages, link, &queue, &ledger, &cancel, config.drain).await;
    waiting_orders.abandon();
    let prepared = tokio::task::spawn_blocking(move || join_all(vec![preparing])).await;
    let ended = ended.and(prepared.context("the preparer panicked").and_then(|result| result));
    admin_cancel.cancel();
    let report = ledger.close();
    if let Some(path) = &config.report {
        write_report(path, &report).with_context(|| format!("writing the report {}", path.display()))?;
    }
    ended.map(|()| report)
}

/// The meter of the way to the broker; what it measures sizes frames.
fn start_meter(nats: &ConnectOptions, helm: &Arc<Helm>) -> anyhow::Result<Arc<UplinkMeter>> {
    let told = helm.clone();
    let second = Duration::from_secs(1);
    UplinkMeter::start(nats, move |estimate| told.carried(estimate.bps as u64, second))
        .context("starting the uplink's thread")
}

/// Frames that were long under way tell what the link carries, too.
fn slow_frames(helm: Arc<Helm>, meter: Arc<UplinkMeter>) -> impl Fn(u32, Duration) {
    move |bits, transfer| {
        let sending = meter.uplink().rtt.and_then(|rtt| transfer.checked_sub(rtt));
        if let Some(sending) = sending.filter(|sending| *sending > SLOW) {
            helm.carried(u64::from(bits), sending);
        }
    }
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

fn write_report(path: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(fs::write(path, text)?)
}

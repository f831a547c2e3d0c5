//! The threads of the stages: started, stopped, waited for.

use std::{io, sync::Arc, thread::JoinHandle};

use autotiler_scene::Picture;
use autotiler_transport::FrameQueue;
use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    fate::DropReason,
    frame::{CapturedFrame, PlaneFrame},
    handoff::{Watcher, handoff},
    helm::Helm,
    ledger::Ledger,
    metrics::EdgeMetrics,
    run::Config,
    source::Source,
    stages::{Capture, Codec, Detected, Inference, inference::Outlets},
};

/// What the stages are made of.
pub(super) struct Parts {
    pub(super) source: Box<dyn Source>,
    pub(super) newest: watch::Sender<Option<Arc<Picture>>>,
    pub(super) helm: Arc<Helm>,
    pub(super) inference: Inference,
    pub(super) codec: Codec,
}

/// All threads of the stages, joined.
pub(super) type Working = tokio::task::JoinHandle<anyhow::Result<()>>;

/// The running threads.
pub(super) struct Stages {
    pub(super) threads: Vec<JoinHandle<anyhow::Result<()>>>,
    stop_source: Option<Arc<dyn Fn() + Send + Sync>>,
    captured: Watcher<CapturedFrame>,
    planes: Watcher<PlaneFrame>,
}

impl Stages {
    /// Starts a thread for each stage.
    pub(super) fn start(
        parts: Parts,
        config: &Config,
        queue: &FrameQueue,
        ledger: &Arc<Ledger>,
        metrics: &EdgeMetrics,
        detected: mpsc::Sender<Detected>,
        cancel: &CancellationToken,
    ) -> io::Result<Self> {
        let Parts { source, newest, helm, inference, codec } = parts;
        let (give_captured, take_captured) = handoff(1, config.pacing.overflow());
        let (give_planes, take_planes) = handoff(1, config.pacing.overflow());
        let (captured, planes) = (give_captured.watcher(), give_planes.watcher());
        let stop_source = source.stopper();
        let capture = Capture {
            source,
            options: config.capture,
            helm,
            newest,
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
    pub(super) fn stop(&self) {
        if let Some(stop) = &self.stop_source {
            stop();
        }
    }

    /// Waits until the stages have finished what they hold; after `end` they drop it.
    pub(super) async fn finish(
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

/// Starts a thread.
pub(super) fn spawn(
    name: &str,
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<anyhow::Result<()>>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Waits for all of them; yields the first error.
pub(super) fn join_all(threads: Vec<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    let mut ended = Ok(());
    for thread in threads {
        let name = thread.thread().name().unwrap_or_default().to_owned();
        let result = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the {name} thread panicked")));
        ended = ended.and(result);
    }
    ended
}

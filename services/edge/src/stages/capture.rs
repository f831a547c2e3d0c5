//! First stage: pictures from the source, numbered and timed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::Sequence;
use autotiler_scene::Picture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    fate::DropReason,
    frame::{CapturedFrame, FrameRecord},
    handoff::Giver,
    helm::Helm,
    ledger::Ledger,
    source::{Source, SourceError},
};

/// How the source is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaptureOptions {
    /// Pictures per second; as fast as they come without.
    pub frames_per_second: Option<f64>,
    /// End after so many.
    pub frames: Option<u32>,
}

/// The first stage.
pub struct Capture {
    /// Where pictures come from.
    pub source: Box<dyn Source>,
    /// How they are taken.
    pub options: CaptureOptions,
    /// What is to be done with each.
    pub helm: Arc<Helm>,
    /// Shows the newest picture.
    pub newest: watch::Sender<Option<Arc<Picture>>>,
    /// Where they go.
    pub to: Giver<CapturedFrame>,
    /// The accounts.
    pub ledger: Arc<Ledger>,
    /// Told to stop.
    pub cancel: CancellationToken,
}

impl Capture {
    /// Runs until the source ends, the count is full, or it is told to stop.
    ///
    /// # Errors
    /// [`SourceError`] when the source fails for good.
    pub fn run(mut self) -> Result<(), SourceError> {
        let mut pace = self.options.frames_per_second.map(Pace::new);
        let mut sequence = 0;
        while self.options.frames.is_none_or(|frames| sequence < frames) {
            if let Some(pace) = &mut pace {
                pace.wait();
            }
            if self.cancel.is_cancelled() {
                break;
            }
            let Some(taken) = self.source.next()? else { break };
            let assignment = self.helm.course().assignment;
            let record = |name| FrameRecord::new(Sequence(sequence), name, assignment);
            self.ledger.captured();
            match taken {
                Ok(picture) => {
                    let shared = Arc::new(picture.picture);
                    self.newest.send_replace(Some(shared.clone()));
                    let frame = CapturedFrame { record: record(picture.name), picture: shared };
                    let busy = DropReason::InferenceBusy;
                    if !super::give(&self.to, frame, &self.ledger, |frame| &frame.record, busy) {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, cause = %error.source, "passed over");
                    self.ledger.dropped(&record(Some(error.name)), DropReason::Unreadable);
                }
            }
            sequence = sequence.wrapping_add(1);
        }
        tracing::info!(frames = sequence, "source ended");
        Ok(())
    }
}

/// Even steps in time. A step that was missed is not made up for.
struct Pace {
    step: Duration,
    next: Instant,
}

impl Pace {
    fn new(frames_per_second: f64) -> Self {
        Self { step: Duration::from_secs_f64(frames_per_second.max(1e-3).recip()), next: Instant::now() }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        std::thread::sleep(self.next.saturating_duration_since(now));
        self.next = (self.next + self.step).max(now);
    }
}

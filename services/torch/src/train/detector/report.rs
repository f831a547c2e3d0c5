//! What a training run says while it goes on.

use std::time::Instant;

use serde::Serialize;

/// What a run says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// One step is made.
    Step {
        /// Steps made.
        step: u64,
        /// Loss per object, mean since the last report.
        loss: f64,
        /// Objectness, class and box parts of it.
        parts: [f64; 3],
        /// Pictures trained on per second since the last report.
        images_per_s: f64,
        /// Share of the time spent waiting for pictures.
        waiting: f64,
    },
    /// The averaged weights are scored.
    Validated {
        /// Steps made.
        step: u64,
        /// Mean average precision at IoU 0.5, score threshold 0.005.
        map50: f64,
        /// Of each class; `None` where no object was.
        per_class: Vec<Option<f64>>,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// Sums between two reports.
pub(super) struct Meter {
    since: Instant,
    parts: [f64; 3],
    steps: f64,
    images: f64,
    waited: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), parts: [0.0; 3], steps: 0.0, images: 0.0, waited: 0.0 }
    }

    pub(super) fn add(&mut self, parts: [f64; 3], images: usize, waited: f64) {
        for (sum, part) in self.parts.iter_mut().zip(parts) {
            *sum += part;
        }
        self.steps += 1.0;
        self.images += images as f64;
        self.waited += waited;
    }

    pub(super) fn take(&mut self, step: u64) -> Progress {
        let span = self.since.elapsed().as_secs_f64().max(1e-9);
        let parts = self.parts.map(|sum| sum / self.steps.max(1.0));
        let report = Progress::Step {
            step,
            loss: parts.iter().sum(),
            parts,
            images_per_s: self.images / span,
            waiting: self.waited / span,
        };
        *self = Self::new();
        report
    }
}

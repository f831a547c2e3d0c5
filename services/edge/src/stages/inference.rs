//! Second stage: the network's head and the tiler's encoder, or whatever else the operating point asks for.

use std::{sync::Arc, time::Instant};

use autotiler_core::{Detection, Epoch};
use autotiler_graph::darknet::Network;
use autotiler_pipeline::{BoxFinder, BoxOptions, DeviceOutput, PipelineError};

use crate::{
    fate::DropReason,
    frame::{CapturedFrame, Course, FrameRecord, PlaneFrame},
    guarding::Guarding,
    handoff::{Giver, Taker},
    ledger::Ledger,
    metrics::{EdgeMetrics, stage},
};

/// Detections of a frame that never left the device.
#[derive(Debug)]
pub struct Detected {
    /// The frame.
    pub record: FrameRecord,
    /// What was found.
    pub detections: Vec<Detection>,
}

/// The second stage.
pub struct Inference {
    guarding: Guarding,
    boxes: BoxFinder,
    /// Epoch of the last frame.
    epoch: Option<Epoch>,
}

/// Where its results go.
pub struct Outlets {
    /// Planes, to the codec.
    pub planes: Giver<PlaneFrame>,
    /// Detections, to whoever listens.
    pub detected: Box<dyn Fn(Detected) + Send>,
    /// The accounts.
    pub ledger: Arc<Ledger>,
    /// The metrics.
    pub metrics: EdgeMetrics,
}

impl Inference {
    /// Inference of `network` on whatever course `guarding` allows.
    pub fn new(guarding: Guarding, network: &Network, boxes: BoxOptions) -> Self {
        Self { guarding, boxes: BoxFinder::new(network, boxes), epoch: None }
    }

    /// Works until nothing more comes.
    pub fn run(mut self, from: &Taker<CapturedFrame>, to: &Outlets) {
        while let Some(mut frame) = from.take() {
            // The frame boundary: a picture that has waited is worked on by what is in force now.
            let course = self.guarding.course(Instant::now());
            frame.record.assignment = course.assignment;
            if self.epoch.replace(course.assignment.epoch) != Some(course.assignment.epoch) {
                to.metrics.epoch.set(f64::from(course.assignment.epoch.0));
            }
            if self.work(frame, course, to).is_none() {
                break;
            }
        }
    }

    /// One frame. `None` when nobody takes its result any more.
    fn work(&mut self, frame: CapturedFrame, course: Arc<Course>, to: &Outlets) -> Option<()> {
        let CapturedFrame { mut record, picture } = frame;
        let start = Instant::now();
        let output = course.work.run(&picture);
        record.times.head = start.elapsed();
        to.metrics.stages.observe(stage::HEAD, record.times.head);
        match output {
            Ok(DeviceOutput::Frame(plane)) => {
                let payload = course.work.payload()?;
                let frame = PlaneFrame { record, plane, course, payload };
                let busy = DropReason::CodecBusy;
                super::give(&to.planes, frame, &to.ledger, |frame| &frame.record, busy).then_some(())
            }
            Ok(DeviceOutput::Heads(heads)) => {
                let start = Instant::now();
                let found = self.boxes.find(&heads);
                record.times.boxes = start.elapsed();
                to.metrics.stages.observe(stage::BOXES, record.times.boxes);
                match found {
                    Ok(detections) => (to.detected)(Detected { record, detections }),
                    Err(error) => failed(&error, &record, &to.ledger),
                }
                Some(())
            }
            Err(error) => {
                failed(&error, &record, &to.ledger);
                Some(())
            }
        }
    }
}

fn failed(error: &PipelineError, record: &FrameRecord, ledger: &Ledger) {
    tracing::warn!(%error, sequence = record.sequence.0, "dropped frame");
    ledger.dropped(record, DropReason::EngineFailed);
}

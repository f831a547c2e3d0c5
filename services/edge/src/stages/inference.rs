//! Second stage: the network's head and the tiler's encoder, or whatever else the operating point asks for.

use std::{sync::Arc, time::Instant};

use autotiler_core::{Detection, Route};
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_pipeline::{BoxFinder, BoxOptions, DeviceOutput, DeviceStage, PipelineError};

use crate::{
    fate::DropReason,
    frame::{Assignment, CapturedFrame, FrameRecord, PlaneFrame},
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
    engine: Arc<dyn Engine>,
    model: Arc<Model>,
    boxes: BoxFinder,
    /// What frames are made under.
    assignment: Assignment,
    stage: DeviceStage,
    /// A route that was asked for and could not be loaded, so that it is said once.
    refused: Option<Route>,
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
    /// Loads what `assignment` needs.
    ///
    /// # Errors
    /// [`PipelineError`] when the model has no such tiler or the engine refuses.
    pub fn new(
        engine: Arc<dyn Engine>,
        model: Arc<Model>,
        assignment: Assignment,
        boxes: BoxOptions,
    ) -> Result<Self, PipelineError> {
        let stage = DeviceStage::new(engine.as_ref(), &model, assignment.point.route, None)?;
        let boxes = BoxFinder::new(&model.network, boxes);
        Ok(Self { engine, model, boxes, assignment, stage, refused: None })
    }

    /// What is loaded now.
    pub fn stage(&self) -> &DeviceStage {
        &self.stage
    }

    /// Works until nothing more comes.
    pub fn run(mut self, from: &Taker<CapturedFrame>, to: &Outlets) {
        while let Some(mut frame) = from.take() {
            self.follow(frame.record.assignment, to);
            frame.record.assignment = self.assignment;
            if self.work(frame, to).is_none() {
                break;
            }
        }
    }

    /// Takes another assignment at a frame boundary; the old one stays when the new one cannot be loaded.
    fn follow(&mut self, assignment: Assignment, to: &Outlets) {
        let route = assignment.point.route;
        if assignment == self.assignment || self.refused == Some(route) {
            return;
        }
        if route != self.assignment.point.route {
            match DeviceStage::new(self.engine.as_ref(), &self.model, route, None) {
                Ok(stage) => self.stage = stage,
                Err(error) => {
                    tracing::error!(%error, ?route, "operating point refused; staying at the last one");
                    self.refused = Some(route);
                    return;
                }
            }
        }
        self.assignment = assignment;
        self.refused = None;
        to.metrics.epoch.set(f64::from(assignment.epoch.0));
    }

    /// One frame. `None` when nobody takes its result any more.
    fn work(&mut self, frame: CapturedFrame, to: &Outlets) -> Option<()> {
        let CapturedFrame { mut record, picture } = frame;
        let stage = &mut self.stage;
        let start = Instant::now();
        let output = stage.run(&picture);
        record.times.head = start.elapsed();
        to.metrics.stages.observe(stage::HEAD, record.times.head);
        match output {
            Ok(DeviceOutput::Frame(plane)) => {
                let (format, payload) = (stage.format()?, stage.payload()?);
                let frame = PlaneFrame { record, plane, format, payload };
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

//! Operating points that are loaded into the engine.

use std::sync::Arc;

use autotiler_core::Gain;
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_pipeline::{CodedFrame, PipelineError, ServerSource, ServerStage};

use crate::catalogue::Point;

/// Value of all samples of the frame that warms a stage: the middle of the range.
const MIDDLE: u8 = 128;

/// Loaded operating points, the least recently used one given up for another.
pub(crate) struct Stages {
    engine: Box<dyn Engine>,
    model: Arc<Model>,
    capacity: usize,
    /// Most recently used last.
    loaded: Vec<(Point, ServerStage)>,
}

impl Stages {
    /// Loads and warms as many points of `model` as may stay loaded: its tilers in their order, then the
    /// picture. A point takes some 10 ms to load, and its first run is the slowest, so neither falls on a frame.
    ///
    /// # Errors
    /// [`PipelineError`] when the engine refuses one: then it would refuse its frames too.
    pub(crate) fn load(
        engine: Box<dyn Engine>,
        model: Arc<Model>,
        capacity: usize,
    ) -> Result<Self, PipelineError> {
        let points = (0..model.tilers.len()).map(Point::Plane).chain([Point::Picture]);
        let mut stages =
            Self { engine, model: Arc::clone(&model), capacity: capacity.max(1), loaded: Vec::new() };
        for point in points.take(stages.capacity) {
            stages.get(point)?;
        }
        Ok(stages)
    }

    /// The stage of `point`, loaded and warmed if it is not there.
    ///
    /// # Errors
    /// [`PipelineError`] when it cannot be loaded.
    pub(crate) fn get(&mut self, point: Point) -> Result<&mut ServerStage, PipelineError> {
        let entry = match self.loaded.iter().position(|(loaded, _)| *loaded == point) {
            Some(at) => self.loaded.remove(at),
            None => (point, self.load_one(point)?),
        };
        if self.loaded.len() >= self.capacity {
            self.loaded.remove(0);
        }
        self.loaded.push(entry);
        let (_, stage) = self.loaded.last_mut().expect("one was pushed on the line before");
        Ok(stage)
    }

    /// Gives `point` up after a fault, to be loaded anew.
    pub(crate) fn forget(&mut self, point: Point) {
        self.loaded.retain(|(loaded, _)| *loaded != point);
    }

    fn load_one(&self, point: Point) -> Result<ServerStage, PipelineError> {
        let source = match point {
            Point::Picture => ServerSource::Picture,
            Point::Plane(at) => {
                let stored = self.model.tilers.get(at);
                ServerSource::Plane(stored.expect("the catalogue names only tilers of this model"))
            }
        };
        let mut stage = ServerStage::new(self.engine.as_ref(), &self.model, source)?;
        let flat = vec![MIDDLE; stage.format().len()];
        stage.run(&[CodedFrame { bytes: &flat, gain: Gain::UNITY, qp_gain: Gain::UNITY }])?;
        tracing::debug!(?point, format = %stage.format(), "operating point loaded");
        Ok(stage)
    }
}

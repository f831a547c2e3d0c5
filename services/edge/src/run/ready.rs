//! What must be right before a socket opens.

use std::sync::Arc;

use anyhow::Context;
use autotiler_core::bits::BitsSettings;
use autotiler_graph::Engine;
use autotiler_model::Model;

use crate::{
    frame::{Assignment, Course},
    helm::Safe,
    preparer::Preparer,
    run::Config,
    source::{Source, SourceOptions},
    stages::ParameterBook,
};

/// Everything that can fail for a bad configuration, loaded and warm.
pub(super) struct Ready {
    pub(super) source: Box<dyn Source>,
    pub(super) model: Arc<Model>,
    pub(super) preparer: Preparer,
    pub(super) course: Course,
    pub(super) safe: Option<Safe>,
}

impl Ready {
    pub(super) fn load(config: &Config, engine: Arc<dyn Engine>) -> anyhow::Result<Self> {
        let model = Model::load(&config.model)
            .with_context(|| format!("loading the model {}", config.model.display()))?;
        let model = Arc::new(model);
        let options = SourceOptions {
            size: (model.network.input.w, model.network.input.h),
            ffmpeg: config.ffmpeg.clone(),
            repeat: config.repeat,
        };
        let source =
            config.source.open(&options).with_context(|| format!("opening the source {}", config.source))?;
        if let Some(BitsSettings { min, max, .. }) = config.bits {
            anyhow::ensure!(min <= max, "--min-bits {min} must not be above the {max} bits of --point");
        }
        let parameters = ParameterBook::default();
        let mut preparer =
            Preparer::new(engine, model.clone(), config.codec.clone(), parameters, config.spare_memory);
        let safe = match &config.guard {
            None => None,
            Some(terms) => {
                let assignment = Assignment { point: terms.safe_point, ..config.assignment };
                let course = preparer.course(assignment, None, None, None)?;
                Some(Safe { settings: terms.settings(), course: Arc::new(course) })
            }
        };
        let course = preparer.course(config.assignment, config.bits, None, None)?;
        Ok(Self { source, model, preparer, course, safe })
    }
}

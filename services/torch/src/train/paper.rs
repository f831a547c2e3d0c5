//! Trains the paper's tilers (section 4.1.1): the variable auto-tiler part by part, the independent ones, and the
//! simple autoencoder.
//!
//! The paper names neither loss nor optimiser nor batch: here they are the mean squared error of the feature map
//! in shares of its variance at the point (so that learning rates mean the same at each), Adam, and 16.

pub mod features;
mod recipe;
mod run;
mod sequence;

pub use features::{FeatureError, Features, Pictures};
pub use recipe::{CoreTurns, LearningRates, PaperRecipe, Variant};

use std::path::Path;

use autotiler_core::{CompressionRatio, Digest, LayerIndex};
use autotiler_graph::{
    GraphError,
    darknet::Network,
    tiler::{AutoTiler, PaperError, PaperPlan, TilerError},
};
use autotiler_model::TilerKind;
use serde::{Deserialize, Serialize};
use tch::{Device, TchError};

use self::{run::Setting, sequence::Sequence};
use super::checkpoint::CheckpointError;
use crate::executor::ExecutorError;

/// Errors of one epoch, as shares of the point's variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochScore {
    /// Passes made; 0 is the start.
    pub epoch: u32,
    /// On the pictures that are learned from, while learning; none at the start.
    pub training: Option<f64>,
    /// On the others.
    pub validation: f64,
}

/// What a training says while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PaperProgress {
    /// The detector looks at pictures.
    Pictures {
        /// What for.
        purpose: &'static str,
        /// Looked at.
        seen: usize,
        /// Of so many.
        of: usize,
    },
    /// A run begins.
    Run {
        /// Its name.
        run: String,
        /// Its place, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// One step.
    Step {
        /// The run.
        run: String,
        /// Which pass, from 1.
        epoch: u32,
        /// Steps made in this pass.
        step: usize,
        /// Steps of a pass.
        of: usize,
        /// Mean error in this pass so far.
        error: f64,
    },
    /// A pass is over; or, as epoch 0, none is made yet.
    Epoch {
        /// The run.
        run: String,
        /// Its scores.
        score: EpochScore,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A run is over.
    Finished {
        /// The run.
        run: String,
        /// Least validation error.
        error: f64,
        /// Whether an earlier process trained it.
        read: bool,
    },
}

/// A trained tiler on its way into the model.
pub struct PaperTiler<'a> {
    /// Which member of the family.
    pub kind: TilerKind,
    /// The tiler.
    pub tiler: &'a dyn AutoTiler,
    /// Its validation error after training, in shares of the point's variance.
    pub error: f64,
}

/// The scores of one run, for a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaperCurve {
    /// The run.
    pub run: String,
    /// After each epoch, the first that of the start.
    pub scores: Vec<EpochScore>,
}

/// Why a training ended early. Finished runs stay, and are not repeated.
#[derive(Debug, thiserror::Error)]
pub enum PaperTrainingError {
    /// The loss is no number any more.
    #[error("{run}, epoch {epoch}: the loss is {loss}; lower its learning rate")]
    Diverged {
        /// The run.
        run: String,
        /// The epoch.
        epoch: u32,
        /// The loss.
        loss: f64,
    },
    /// A point that the network does not have.
    #[error("layer {0} does not exist")]
    NoLayer(LayerIndex),
    /// Points that make no plan.
    #[error("planning the paper's tilers")]
    Plan(#[from] PaperError),
    /// A tiler of impossible dimensions.
    #[error("laying out the tiler of layer {layer} at compression ratio {cr}")]
    Tiler {
        /// Its layer.
        layer: LayerIndex,
        /// Its ratio.
        cr: CompressionRatio,
        /// Why.
        #[source]
        source: TilerError,
    },
    /// No such graph.
    #[error("laying out the tiler's graph")]
    Graph(#[from] GraphError),
    /// No feature maps.
    #[error("asking the detector for feature maps")]
    Features(#[from] FeatureError),
    /// The tiler did not run.
    #[error("running the tiler")]
    Network(#[from] ExecutorError),
    /// libtorch refused.
    #[error("training step")]
    Torch(#[from] TchError),
    /// The file of a finished run.
    #[error("a finished run")]
    Checkpoint(#[from] CheckpointError),
    /// A trained tiler could not be put away.
    #[error("storing a trained tiler")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody asked to stop.
    #[error("stopped; finished runs are kept in the work directory")]
    Stopped,
}

/// Takes a finished tiler, say into a model directory.
pub type Store<'a> = dyn FnMut(PaperTiler<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a;

/// What a training works with.
pub struct PaperCourse<'a> {
    /// The detector.
    pub network: &'a Network,
    /// Digest of the detector: finished runs of another are not taken.
    pub digest: Digest,
    /// To learn from.
    pub training: &'a dyn Pictures,
    /// To choose with.
    pub validation: &'a dyn Pictures,
    /// Where tensors live.
    pub device: Device,
    /// Where finished runs are kept.
    pub work: &'a Path,
    /// Asked between steps: whether to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Takes each finished tiler.
    pub store: &'a mut Store<'a>,
    /// Told what happens.
    pub report: &'a mut dyn FnMut(&PaperProgress),
}

/// Trains what the recipe says, or reads what an earlier process has trained from the same, and hands over each
/// tiler. Yields the curves of all runs in their order.
///
/// # Errors
/// [`PaperTrainingError`].
pub fn train(
    recipe: &PaperRecipe,
    course: &mut PaperCourse<'_>,
) -> Result<Vec<PaperCurve>, PaperTrainingError> {
    let layers = recipe.points.map(LayerIndex);
    let shape = |&layer: &LayerIndex| {
        let found = course.network.layer(layer).ok_or(PaperTrainingError::NoLayer(layer))?;
        Ok((layer, found.shape))
    };
    let points = layers.iter().map(shape).collect::<Result<Vec<_>, PaperTrainingError>>()?;
    let plan = PaperPlan::new(&points)?;
    let (network, at) = (course.network, (course.device, recipe.memory_mib));
    let report = &mut *course.report;
    let mut gather = |pictures, limit, purpose| {
        let mut seen = |seen, of| report(&PaperProgress::Pictures { purpose, seen, of });
        Features::gather(network, &layers, pictures, limit, at, (purpose, &mut seen))
    };
    let training = gather(course.training, recipe.pictures, "learn from")?;
    let validation = gather(course.validation, recipe.validation_pictures, "validate with")?;
    let setting = Setting {
        recipe,
        network: course.digest,
        device: course.device,
        training: &training,
        validation: &validation,
        work: course.work,
        stop: course.stop,
    };
    Sequence::new(&setting, &plan, course.store, course.report).run()
}

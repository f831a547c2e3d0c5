//! Why a figure cannot be made.

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_graph::{
    EngineError, GraphError,
    darknet::{BuildError, CfgError, Yolov3Error},
    partition::PartitionError,
    tiler::{PaperError, TilerError},
};
use autotiler_hevc::{BadFormat, DecodeError, EncodeError};
use autotiler_model::{ModelError, TilerKind, WeightsError, files::FileError};
use autotiler_pipeline::PipelineError;

use crate::{error::EvalError, similarity::SimilarityError};

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// A tiler that the figure compares is not in the model.
    #[error(
        "the model has no {kind} tiler for layer {layer} at compression ratio {cr}; make it with: {}",
        command(*kind, *layer)
    )]
    NoTiler {
        /// Member of the family.
        kind: TilerKind,
        /// Partition point.
        layer: LayerIndex,
        /// Compression ratio.
        cr: CompressionRatio,
    },
    /// The network has not the five points that the paper's figures are about.
    #[error("planning the paper's five points")]
    Plan(#[from] PaperError),
    /// No picture is left after those that failed.
    #[error("no picture to look at")]
    NoPicture,
    /// A setting that was asked for was not measured.
    #[error("{method} was not measured at {setting}")]
    NotMeasured {
        /// The method.
        method: String,
        /// The setting.
        setting: String,
    },
    /// Measuring.
    #[error(transparent)]
    Eval(Box<EvalError>),
    /// Planes that have no likeness.
    #[error("comparing planes")]
    Similarity(#[from] SimilarityError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stage.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A tiler of the paper's shapes.
    #[error("building a tiler")]
    Tiler(#[from] TilerError),
    /// A graph.
    #[error("laying out a graph")]
    Graph(#[from] GraphError),
    /// Its storage.
    #[error("counting a tiler's bytes")]
    Weights(#[from] WeightsError),
    /// The network of the paper's shapes.
    #[error("describing YOLOv3")]
    Yolov3(#[from] Yolov3Error),
    /// The same.
    #[error("reading YOLOv3's description")]
    Cfg(#[from] CfgError),
    /// The same.
    #[error("building YOLOv3")]
    Build(#[from] BuildError),
    /// The same.
    #[error("cutting YOLOv3")]
    Partition(#[from] PartitionError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A plane that HEVC cannot carry.
    #[error("choosing the coded format")]
    Format(#[from] BadFormat),
    /// The encoder.
    #[error("coding")]
    Encode(#[from] EncodeError),
    /// The decoder.
    #[error("decoding")]
    Decode(#[from] DecodeError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<EvalError> for FigureError {
    fn from(error: EvalError) -> Self {
        Self::Eval(Box::new(error))
    }
}

/// What makes a missing tiler.
fn command(kind: TilerKind, layer: LayerIndex) -> String {
    match kind {
        TilerKind::Paper | TilerKind::PaperSolo | TilerKind::Ae => {
            "autotiler train tilers --preset paper --model M --data VOCDIR".to_owned()
        }
        TilerKind::Lite => "autotiler train tilers --preset lite --model M --data VOCDIR".to_owned(),
        TilerKind::Plain | TilerKind::Klt | TilerKind::Omni => {
            format!("autotiler fit --kind {kind} --layer {layer} --model M --data VOCDIR")
        }
    }
}

//! What can stop an evaluation.

use std::path::PathBuf;

use autotiler_graph::{EngineError, GraphError, partition::PartitionError};
use autotiler_hevc::{BadFormat, DecodeError, EncodeError, OutOfReach};
use autotiler_model::{ModelError, files::FileError};
use autotiler_pipeline::PipelineError;
use autotiler_scene::picture::PictureError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// No picture of the set could be read.
    #[error("the set {0} has no usable picture")]
    NoPictures(String),
    /// No object in the truth of any picture: no average precision is defined.
    #[error(
        "the set {0} has no object of the network's classes, so no average precision; check its annotations"
    )]
    NoObjects(String),
    /// A setting that the method does not have.
    #[error("{method} cannot be coded at {setting}")]
    Setting {
        /// The method.
        method: String,
        /// The setting.
        setting: String,
    },
    /// A picture did not get through.
    #[error("carrying {picture} by {method}")]
    Carry {
        /// The picture.
        picture: String,
        /// The method.
        method: String,
        /// Why.
        #[source]
        source: Box<EvalError>,
    },
    /// A worker thread died.
    #[error("a worker of the evaluation panicked")]
    Worker,
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stage.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A graph.
    #[error("laying out a graph")]
    Graph(#[from] GraphError),
    /// The network cannot be cut there.
    #[error("cutting the network")]
    Partition(#[from] PartitionError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A size that HEVC cannot carry.
    #[error("choosing the coded format")]
    Format(#[from] BadFormat),
    /// The encoder.
    #[error("coding")]
    Encode(#[from] EncodeError),
    /// Bits that the planes cannot be coded to.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// The decoder.
    #[error("decoding")]
    Decode(#[from] DecodeError),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A JPEG file.
    #[error("coding a JPEG file")]
    Jpeg(#[from] image::ImageError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of ours that cannot be read back.
    #[error("{} is damaged; remove it and run again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        #[source]
        source: serde_json::Error,
    },
    /// A table that cannot be written.
    #[error("writing {}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The writer's words.
        #[source]
        source: csv::Error,
    },
    /// Heads of another network.
    #[error(transparent)]
    Divergence(#[from] crate::divergence::DivergenceError),
    /// A plot.
    #[error("plotting")]
    Plot(#[from] autotiler_plot::PlotError),
    /// A choice that cannot be written or read.
    #[error("{}: no choice of tilers", path.display())]
    Choice {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and key.
        #[source]
        source: serde_yaml::Error,
    },
    /// A choice that was measured on another network, or is of another format.
    #[error("{} is of another network or format; choose again with: autotiler eval compare --set val --choose", path.display())]
    OtherChoice {
        /// The file.
        path: PathBuf,
    },
    /// Something else than floats from a head, or a missing output.
    #[error("the engine yielded {0}")]
    Output(&'static str),
}

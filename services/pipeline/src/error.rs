//! What can go wrong in a stage.

use autotiler_graph::{EngineError, GraphError, partition::PartitionError};
use autotiler_hevc::BadFormat;
use autotiler_model::ModelError;

/// A stage that cannot be made, or a frame that it cannot take.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The model lacks what the operating point needs.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be cut there.
    #[error("cutting the network")]
    Partition(#[from] PartitionError),
    /// Tiler and network do not fit.
    #[error("joining network and tiler")]
    Graph(#[from] GraphError),
    /// A plane that HEVC cannot carry.
    #[error("choosing the coded format")]
    Format(#[from] BadFormat),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A picture that is no 4:2:0 picture.
    #[error(transparent)]
    Picture(#[from] autotiler_scene::picture::PictureError),
    /// A decoded frame of another size than the operating point has.
    #[error("decoded frame has {got} bytes, the operating point has {expected}")]
    FrameLength {
        /// Bytes of the format.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The heads are not those of the network.
    #[error("reading the raw heads")]
    Heads(#[from] autotiler_core::yolo::DecodeError),
    /// The engine yielded something else than the graph promises.
    #[error("the engine yielded {0}")]
    Output(String),
}

//! What runs a [`Graph`].

use crate::{graph::Graph, tensor::Tensor};

/// Loads graphs. Cheap to clone or share; a [`Session`] belongs to one thread.
pub trait Engine: Send + Sync {
    /// Short name for logs and reports, like `onnx` or `torch-cpu`.
    fn name(&self) -> &str;

    /// Makes `graph` ready to run.
    ///
    /// # Errors
    /// [`EngineError`] when the runtime refuses the graph.
    fn load(&self, graph: &Graph) -> Result<Box<dyn Session>, EngineError>;
}

/// One loaded graph.
pub trait Session: Send {
    /// Runs one batch: `inputs` as in [`Graph::inputs`], all of one batch size; results as in
    /// [`Graph::outputs`].
    ///
    /// # Errors
    /// [`EngineError`] for a wrong shape or kind of input, or a fault of the runtime.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError>;
}

/// What went wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The runtime's library is missing or of a wrong version.
    #[error("{engine}: runtime not available: {hint}")]
    Unavailable {
        /// Name of the engine.
        engine: &'static str,
        /// What to do.
        hint: String,
        /// The runtime's own words.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The graph has something that this engine cannot run.
    #[error("{engine}: loading the graph")]
    Load {
        /// Name of the engine.
        engine: &'static str,
        /// The runtime's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An input does not fit the graph.
    #[error("input {index}: expected {expected}, got {got}")]
    Input {
        /// Which input.
        index: usize,
        /// What the graph wants.
        expected: String,
        /// What came.
        got: String,
    },
    /// A fault while running.
    #[error("{engine}: running the graph")]
    Run {
        /// Name of the engine.
        engine: &'static str,
        /// The runtime's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

//! [`Engine`] over ONNX Runtime.

use std::path::PathBuf;

use autotiler_graph::{Engine, EngineError, Graph, Session};
use ort::{
    environment::Environment,
    session::{
        Session as OrtSession,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use crate::{export, library, session::OnnxSession, slow::SlowSession};

/// Name of this engine in logs and errors.
pub(crate) const ENGINE: &str = "onnx";

/// How sessions are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxOptions {
    /// `libonnxruntime.so`; `None` asks the system's loader for it.
    pub library: Option<PathBuf>,
    /// Threads of one session, the caller's included; 0 is taken as 1.
    pub threads: usize,
    /// Whether waiting threads of a session spin: a little faster, and a whole core busy. Only for a machine
    /// that has nothing else to do.
    pub spinning: bool,
    /// Runs take so many times as long, the rest of it waiting: a slower device, for trials. 0 is
    /// taken as 1.
    pub slowdown: u32,
}

impl Default for OnnxOptions {
    /// The system's library, one thread, no spinning, as fast as this machine is.
    fn default() -> Self {
        Self { library: None, threads: 1, spinning: false, slowdown: 1 }
    }
}

/// Loads graphs into ONNX Runtime. All engines of one process share the library and its environment.
#[derive(Debug, Clone)]
pub struct OnnxEngine {
    environment: Environment,
    threads: usize,
    spinning: bool,
    slowdown: u32,
}

impl OnnxEngine {
    /// Opens the library, once per process.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when the library is missing or too old, or when this process already uses
    /// another one.
    pub fn new(options: OnnxOptions) -> Result<Self, EngineError> {
        let OnnxOptions { library, threads, spinning, slowdown } = options;
        let environment = library::open(library.as_deref())?;
        Ok(Self { environment, threads: threads.max(1), spinning, slowdown })
    }

    /// What every session gets. Detectors are nearly chains of operators, so one inter-op thread is all they
    /// can use. Memory arena and patterns keep their defaults (on): a process with a network of 3 MB stays
    /// below 60 MiB so.
    fn builder(&self) -> ort::Result<SessionBuilder> {
        let inter_threads = 1;
        let builder = SessionBuilder::new(&self.environment)?
            // Above the "extended" level, for the blocked layout of convolutions, which halves the time.
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(self.threads)?
            .with_inter_threads(inter_threads)?
            .with_intra_op_spinning(self.spinning)?
            .with_inter_op_spinning(false)?;
        Ok(builder)
    }
}

impl Engine for OnnxEngine {
    fn name(&self) -> &str {
        ENGINE
    }

    fn load(&self, graph: &Graph) -> Result<Box<dyn Session>, EngineError> {
        let exported = export::export(graph).map_err(load_error)?;
        let mut builder = self.builder().map_err(load_error)?;
        let session = builder.commit_from_memory(&exported.bytes);
        let session: OrtSession = session.map_err(load_error)?;
        let session = OnnxSession::new(session, exported.inputs, exported.outputs);
        Ok(if self.slowdown > 1 {
            Box::new(SlowSession::new(session, self.slowdown))
        } else {
            Box::new(session)
        })
    }
}

fn load_error(error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
    EngineError::Load { engine: ENGINE, source: Box::new(error) }
}

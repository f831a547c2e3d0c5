//! The libtorch engine, and training.
//!
//! [`Executor`] runs a graph with weights that may carry gradients; [`TorchEngine`] puts it behind the
//! `Engine` trait for inference; [`train`] makes detectors and tilers. Nothing outside this crate names tch.

pub mod engine;
pub mod executor;
pub mod parameters;
pub mod train;

pub use engine::{Precision, TorchEngine, set_threads};
pub use executor::{Executor, ExecutorError, Mode};
pub use parameters::Parameters;

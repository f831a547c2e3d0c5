//! The engine on ONNX Runtime: default on a CPU, for devices and decoders.
//!
//! A [`Graph`](autotiler_graph::Graph) is written as an ONNX model in memory ([`to_onnx`]) and handed to the
//! runtime's optimiser. The library is opened at run time from a path given by the caller; nothing here reads
//! the environment, and nothing here knows of devices, codecs or the network.

mod engine;
mod export;
mod library;
mod session;
mod slow;

pub use engine::{OnnxEngine, OnnxOptions};
pub use export::{ExportError, to_onnx};

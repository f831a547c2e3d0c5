//! The stages of a frame on device and server: picture to plane, plane to raw heads, raw heads to boxes.
//!
//! Edge, decoder and evaluation run these same stages, so what is scored is what is served. No threads, no
//! network, no clock: whoever calls brings them.

pub mod boxes;
pub mod device;
pub mod error;
pub mod server;

pub use boxes::{BoxFinder, BoxOptions};
pub use device::{DeviceOutput, DeviceStage, input_tensor};
pub use error::PipelineError;
pub use server::{CodedFrame, RawHeads, ServerSource, ServerStage};

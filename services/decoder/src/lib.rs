//! The server's side of a frame: access unit in, published detections out.
//!
//! `intake` takes frames off the broker, holds each header to the model and gets the parameter sets of its
//! stream; one `worker` thread owns the HEVC sessions and the engine's stages; `outbox` publishes the answers.
//! Between them are bounded hand-offs, and a `ticket` for each frame sees to it that there is exactly one
//! answer. Nothing of a frame is kept: any decoder of the queue group can take any frame.

pub mod args;
mod backlog;
mod catalogue;
#[cfg(test)]
mod fixture;
mod intake;
mod json_lines;
mod metrics;
mod outbox;
mod parameters;
pub mod service;
mod stages;
mod thread;
mod ticket;
mod worker;

pub use args::{AdminAddress, Args, Config};
pub use service::{Service, ServiceError};

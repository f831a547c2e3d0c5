//! The wire: one frame is one message, one answer is one message. `wire/README.md` beside this file has the bytes.

pub mod answer;
pub mod frame;
mod reader;

pub use answer::{Answer, AnswerError, LossReason, ServerTimes};
pub use frame::{FrameError, FrameHeader, HEADER_LEN, Payload, VERSION};

#[cfg(test)]
mod golden;

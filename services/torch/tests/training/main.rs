//! Whole training runs, small enough to be watched: they reach what they should, repeat, and resume.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod detector;
mod gradients;
mod job;
mod omni;
mod paper;
mod program;
mod tiler;

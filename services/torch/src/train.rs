//! Training of detectors and tilers.
//!
//! Everything here repeats exactly for one seed, one number of threads and one machine: batches are made
//! from the number of the step alone, so a run that is resumed sees what an unbroken one would.

pub mod anchors;
pub mod checkpoint;
pub mod detector;
mod learner;
pub mod loader;
pub mod omni;
pub mod optimizer;
pub mod paper;
pub mod recipe;
pub mod score;
pub mod street;
pub mod tiler;
pub mod tilers;
pub mod yolo;

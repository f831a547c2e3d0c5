//! Evaluation: runs methods over data sets, compares their rate-accuracy curves, makes every figure and table.

pub mod bootstrap;
mod cache;
pub mod carry;
pub mod choice;
pub mod compare;
pub mod curve;
pub mod divergence;
pub mod error;
pub mod figures;
pub mod method;
pub mod pictures;
pub mod profile;
pub mod report;
pub mod show;
pub mod similarity;
pub mod standing;
pub mod table;
pub mod workbench;

pub use carry::Workshop;
pub use error::EvalError;
pub use method::{Coding, Method, Setting};
pub use pictures::{PictureSet, Sample, SetError};
pub use workbench::{Measured, Outcome, Trial, Watcher, Workbench};

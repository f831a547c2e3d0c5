//! Recorded links replayed against the project's own decisions, in virtual time.
//!
//! The device, its link and its controller run event by event; guard, bits, capacity mean, choice and hysteresis are
//! those of `autotiler-core`, not copies. Beside them stand a per-frame oracle, a clairvoyant with the real queue,
//! and every static point. Nothing here reads files, clocks or the network.

pub mod clairvoyant;
mod controller;
mod device;
mod event;
pub mod metric;
pub mod oracle;
mod queue;
pub mod report;
pub mod run;
pub mod trace;
pub mod way;
pub mod world;

pub use metric::{Effective, Spread};
pub use report::{LinkReport, Strategy, TraceFigures, best_on_average, mean_row, study};
pub use run::{Outcome, Plan, run};
pub use trace::{BadTrace, Trace};
pub use world::{Settings, World};

//! The device process, as a library: source, head and tiler encoder, HEVC, NATS, and the accounts of every frame.
//!
//! Each stage is a thread behind a bounded hand-off; only the link to the broker is async. A camera's newest
//! picture counts and its late ones are dropped by reason; a file's pictures wait.

pub mod args;
pub mod fate;
pub mod frame;
pub mod guarding;
pub mod handoff;
pub mod helm;
pub mod ledger;
pub mod line;
pub mod link;
pub mod metrics;
pub mod orders;
pub mod prepared;
pub mod preparer;
pub mod report;
pub mod results;
pub mod run;
pub mod source;
pub mod stages;
pub mod telemetry;

pub use args::Args;
pub use report::Report;
pub use run::{Config, Pacing, run};

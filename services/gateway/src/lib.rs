//! The bridge from NATS to Prometheus, as a library.
//!
//! Devices sit behind gateways and firewalls, where nobody can scrape them. They say on NATS how they do; here the
//! newest word of each is shown, for as long as it speaks. A silent device has no series, so that nobody takes the
//! past for the present, and what a device does not know is absent, never 0.

pub mod args;
pub mod fleet;
pub mod metrics;
pub mod run;
pub mod series;

pub use args::Args;
pub use fleet::Fleet;
pub use run::{Config, run};

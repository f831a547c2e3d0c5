//! What devices say on NATS, for everybody outside of it, as a library.
//!
//! Devices sit behind gateways and firewalls, where nobody can scrape them. They say on NATS how they do; here the
//! newest word of each is shown, for as long as it speaks: as series for Prometheus, as a JSON API, and as a page for
//! people. A silent device has no series, so that nobody takes the past for the present, and what a device does not
//! know is absent, never 0. What devices send is asked for only while somebody looks.

pub mod api;
pub mod args;
pub mod controller;
pub mod feed;
#[cfg(test)]
mod fixture;
pub mod fleet;
pub mod live;
pub mod metrics;
pub mod run;
pub mod series;
pub mod trail;
pub mod writer;

pub use api::Api;
pub use args::Args;
pub use fleet::Fleet;
pub use run::{Config, run};

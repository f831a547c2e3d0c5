//! The controller, as a library: observe, validate, decide, apply.
//!
//! What people want comes as a [`Catalog`](catalog::Catalog), from files or from a cluster; what is measured comes from
//! Prometheus; what devices say comes over NATS, and orders go there. With none of them the data path goes on.

pub mod args;
pub mod board;
pub mod catalog;
pub mod cluster;
pub mod control;
pub mod files;
pub mod fleet;
pub mod metrics;
pub mod observe;
pub mod run;
mod schedule;
pub mod sweep;

pub use args::Args;
pub use run::run;

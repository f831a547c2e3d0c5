//! What every process of ours needs around its work: logs, metrics, admin endpoints, readiness, shutdown.
//!
//! Knows nothing of frames, networks or NATS, and holds no globals but the subscriber of `tracing`:
//! `main` owns the registry, the readiness and the token, and hands them down.

pub mod admin;
pub mod log;
pub mod metrics;
pub mod readiness;
pub mod shutdown;

pub use admin::{Admin, AdminError};
pub use log::{LogError, LogFormat, LogOptions};
pub use metrics::{Component, SECONDS_BUCKETS, StageTimes, bytes_buckets};
pub use readiness::{Latch, Readiness};
pub use shutdown::{DeadlinePassed, SignalError, cancel_on_signal, drain_with_deadline};

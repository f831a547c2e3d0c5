//! Roles at a real nats-server: each does its whole work, and nothing of another's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions that clippy knows as tests"
)]

mod refusals;
mod site;
mod tls;
mod work;

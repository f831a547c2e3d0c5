//! The way of a frame through real processes: nats-server, `autotiler-decoder`, `autotiler-edge`, ffmpeg.
//!
//! Each test starts its own, with a tiny model that is made on the spot. Build the binaries first
//! (`cargo build --bins`).

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts;
#[allow(dead_code, reason = "the other target uses all of it")]
#[path = "../link/audit.rs"]
mod audit;
mod bad_starts;
mod faults;
mod guard;
mod model;
mod orders;
mod outputs;
mod rig;
mod sharing;
mod switches;
mod way;

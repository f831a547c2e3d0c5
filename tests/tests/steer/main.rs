//! The controller through real processes: nats-server with JetStream, Prometheus, and kube-apiserver with etcd.
//!
//! The device and its exporter are stand-ins here, so that the link has exactly the capacity that a scenario says; one
//! scenario has the real edge, decoder and gateway instead.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cluster;
mod device;
mod exporter;
mod files;
#[allow(dead_code, reason = "the other target uses all of it")]
#[path = "../stream/model.rs"]
mod model;
mod plugin;
mod reports;
mod scale;
mod stand;

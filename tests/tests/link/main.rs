//! A camera behind a link that the kernel shapes (tc, in network namespaces), with every part real: nats-server with
//! JetStream, gateway, Prometheus, controller, decoder, edge; in some, kube-apiserver with etcd too.
//!
//! In every scenario each frame has exactly one fate, and each one's detections are those of an undisturbed run
//! ([`audit`]). Without root there are no namespaces, and the scenarios say that they are skipped.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "the other target uses all of it")]
#[path = "../stream/accounts.rs"]
mod accounts;
mod audit;
mod camera;
mod cluster;
mod drop;
mod drops;
mod faults;
mod noise;
mod prediction;
mod signals;
mod simulated;
mod site;

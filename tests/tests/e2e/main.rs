//! The chart on a real cluster: the one that `tests/kind/up` makes, or whichever KUBECONFIG says. `make e2e` runs them
//! one after the other and prints what each has measured as a table.
//!
//! All are ignored by default: they need a cluster with the chart and two demo devices in it, and they hurt it.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts;
mod broker;
mod cluster;
mod dashboards;
mod decoders;
mod faults;
mod installation;
mod latency;
mod link;
mod page;
mod parts;
mod permissions;
mod shaper;

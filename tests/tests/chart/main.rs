//! The Helm chart: its values, its objects on a real API server, its alerts and its dashboards.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod accounts;
mod alerts;
mod copies;
mod dashboards;
mod helm;
mod objects;
mod values;

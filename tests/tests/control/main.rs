//! The Kubernetes side through real processes: etcd and kube-apiserver.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod api;
mod server;

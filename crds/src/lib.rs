//! The Kubernetes API of the project, group `autotiler.dev`, version `v1alpha1`.
//!
//! The Rust types are the source: the YAML in this folder is written by `cargo run -p autotiler-crds`, and a test fails
//! when it is stale. Types and rules only: nothing here speaks to a server.

// kube's derive makes a private twin of each type that has rules, with the type's own `pub`.
#![allow(unreachable_pub)]
// Printer columns repeat words; the lint takes each for an attribute of its own.
#![allow(clippy::duplicated_attributes)]

pub mod bit_rate;
mod bounds;
pub mod convert;
pub mod device;
pub mod duration;
pub mod manifest;
pub mod placement;
pub mod policy;
pub mod profile;
pub mod schema;

pub use bit_rate::BitRate;
pub use device::{EdgeDevice, EdgeDeviceSpec, EdgeDeviceStatus};
pub use duration::HumanDuration;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
pub use placement::{PlacementRoute, SafePoint};
pub use policy::{AutoTilerPolicy, AutoTilerPolicySpec, AutoTilerPolicyStatus};
pub use profile::{PartitionProfile, PartitionProfileSpec};

/// The API group of all kinds.
pub const GROUP: &str = "autotiler.dev";

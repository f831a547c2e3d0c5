//! What is known of a device, and why a policy may not be able to decide for it.

use std::{fmt, sync::Arc};

use autotiler_core::Digest;
use serde::Serialize;

use super::Explained;
use crate::catalog::PolicyName;

/// What is known of a device.
#[derive(Debug, Clone)]
pub enum Standing {
    /// No policy selects it.
    NoPolicy,
    /// Its policy has never heard of it.
    Silent(PolicyName),
    /// It speaks, and its policy cannot decide for it.
    LeftOut(PolicyName, LeftOut),
    /// Its last sweep.
    InControl(Arc<Explained>),
}

/// Why a policy cannot decide for a device that speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LeftOut {
    /// There is no usable profile.
    NoProfile,
    /// The profile was measured of another network.
    OtherNetwork {
        /// Digest of the device's network.
        device: Digest,
        /// Digest of the profile's network.
        profile: Digest,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProfile => {
                f.write_str("its policy has no usable profile: see the policy's condition ProfileResolved")
            }
            Self::OtherNetwork { device, profile } => write!(
                f,
                "its network is {device}, and the profile was measured of {profile}: measure the device's network with \
                 `autotiler profile`, or give the device the profile's"
            ),
        }
    }
}

//! Which operating point a device should have: predict, drop what is not allowed, take the best, do not flap.
//!
//! Neurosurgeon's decision (Kang et al., ASPLOS 2017: predict device, transfer and server time of every cut, take
//! the least) with bits and accuracy beside it. All of it is a pure function of a [`Profile`](crate::profile), a
//! [`Policy`], what was measured ([`Inputs`]) and what was decided before ([`Switching`]); time is an argument.
//!
//! 1. [`candidates`]: every measured point and rate, with what the policy says of it.
//! 2. [`Predicted::of`]: the time of each.
//! 3. [`choose`]: constraints, the frontier, the best, the runner-up.
//! 4. [`Switching`]: whether the best is worth a switch now.
//! 5. [`admit`]: how many devices may switch in one sweep.

mod candidate;
mod choice;
mod drift;
mod policy;
mod predict;
mod safe_point;
mod signal;
mod sweep;
mod switching;

pub use candidate::{Candidate, candidates};
pub use choice::{Choice, Constraint, Judged, RuledOut, Unmet, choose};
pub use drift::{DeviceDrift, Drift, DriftAlarm};
pub use policy::{
    BadPolicy, Behavior, BitsMode, CandidateRules, Constraints, Fallback, FallbackAction, GuardPolicy,
    Metrics, Objective, Permission, Policy, SafePoint, SwitchBudget, Turn,
};
pub use predict::{FRAME_OVERHEAD_BITS, Inputs, Predicted};
pub use safe_point::safe_point;
pub use signal::{Signal, Warmup};
pub use sweep::admit;
pub use switching::{Direction, Held, Proposal, Switching, Verdict};

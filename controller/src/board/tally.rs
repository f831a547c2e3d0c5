//! A policy's devices, counted by state.

use autotiler_core::decision::Constraint;

use super::Explained;
use crate::control::Outcome;

/// Devices by state; a device may be in several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Have applied their assignment.
    pub synced: u32,
    /// Without fresh metrics.
    pub stale: u32,
    /// In fallback.
    pub fallback: u32,
    /// Held by a pin.
    pub pinned: u32,
    /// Held at their safe point by their own guard.
    pub guarded: u32,
    /// Their flap budget is spent.
    pub limited: u32,
    /// A constraint cannot be met.
    pub infeasible: u32,
    /// No point is accurate enough: they stay where they are.
    pub inaccurate: u32,
    /// Their stages long take another time than their profile says.
    pub drifted: u32,
}

impl Tally {
    /// Counts `devices`.
    pub fn of<'e>(devices: impl IntoIterator<Item = &'e Explained>) -> Self {
        let mut tally = Self::default();
        for one in devices {
            let outcome = one.decided.outcome;
            tally.synced += u32::from(one.synced);
            tally.stale += u32::from(matches!(outcome, Outcome::Blind | Outcome::Fallback));
            tally.fallback += u32::from(outcome == Outcome::Fallback);
            tally.pinned += u32::from(outcome == Outcome::Pinned);
            tally.guarded += u32::from(one.telemetry.guarded_for_ms.is_some());
            tally.limited += u32::from(one.limited);
            let unmet = one.decided.choice.as_ref().and_then(|choice| choice.unmet);
            tally.infeasible += u32::from(unmet.is_some());
            tally.inaccurate +=
                u32::from(unmet.is_some_and(|unmet| unmet.constraint == Constraint::Accuracy));
            tally.drifted += u32::from(one.drifted.is_some());
        }
        tally
    }

    /// Each count with its name.
    pub fn named(&self) -> [(&'static str, u32); 9] {
        [
            ("synced", self.synced),
            ("stale", self.stale),
            ("fallback", self.fallback),
            ("pinned", self.pinned),
            ("guarded", self.guarded),
            ("limited", self.limited),
            ("infeasible", self.infeasible),
            ("inaccurate", self.inaccurate),
            ("drifted", self.drifted),
        ]
    }
}

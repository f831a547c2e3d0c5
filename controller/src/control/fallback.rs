//! What the policy wants when nothing fresh has been known of a device for some sweeps.

use std::time::Duration;

use autotiler_core::{
    OperatingPoint,
    decision::{Fallback, FallbackAction, Policy},
};
use serde::Serialize;

/// A fallback at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acting {
    /// What it does now.
    pub action: FallbackAction,
    /// Where it wants the device; none where it leaves it.
    #[serde(skip)]
    pub to: Option<OperatingPoint>,
    /// Since it began, in milliseconds.
    pub for_ms: u64,
    /// What follows a hold.
    pub then: Option<Then>,
}

/// What follows a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Then {
    /// In so many milliseconds.
    pub in_ms: u64,
    /// This.
    pub action: FallbackAction,
}

/// How long a device has been out of sight.
#[derive(Debug, Default)]
pub(super) struct Blindness {
    sweeps: u32,
    since: Option<Duration>,
}

impl Blindness {
    /// Takes note of a sweep; what the fallback does, if it acts.
    pub(super) fn observe(&mut self, now: Duration, fresh: bool, policy: &Policy) -> Option<Acting> {
        if fresh {
            *self = Self::default();
            return None;
        }
        self.sweeps = self.sweeps.saturating_add(1);
        let Fallback { failure_threshold, action, hold_limit, after_hold } = policy.fallback;
        if self.sweeps < failure_threshold {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let acted = now.saturating_sub(since);
        let holds = action == FallbackAction::Hold && acted < hold_limit;
        let action = if action == FallbackAction::Hold && !holds { after_hold } else { action };
        let to = match action {
            FallbackAction::Hold => None,
            FallbackAction::Static(point) => Some(point),
            FallbackAction::DeviceOnly => Some(OperatingPoint::device_only()),
        };
        let to = to.filter(|point| policy.candidates.allows_in_need(point.route));
        let then =
            holds.then(|| Then { in_ms: millis(hold_limit.saturating_sub(acted)), action: after_hold });
        Some(Acting { action, to, for_ms: millis(acted), then })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_then_goes_where_the_policy_says_and_ends_with_a_fresh_sample() {
        let policy = Policy::default();
        let mut blindness = Blindness::default();
        let mut at = |second, fresh| blindness.observe(Duration::from_secs(second), fresh, &policy);
        assert_eq!((at(0, false), at(1, false)), (None, None));
        let hold = at(2, false).unwrap();
        assert_eq!((hold.action, hold.to, hold.for_ms), (FallbackAction::Hold, None, 0));
        let then = Then { in_ms: 1_000, action: FallbackAction::DeviceOnly };
        assert_eq!(at(601, false).unwrap().then, Some(then));
        let alone = at(602, false).unwrap();
        assert_eq!((alone.to, alone.then), (Some(OperatingPoint::device_only()), None));
        assert_eq!(at(603, true), None);
        assert_eq!(at(604, false), None, "the count starts again");
    }

    #[test]
    fn goes_at_once_to_a_static_point_but_not_where_it_may_not() {
        let point: OperatingPoint = "server-only,bits=9k".parse().unwrap();
        let mut policy = Policy::default();
        policy.fallback.action = FallbackAction::Static(point);
        policy.fallback.failure_threshold = 1;
        let first = |policy: &Policy| Blindness::default().observe(Duration::ZERO, false, policy).unwrap();
        assert_eq!(first(&policy).to, Some(point));
        policy.candidates.server_only = autotiler_core::decision::Permission::Forbidden;
        assert_eq!(first(&policy).to, None);
    }
}

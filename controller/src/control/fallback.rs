//! What the policy wants when nothing fresh has been known of a device for some sweeps.

use std::time::Duration;

use autotiler_core::{
    OperatingPoint,
    decision::{Fallback, FallbackAction, Policy},
};

/// How long a device has been out of sight.
#[derive(Debug, Default)]
pub(super) struct Blindness {
    sweeps: u32,
    since: Option<Duration>,
}

impl Blindness {
    /// Takes note of a sweep. The outer `Some`: the fallback acts; the inner: it wants this point.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        fresh: bool,
        policy: &Policy,
    ) -> Option<Option<OperatingPoint>> {
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
        let held_enough = action == FallbackAction::Hold && now.saturating_sub(since) >= hold_limit;
        let action = if held_enough { after_hold } else { action };
        let point = match action {
            FallbackAction::Hold => None,
            FallbackAction::Static(point) => Some(point),
            FallbackAction::DeviceOnly => Some(OperatingPoint::device_only()),
        };
        Some(point.filter(|point| policy.candidates.allows_in_need(point.route)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn holds_then_goes_where_the_policy_says_and_ends_with_a_fresh_sample() {
        let policy = Policy::default();
        let mut blindness = Blindness::default();
        assert_eq!([0, 1].map(|second| blindness.observe(at(second), false, &policy)), [None, None]);
        assert_eq!(blindness.observe(at(2), false, &policy), Some(None), "hold");
        assert_eq!(blindness.observe(at(601), false, &policy), Some(None));
        let alone = Some(Some(OperatingPoint::device_only()));
        assert_eq!(blindness.observe(at(602), false, &policy), alone);
        assert_eq!(blindness.observe(at(603), true, &policy), None);
        assert_eq!(blindness.observe(at(604), false, &policy), None, "the count starts again");
    }

    #[test]
    fn goes_at_once_to_a_static_point_but_not_where_it_may_not() {
        let point: OperatingPoint = "server-only,bits=9k".parse().unwrap();
        let mut policy = Policy::default();
        policy.fallback.action = FallbackAction::Static(point);
        policy.fallback.failure_threshold = 1;
        assert_eq!(Blindness::default().observe(at(0), false, &policy), Some(Some(point)));
        policy.candidates.server_only = autotiler_core::decision::Permission::Forbidden;
        assert_eq!(Blindness::default().observe(at(0), false, &policy), Some(None));
    }
}

//! Where a device's guard goes while its link is dead.

use std::time::Duration;

use super::{GuardPolicy, Inputs, Policy, Predicted, SafePoint, candidates};
use crate::{
    operating_point::{OperatingPoint, Route},
    profile::Profile,
};

/// Capacity at which points are compared: what is left of a link at the edge of its cell.
const THIN_BPS: f64 = 100_000.0;
/// Deadline where the policy states none: a result that is later is of no use to anybody who watches.
const USUAL_DEADLINE: Duration = Duration::from_secs(1);

/// The policy's safe point: with [`SafePoint::Auto`] device-only where that meets the deadline, else what is fastest
/// at 100 kbit/s. The smallest is not: it does too much on the device. None where no guard is wanted or nothing is
/// allowed.
pub fn safe_point(profile: &Profile, policy: &Policy, inputs: &Inputs) -> Option<OperatingPoint> {
    let GuardPolicy { safe_point, .. } = policy.behavior.guard?;
    if let SafePoint::Point(point) = safe_point {
        return policy.candidates.allows_in_need(point.route).then_some(point);
    }
    let thin = Inputs { uplink_bps: THIN_BPS, server_queue_s: 0.0, ..*inputs };
    let accurate = |drop| drop <= policy.constraints.max_accuracy_drop_permille;
    let fit: Vec<(OperatingPoint, Predicted)> = candidates(profile, policy)
        .into_iter()
        .filter(|one| {
            policy.candidates.allows_in_need(one.point.route) && accurate(one.accuracy_drop_permille)
        })
        .filter_map(|one| Some((one.point, Predicted::of(&one, profile, &thin)?)))
        .collect();
    let deadline = policy.constraints.max_latency.unwrap_or(USUAL_DEADLINE);
    let alone = fit.iter().find(|(point, _)| point.route == Route::DeviceOnly);
    if let Some((point, _)) = alone.filter(|(_, predicted)| predicted.total() <= deadline) {
        return Some(*point);
    }
    fit.iter().min_by_key(|(_, predicted)| predicted.total_us).map(|(point, _)| *point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decision::{CandidateRules, Constraints, Permission, predict::tests::inputs},
        profile::tests::small,
    };

    fn safe(policy: &Policy) -> String {
        safe_point(&small(), policy, &inputs(5e6)).map_or("none".to_owned(), |point| point.to_string())
    }

    #[test]
    fn is_device_only_where_that_is_in_time_else_what_is_fastest_on_a_thin_link() {
        let policy = Policy::default();
        assert_eq!(safe(&policy), "device-only");
        let max_latency = Some(Duration::from_millis(300));
        let hurried =
            Policy { constraints: Constraints { max_latency, ..policy.constraints }, ..policy.clone() };
        assert_eq!(safe(&hurried), "layer=20,cr=4,bits=12k");
    }

    #[test]
    fn never_goes_where_the_policy_does_not_allow() {
        let rules = CandidateRules { device_only: Permission::Forbidden, ..CandidateRules::default() };
        assert_eq!(
            safe(&Policy { candidates: rules.clone(), ..Policy::default() }),
            "layer=20,cr=4,bits=12k"
        );
        let mut pinned = Policy { candidates: rules, ..Policy::default() };
        let point = OperatingPoint::device_only();
        pinned.behavior.guard.as_mut().unwrap().safe_point = SafePoint::Point(point);
        assert_eq!(safe(&pinned), "none");
        pinned.behavior.guard = None;
        assert_eq!(safe(&pinned), "none");
    }
}

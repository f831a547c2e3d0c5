//! The status of a policy, from the sweeps of its devices.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use autotiler_core::decision::Verdict;
use autotiler_crds::{
    AutoTilerPolicyStatus,
    policy::{AutoTilerPolicySpec, DeviceCounts, PointCount},
};

use super::{At, Said, Trouble, conditions, device::span, said};
use crate::{
    board::{Explained, PolicyState, Tally},
    control::Outcome,
};

/// Points that are shown.
const POINTS: usize = 16;

/// What is known of a policy.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct Known<'a> {
    /// What it says; none where it has never been understood.
    pub(in crate::cluster) spec: Option<&'a AutoTilerPolicySpec>,
    /// Its last sweep; none before the first.
    pub(in crate::cluster) state: Option<&'a PolicyState>,
    /// Its devices' last sweeps, by name.
    pub(in crate::cluster) devices: &'a [Arc<Explained>],
    /// Why it cannot be used.
    pub(in crate::cluster) trouble: Option<&'a Trouble>,
    /// Why its profile cannot be used.
    pub(in crate::cluster) profile_trouble: Option<&'a Trouble>,
}

/// The status of a policy.
pub(in crate::cluster) fn policy(
    before: &AutoTilerPolicyStatus,
    known: &Known<'_>,
    at: At,
) -> AutoTilerPolicyStatus {
    let Known { state, devices, .. } = *known;
    let Tally { synced, stale, fallback: fallen_back, pinned, drifted, .. } =
        Tally::of(devices.iter().map(|one| &**one));
    let matched = state.map_or(0, |state| u32::try_from(state.matched).unwrap_or(u32::MAX));
    let counts = DeviceCounts { matched, synced, stale, fallback: fallen_back, pinned, drifted };
    let resolved = state.is_some_and(|state| state.profile.is_some());
    let stalled = match (known.trouble, state) {
        (Some(_), _) => said("Stalled", true, "NeedsAChange", "its object must be changed: see Ready"),
        (None, Some(_)) if !resolved => {
            said("Stalled", true, "NeedsAChange", "it needs a usable PartitionProfile: see ProfileResolved")
        }
        _ => said("Stalled", false, "Working", ""),
    };
    let sweeping = known.trouble.is_none() && state.is_none();
    let new = vec![
        ready(known, resolved),
        said("Reconciling", sweeping, "FirstSweep", ""),
        stalled,
        metrics_fresh(state, stale),
        profile_resolved(known),
        fallback(devices, fallen_back),
        limited(devices),
        conflicted(state),
        profile_drifted(devices, drifted),
    ];
    AutoTilerPolicyStatus {
        observed_generation: at.generation,
        profile_digest: state.and_then(|state| state.profile).map(|digest| digest.to_string()),
        devices: counts,
        distribution: distribution(devices),
        conditions: conditions(&before.conditions, at, new),
    }
}

fn distribution(devices: &[Arc<Explained>]) -> Vec<PointCount> {
    let mut points: BTreeMap<String, u32> = BTreeMap::new();
    for order in devices.iter().filter_map(|one| one.order.as_ref()) {
        *points.entry(order.point.to_string()).or_default() += 1;
    }
    let mut distribution: Vec<_> =
        points.into_iter().map(|(point, devices)| PointCount { point, devices }).collect();
    distribution.sort_by_key(|one| (Reverse(one.devices), one.point.clone()));
    distribution.truncate(POINTS);
    distribution
}

fn ready(known: &Known<'_>, resolved: bool) -> Said {
    match (known.trouble, known.state) {
        (Some(Trouble { reason, message }), _) => said("Ready", false, reason, message),
        (None, _) if known.spec.is_some_and(|spec| spec.suspend) => {
            said("Ready", true, "Suspended", "suspended: devices keep what they have")
        }
        (None, None) => said("Ready", false, "Starting", "not swept yet"),
        (None, Some(_)) if !resolved => {
            said("Ready", false, "NoProfile", "spec.profileRef names no usable PartitionProfile")
        }
        (None, Some(_)) => said("Ready", true, "InForce", "the policy decides for its devices"),
    }
}

fn metrics_fresh(state: Option<&PolicyState>, stale: u32) -> Said {
    let errors = state.map(|state| state.errors.as_slice()).unwrap_or_default();
    // A queue that nobody has measured is no fault: a device that sends nothing waits nowhere.
    let first = errors.iter().find(|(signal, _)| *signal != "serverQueue");
    match (state, first) {
        (None, _) => Said::unknown("MetricsFresh", "Starting", "not swept yet"),
        (_, Some((signal, error))) => {
            said("MetricsFresh", false, "QueryFailed", format!("{signal}: {error}"))
        }
        (_, None) if stale > 0 => {
            said("MetricsFresh", false, "NotFresh", "devices without fresh metrics: see status.devices.stale")
        }
        _ => said("MetricsFresh", true, "Fresh", ""),
    }
}

fn profile_resolved(known: &Known<'_>) -> Said {
    const KIND: &str = "ProfileResolved";
    let Some(state) = known.state else { return Said::unknown(KIND, "Starting", "not swept yet") };
    let name = known.spec.map(|spec| spec.profile_ref.name.as_str()).unwrap_or_default();
    if state.profile.is_none() {
        return match known.profile_trouble {
            Some(Trouble { message, .. }) => {
                said(KIND, false, "Unusable", format!("PartitionProfile {name}: {message}"))
            }
            None => {
                said(KIND, false, "NotFound", format!("there is no PartitionProfile {name} in its namespace"))
            }
        };
    }
    match state.left_out.first() {
        Some((device, why)) => {
            let message = format!("the profile does not fit every device, as {device}: {why}");
            said(KIND, false, "OtherNetwork", message)
        }
        None => said(KIND, true, "Found", format!("PartitionProfile {name} is in force")),
    }
}

fn fallback(devices: &[Arc<Explained>], count: u32) -> Said {
    let first = devices.iter().find_map(|one| Some((one, one.decided.fallback?)));
    match first {
        Some((one, acting)) => {
            let message = format!("{} acts for {count} devices, as for {}", acting.action, one.device);
            said("Fallback", true, "MetricsGone", message).with(span(one, &acting))
        }
        None => said("Fallback", false, "NotNeeded", ""),
    }
}

fn limited(devices: &[Arc<Explained>]) -> Said {
    let unmet = devices.iter().find_map(|one| Some((one, one.decided.choice.as_ref()?.unmet?)));
    let spent = devices
        .iter()
        .find(|one| one.limited && matches!(one.decided.outcome, Outcome::Decided(Verdict::Held(_))));
    match (unmet, spent) {
        (Some((one, unmet)), _) => {
            let message = format!("{} cannot be met on {}", unmet.asked(), one.device);
            let nearest = unmet.constraint.show(unmet.nearest);
            said("Limited", true, "Infeasible", message).with(format!(
                ": the nearest that could was {nearest}; now: autotiler explain {}",
                one.device
            ))
        }
        (None, Some(one)) => {
            let message = format!("the flap budget (behavior.maxSwitches) of {} is spent", one.device);
            said("Limited", true, "BudgetSpent", message)
        }
        (None, None) => said("Limited", false, "Free", ""),
    }
}

fn conflicted(state: Option<&PolicyState>) -> Said {
    let lost = state.map(|state| state.lost.as_slice()).unwrap_or_default();
    match lost.first() {
        Some((device, winner)) => {
            let message =
                format!("{} devices follow another policy, as {device} does {}", lost.len(), winner.0);
            said("Conflicted", true, "LowerPriority", message)
        }
        None => said("Conflicted", false, "Alone", ""),
    }
}

fn profile_drifted(devices: &[Arc<Explained>], count: u32) -> Said {
    let first = devices.iter().find_map(|one| Some((one, one.drifted?)));
    match first {
        Some((one, drifted)) => {
            let message = format!("of {count} devices, as {}: {}", one.device, drifted.what());
            said("ProfileDrifted", true, "TimesDiffer", message).with(format!(": {}", drifted.figures()))
        }
        None => said("ProfileDrifted", false, "TimesFit", ""),
    }
}

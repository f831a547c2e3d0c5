//! What is reported of a device and of a policy: pure functions of the last sweep and of what was reported before.
//!
//! Conditions are recomputed each time and never left stale; a condition's time changes with its status alone. There is
//! no telemetry in a status: what changes each second is in Prometheus.

use std::{collections::BTreeMap, time::Duration};

use autotiler_core::decision::{Predicted as CorePredicted, Signal, Verdict};
use autotiler_crds::{
    AutoTilerPolicyStatus, BitRate, Condition, EdgeDeviceStatus, HumanDuration, Time,
    device::{Applied, Assignment, DecisionInputs, Guarded, PastAssignment, Predicted, RunnerUp},
    policy::{DeviceCounts, PointCount},
};
use k8s_openapi::jiff::Timestamp;

use crate::{
    board::{Explained, PolicyState},
    control::{HistoryEntry, Outcome, SeenInputs},
};

/// Past assignments that are shown.
const PAST: usize = 5;
/// Points of a policy that are shown.
const POINTS: usize = 16;

/// One condition before its time is known.
struct Said {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

fn said(kind: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Said {
    Said { kind, status, reason, message: message.into() }
}

/// Keeps the time of those that were so before.
fn conditions(
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
    new: Vec<Said>,
) -> Vec<Condition> {
    let dated = |Said { kind, status, reason, message }: Said| {
        let status = if status { "True" } else { "False" };
        let same = before.iter().find(|old| old.type_ == kind && old.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    new.into_iter().map(dated).collect()
}

/// The status of a device; `trouble` says why its object cannot be used.
pub(super) fn device(
    before: &EdgeDeviceStatus,
    explained: Option<&Explained>,
    trouble: Option<&str>,
    generation: Option<i64>,
    now: Timestamp,
) -> EdgeDeviceStatus {
    let Some(explained) = explained else {
        let reason = if trouble.is_some() { "InvalidSpec" } else { "NoPolicyOrSilent" };
        let message =
            trouble.unwrap_or("no policy selects it, or it has not spoken since the controller's start");
        let new = vec![said("Ready", false, reason, message)];
        // What was assigned stays: the device goes on with it.
        return EdgeDeviceStatus {
            conditions: conditions(&before.conditions, generation, now, new),
            ..before.clone()
        };
    };
    let decided = &explained.decided;
    let silent = explained.is_silent(u64::try_from(now.as_millisecond()).unwrap_or(0));
    let refused = explained.telemetry.refused.as_ref().filter(|refusal| refusal.epoch.0 == explained.epoch);
    let ready = match (trouble, silent, refused) {
        (Some(trouble), ..) => said("Ready", false, "InvalidSpec", trouble),
        (None, true, _) => said("Ready", false, "Silent", "the device does not speak"),
        (None, false, Some(refusal)) => said(
            "Ready",
            false,
            "Refused",
            format!("order {} was refused: {}: {}", refusal.epoch.0, refusal.reason.label(), refusal.detail),
        ),
        (None, false, None) => said("Ready", true, "InControl", "the device follows its policy"),
    };
    let synced = match (explained.synced, refused, explained.epoch) {
        (true, ..) => said("Synced", true, "Applied", "the device has applied its assignment"),
        (_, Some(_), _) => {
            said("Synced", false, "Refused", "the device refused its assignment and stays where it was")
        }
        (_, _, 0) => said("Synced", false, "Unassigned", "there is no assignment yet"),
        _ => said("Synced", false, "Pending", "the device has not applied its assignment yet"),
    };
    let new = vec![
        ready,
        synced,
        fresh(decided.outcome, &decided.seen),
        said("Fallback", decided.outcome == Outcome::Fallback, "Fallback", ""),
        said("Pinned", decided.outcome == Outcome::Pinned, "Pin", ""),
    ];
    EdgeDeviceStatus {
        policy_name: Some(bare(&explained.policy.0).to_owned()),
        assignment: assignment(before, explained),
        applied: applied(before, explained, now),
        history: explained.history.iter().filter(|entry| entry.epoch > 0).take(PAST).map(past).collect(),
        conditions: conditions(&before.conditions, generation, now, new),
    }
}

fn fresh(outcome: Outcome, seen: &SeenInputs) -> Said {
    if outcome == Outcome::Guarded {
        // A link that the guard has left measures nothing; that is no fault of the metrics.
        return said("MetricsFresh", true, "Guarded", "the device's own guard has left its link");
    }
    let lacks = [("uplinkBandwidth", seen.uplink), ("rtt", seen.rtt)]
        .into_iter()
        .filter_map(|(name, signal)| match signal {
            Signal::Fresh { .. } => None,
            Signal::Stale { .. } => Some(format!("{name} is stale")),
            Signal::Absent => Some(format!("{name} is absent")),
        })
        .collect::<Vec<_>>();
    if lacks.is_empty() {
        said("MetricsFresh", true, "Fresh", "")
    } else {
        said("MetricsFresh", false, "NotFresh", lacks.join(", "))
    }
}

fn assignment(before: &EdgeDeviceStatus, explained: &Explained) -> Option<Assignment> {
    let order = explained.order.as_ref()?;
    let same = before.assignment.as_ref().filter(|old| old.epoch == order.epoch.0);
    let assigned = explained.assigned.as_ref().filter(|assigned| assigned.epoch == order.epoch.0);
    let entry = explained.history.iter().find(|entry| entry.epoch == order.epoch.0);
    let Some(assigned) = assigned else {
        // Another process wrote the order: what it reported stands, or the little that the order says.
        return Some(same.cloned().unwrap_or_else(|| bare_assignment(order, "Inherited")));
    };
    let reason = entry.map_or("Inherited".to_owned(), |entry| format!("{:?}", entry.reason));
    Some(Assignment {
        inputs: inputs(&assigned.seen),
        predicted: assigned.chosen.as_ref().map(|judged| predicted(&judged.predicted)),
        runner_up: assigned.runner_up.as_ref().map(|judged| RunnerUp {
            point: judged.candidate.point.to_string(),
            predicted: predicted(&judged.predicted),
        }),
        ..bare_assignment(order, &reason)
    })
}

fn bare_assignment(order: &autotiler_core::order::Order, reason: &str) -> Assignment {
    let (partition_layer, compression_ratio) = match order.point.route {
        autotiler_core::Route::Split { layer, cr } => (Some(layer.0), Some(cr.get())),
        _ => (None, None),
    };
    Assignment {
        epoch: order.epoch.0,
        point: order.point.to_string(),
        partition_layer,
        compression_ratio,
        target_bits: order.point.bits().map(autotiler_core::TargetBits::get),
        reason: reason.to_owned(),
        decided_at: time(order.decided_at_ms),
        inputs: DecisionInputs::default(),
        predicted: None,
        runner_up: None,
    }
}

fn inputs(seen: &SeenInputs) -> DecisionInputs {
    let seconds =
        |signal: Signal| signal.fresh().map(|value| duration(Duration::from_secs_f64(value.min(3600.0))));
    let oldest = [seen.uplink, seen.rtt]
        .into_iter()
        .filter_map(|signal| match signal {
            Signal::Fresh { age_s, .. } | Signal::Stale { age_s } => Some(age_s),
            Signal::Absent => None,
        })
        .fold(None, |oldest: Option<f64>, age| Some(oldest.map_or(age, |oldest| oldest.max(age))));
    DecisionInputs {
        uplink: seen.mean_uplink_bps.map(|bps| BitRate::from_bps(bps.round() as u64).rounded()),
        rtt: seconds(seen.rtt),
        server_queue: seconds(seen.server_queue),
        sample_age: oldest.map(|age| duration(Duration::from_secs_f64(age.clamp(0.0, 86_400.0)))),
    }
}

fn predicted(times: &CorePredicted) -> Predicted {
    let micros = |us: u64| duration(Duration::from_micros(us));
    Predicted {
        device: micros(times.device_us + times.wait_us),
        transfer: micros(times.transfer_us),
        server: micros(times.queue_us + times.server_us),
        total: micros(times.total_us),
    }
}

fn applied(before: &EdgeDeviceStatus, explained: &Explained, now: Timestamp) -> Option<Applied> {
    let telemetry = &explained.telemetry;
    if telemetry.epoch.0 == 0 {
        return None;
    }
    let old = before.applied.as_ref().filter(|old| old.epoch == telemetry.epoch.0);
    let guarded = telemetry.guarded_for_ms.map(|_| {
        let since =
            old.and_then(|old| old.guarded.as_ref()).map_or(Time(now), |guarded| guarded.since.clone());
        Guarded { since, point: telemetry.point.to_string() }
    });
    Some(Applied {
        epoch: telemetry.epoch.0,
        at: old.map_or(Time(now), |old| old.at.clone()),
        switch_gap: match old {
            Some(old) => old.switch_gap,
            None => telemetry.last_switch_gap_us.map(|us| duration(Duration::from_micros(us))),
        },
        guarded,
    })
}

fn past(entry: &HistoryEntry) -> PastAssignment {
    PastAssignment {
        epoch: entry.epoch,
        point: entry.to.to_string(),
        reason: format!("{:?}", entry.reason),
        decided_at: time(entry.at_ms),
        uplink: entry.uplink_bps.map(|bps| BitRate::from_bps(bps.round() as u64).rounded()),
    }
}

/// The status of a policy, from the sweeps of its devices.
pub(super) fn policy(
    before: &AutoTilerPolicyStatus,
    state: Option<&PolicyState>,
    devices: &[&Explained],
    trouble: Option<&str>,
    suspended: bool,
    generation: Option<i64>,
    now: Timestamp,
) -> AutoTilerPolicyStatus {
    let outcome = |is: &dyn Fn(&Explained) -> bool| devices.iter().filter(|one| is(one)).count() as u32;
    let stale = outcome(&|one| matches!(one.decided.outcome, Outcome::Blind | Outcome::Fallback));
    let fallback = outcome(&|one| one.decided.outcome == Outcome::Fallback);
    let counts = DeviceCounts {
        matched: state.map_or(0, |state| state.matched as u32),
        synced: outcome(&|one| one.synced),
        stale,
        fallback,
        pinned: outcome(&|one| one.decided.outcome == Outcome::Pinned),
    };
    let mut points: BTreeMap<String, u32> = BTreeMap::new();
    for order in devices.iter().filter_map(|one| one.order.as_ref()) {
        *points.entry(order.point.to_string()).or_default() += 1;
    }
    let mut distribution: Vec<_> =
        points.into_iter().map(|(point, devices)| PointCount { point, devices }).collect();
    distribution.sort_by_key(|one| (std::cmp::Reverse(one.devices), one.point.clone()));
    distribution.truncate(POINTS);

    let profile = state.is_some_and(|state| state.profile);
    let ready = match (trouble, suspended, state, profile) {
        (Some(trouble), ..) => said("Ready", false, "InvalidSpec", trouble),
        (None, true, ..) => said("Ready", true, "Suspended", "suspended: devices keep what they have"),
        (None, false, None, _) => said("Ready", false, "Starting", "not swept yet"),
        (None, false, Some(_), false) => {
            said("Ready", false, "NoProfile", "spec.profileRef names no usable PartitionProfile")
        }
        (None, false, Some(_), true) => said("Ready", true, "InForce", ""),
    };
    let new = vec![
        said("Reconciling", trouble.is_none() && state.is_none(), "FirstSweep", ""),
        said("Stalled", trouble.is_some() || !(profile || state.is_none()), "NeedsAChange", ""),
        metrics_fresh(state, stale),
        said("ProfileResolved", profile, if profile { "Found" } else { "NotFound" }, ""),
        said("Fallback", fallback > 0, "MetricsGone", ""),
        limited(devices),
        conflicted(state),
    ];
    let new = std::iter::once(ready).chain(new).collect();
    AutoTilerPolicyStatus {
        observed_generation: generation,
        profile_digest: before.profile_digest.clone(),
        devices: counts,
        distribution,
        conditions: conditions(&before.conditions, generation, now, new),
    }
}

fn metrics_fresh(state: Option<&PolicyState>, stale: u32) -> Said {
    let errors = state.map(|state| state.errors.as_slice()).unwrap_or_default();
    // A queue that nobody has measured is no fault: a device that sends nothing waits nowhere.
    let first = errors.iter().find(|(signal, _)| *signal != "serverQueue");
    match first {
        Some((signal, error)) => said("MetricsFresh", false, "QueryFailed", format!("{signal}: {error}")),
        None if stale > 0 => {
            said("MetricsFresh", false, "NotFresh", "devices without fresh metrics: see status.devices.stale")
        }
        None => said("MetricsFresh", true, "Fresh", ""),
    }
}

fn limited(devices: &[&Explained]) -> Said {
    let unmet = devices.iter().find_map(|one| one.decided.choice.as_ref()?.unmet.map(|unmet| (one, unmet)));
    let spent = devices
        .iter()
        .find(|one| one.limited && matches!(one.decided.outcome, Outcome::Decided(Verdict::Held(_))));
    match (unmet, spent) {
        (Some((one, unmet)), _) => {
            let message = format!("on {}: {unmet}; autotiler explain {} says more", one.device, one.device);
            said("Limited", true, "Infeasible", message)
        }
        (None, Some(one)) => {
            said("Limited", true, "BudgetSpent", format!("the flap budget of {} is spent", one.device))
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

fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn duration(time: Duration) -> HumanDuration {
    time.into()
}

fn time(unix_ms: u64) -> Time {
    Time(i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default())
}

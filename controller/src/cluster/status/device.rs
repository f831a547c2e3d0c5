//! The status of a device.

use std::time::Duration;

use autotiler_core::decision::{Predicted as CorePredicted, Signal};
use autotiler_crds::{
    BitRate, EdgeDeviceSpec, EdgeDeviceStatus, Time,
    device::{Applied, Assignment, DecisionInputs, Guarded, PastAssignment, Predicted, RunnerUp},
};
use k8s_openapi::jiff::Timestamp;

use super::{At, Said, Trouble, bare, conditions, duration, said, time, to_the_second};
use crate::{
    board::{Explained, LeftOut, Standing},
    control::{Acting, HistoryEntry, Outcome, SeenInputs},
};

/// Past assignments that are shown.
const PAST: usize = 5;
/// Conditions of a device that is in control, beside Ready.
const IN_CONTROL: [&str; 5] = ["Synced", "MetricsFresh", "Fallback", "Pinned", "ProfileDrifted"];

/// The status of a device; `spec` is none where it has never been understood, `trouble` says why its object cannot be
/// used.
pub(in crate::cluster) fn device(
    before: &EdgeDeviceStatus,
    spec: Option<&EdgeDeviceSpec>,
    standing: &Standing,
    trouble: Option<&Trouble>,
    at: At,
) -> EdgeDeviceStatus {
    let Standing::InControl(explained) = standing else { return apart(before, standing, trouble, at) };
    let new = vec![
        ready(explained, trouble, at.now),
        synced(explained),
        fresh(explained.decided.outcome, &explained.decided.seen),
        fallback(explained),
        pinned(explained, spec),
        profile_drifted(explained),
    ];
    EdgeDeviceStatus {
        policy_name: Some(bare(&explained.policy.0).to_owned()),
        assignment: assignment(before, explained),
        applied: applied(before, explained, at.now),
        history: explained.history.iter().filter(|entry| entry.epoch > 0).take(PAST).map(past).collect(),
        conditions: conditions(&before.conditions, at, new),
    }
}

/// A device that nobody decides for. What was assigned stays: it goes on with that.
fn apart(
    before: &EdgeDeviceStatus,
    standing: &Standing,
    trouble: Option<&Trouble>,
    at: At,
) -> EdgeDeviceStatus {
    let (policy, reason, message) = match standing {
        Standing::NoPolicy => (None, "NoPolicy", "no policy selects it".to_owned()),
        Standing::LeftOut(policy, why @ LeftOut::NoProfile) => (Some(policy), "NoProfile", why.to_string()),
        Standing::LeftOut(policy, why @ LeftOut::OtherNetwork { .. }) => {
            (Some(policy), "ProfileMismatch", why.to_string())
        }
        Standing::Silent(policy) => (Some(policy), "Silent", "the device does not speak".to_owned()),
        Standing::InControl(explained) => (Some(&explained.policy), "InControl", String::new()),
    };
    let ready = match trouble {
        Some(Trouble { reason, message }) => said("Ready", false, reason, message),
        None => said("Ready", false, reason, message),
    };
    let others = IN_CONTROL.map(|kind| Said::unknown(kind, reason, "it is not in control: see Ready"));
    EdgeDeviceStatus {
        policy_name: policy.map(|policy| bare(&policy.0).to_owned()),
        conditions: conditions(&before.conditions, at, std::iter::once(ready).chain(others).collect()),
        ..before.clone()
    }
}

fn ready(explained: &Explained, trouble: Option<&Trouble>, now: Timestamp) -> Said {
    let silent = explained.is_silent(u64::try_from(now.as_millisecond()).unwrap_or(0));
    let refused = explained.telemetry.refused.as_ref().filter(|refusal| refusal.epoch.0 == explained.epoch);
    match (trouble, silent, refused) {
        (Some(Trouble { reason, message }), ..) => said("Ready", false, reason, message),
        (None, true, _) => said("Ready", false, "Silent", "the device does not speak"),
        (None, false, Some(refusal)) => said(
            "Ready",
            false,
            "Refused",
            format!("order {} was refused: {}: {}", refusal.epoch.0, refusal.reason.label(), refusal.detail),
        ),
        (None, false, None) => said("Ready", true, "InControl", "the device follows its policy"),
    }
}

fn synced(explained: &Explained) -> Said {
    let refused = explained.telemetry.refused.as_ref().filter(|refusal| refusal.epoch.0 == explained.epoch);
    match (explained.synced, refused, explained.epoch) {
        (true, ..) => said("Synced", true, "Applied", "the device has applied its assignment"),
        (_, Some(_), _) => {
            said("Synced", false, "Refused", "the device refused its assignment and stays where it was")
        }
        (_, _, 0) => said("Synced", false, "Unassigned", "there is no assignment yet"),
        _ => said("Synced", false, "Pending", "the device has not applied its assignment yet"),
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

/// Since when a fallback acts, and until when.
pub(super) fn span(explained: &Explained, acting: &Acting) -> String {
    let since = to_the_second(explained.at_ms.saturating_sub(acting.for_ms));
    match acting.then {
        Some(then) => {
            let until = to_the_second(explained.at_ms.saturating_add(then.in_ms));
            format!(" since {since}, until {until}; then {}", then.action)
        }
        None => format!(" since {since}, until its metrics are fresh again"),
    }
}

fn fallback(explained: &Explained) -> Said {
    let Some(acting) = explained.decided.fallback else {
        return said("Fallback", false, "NotNeeded", "");
    };
    let message = format!("without fresh metrics the policy's fallback acts: {}", acting.action);
    said("Fallback", true, "MetricsGone", message).with(span(explained, &acting))
}

fn pinned(explained: &Explained, spec: Option<&EdgeDeviceSpec>) -> Said {
    let pin = spec.and_then(|spec| spec.pin.as_ref());
    let until = pin.and_then(|pin| pin.until.as_ref());
    match (explained.decided.outcome, pin, until) {
        (Outcome::Pinned, ..) => {
            let point = explained.order.as_ref().map(|order| order.point.to_string()).unwrap_or_default();
            let end = until.map_or("spec.pin is removed".to_owned(), |until| until.0.to_string());
            said("Pinned", true, "Pin", format!("spec.pin holds it at {point} until {end}"))
        }
        (Outcome::Suspended, Some(_), _) => {
            said("Pinned", false, "Suspended", "its policy is suspended: spec.pin holds it afterwards")
        }
        (_, Some(_), Some(until)) => said("Pinned", false, "Ended", format!("spec.pin ended at {}", until.0)),
        _ => said("Pinned", false, "NoPin", ""),
    }
}

fn profile_drifted(explained: &Explained) -> Said {
    match explained.drifted {
        Some(drifted) => said("ProfileDrifted", true, "TimesDiffer", drifted.what())
            .with(format!(": {}", drifted.figures())),
        None => said("ProfileDrifted", false, "TimesFit", ""),
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

//! What is reported of a device and of a policy: pure functions of the last sweep and of what was reported before.
//!
//! Conditions are recomputed each time and never left stale; a condition's time changes with its status alone. There is
//! no telemetry in a status: what changes each second is in Prometheus, and a figure in a message stays as it was when
//! the message was first said.

mod device;
mod policy;

use std::time::Duration;

use autotiler_crds::{Condition, HumanDuration, Time};
use k8s_openapi::jiff::{Timestamp, Unit};

pub(super) use device::device;
pub(super) use policy::{Known, policy};

/// When a status is made, and of which generation of the spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) generation: Option<i64>,
    pub(super) now: Timestamp,
}

/// Why an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Of the condition Ready.
    pub(super) reason: &'static str,
    /// Names the field.
    pub(super) message: String,
}

/// One condition before its time is known.
struct Said {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
    /// What follows the message, and is not said anew while the message is the same.
    figures: String,
}

fn said(kind: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Said {
    let status = if status { "True" } else { "False" };
    Said { kind, status, reason, message: message.into(), figures: String::new() }
}

impl Said {
    fn unknown(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", ..said(kind, false, reason, message) }
    }

    fn with(self, figures: String) -> Self {
        Self { figures, ..self }
    }
}

/// Keeps the time of those that were so before, and the figures of those that say the same.
fn conditions(before: &[Condition], at: At, new: Vec<Said>) -> Vec<Condition> {
    let dated = |Said { kind, status, reason, message, figures }: Said| {
        let same = before.iter().find(|old| old.type_ == kind && old.status == status);
        let again = same
            .filter(|old| !figures.is_empty() && old.reason == reason && old.message.starts_with(&message));
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: again.map_or_else(|| format!("{message}{figures}"), |old| old.message.clone()),
            observed_generation: at.generation,
            last_transition_time: same.map_or(Time(at.now), |old| old.last_transition_time.clone()),
        }
    };
    new.into_iter().map(dated).collect()
}

fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn duration(time: Duration) -> HumanDuration {
    time.into()
}

fn time(unix_ms: u64) -> Time {
    Time(timestamp(unix_ms))
}

fn timestamp(unix_ms: u64) -> Timestamp {
    i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

/// For people: no one needs its milliseconds.
fn to_the_second(unix_ms: u64) -> String {
    let exact = timestamp(unix_ms);
    exact.round(Unit::Second).unwrap_or(exact).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> At {
        At { generation: Some(3), now: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn a_time_changes_with_the_status_and_figures_with_what_is_said() {
        let limited = |message: &str, figures: &str| {
            vec![said("Limited", true, "Infeasible", message).with(figures.to_owned())]
        };
        let first = conditions(&[], at(1), limited("maxLatency 1 ms", ": 92 ms"));
        assert_eq!(
            (first[0].message.as_str(), first[0].observed_generation),
            ("maxLatency 1 ms: 92 ms", Some(3))
        );
        let second = conditions(&first, at(2), limited("maxLatency 1 ms", ": 93 ms"));
        assert_eq!(first, second, "no figure alone is worth a write");
        let other = conditions(&first, at(3), limited("maxLatency 2 ms", ": 93 ms"));
        assert_eq!(other[0].message, "maxLatency 2 ms: 93 ms");
        assert_eq!(other[0].last_transition_time, first[0].last_transition_time);
        let free = conditions(&first, at(4), vec![said("Limited", false, "Free", "")]);
        assert_eq!(free[0].last_transition_time, Time(at(4).now));
    }
}

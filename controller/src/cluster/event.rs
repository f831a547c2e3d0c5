//! Events: what is worth telling whoever looks at an object, each with a reason of a closed list.

use autotiler_crds::{Condition, EdgeDeviceStatus};
use kube::runtime::events::{Event, EventType};

use super::status::Trouble;

/// Longest note that the API takes, in characters.
const LONGEST_NOTE: usize = 1024;

/// The closed list. `README.md` says when each is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventReason {
    Assigned,
    Switched,
    Pinned,
    FellBack,
    OrderRefused,
    ProfileMismatch,
    ProfileDrifted,
    InvalidObject,
    NoProfile,
    MetricsLost,
    Infeasible,
    Conflicted,
}

impl EventReason {
    /// What is worth an event when it becomes so.
    fn of(condition: &Condition) -> Option<Self> {
        Some(match (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str()) {
            ("Ready", "False", "InvalidObject" | "InvalidSpec") => Self::InvalidObject,
            ("Ready", "False", "Refused") => Self::OrderRefused,
            ("Ready", "False", "ProfileMismatch") => Self::ProfileMismatch,
            ("ProfileResolved", "False", "NotFound" | "Unusable") => Self::NoProfile,
            ("ProfileDrifted", "True", _) => Self::ProfileDrifted,
            ("MetricsFresh", "False", "QueryFailed") => Self::MetricsLost,
            ("Limited", "True", "Infeasible") => Self::Infeasible,
            ("Conflicted", "True", _) => Self::Conflicted,
            _ => return None,
        })
    }

    fn is_normal(self) -> bool {
        matches!(self, Self::Assigned | Self::Switched | Self::Pinned)
    }

    fn event(self, action: &str, note: &str) -> Event {
        Event {
            type_: if self.is_normal() { EventType::Normal } else { EventType::Warning },
            reason: format!("{self:?}"),
            note: Some(note.chars().take(LONGEST_NOTE).collect()),
            action: action.to_owned(),
            secondary: None,
        }
    }
}

/// Events of conditions that became so.
pub(super) fn of_conditions(before: &[Condition], new: &[Condition]) -> Vec<Event> {
    let was = |reason: EventReason| before.iter().any(|old| EventReason::of(old) == Some(reason));
    let become_so = |condition: &Condition| {
        let reason = EventReason::of(condition).filter(|reason| !was(*reason))?;
        Some(reason.event("Observe", &condition.message))
    };
    new.iter().filter_map(become_so).collect()
}

/// Events of a device: its conditions, and a new assignment.
pub(super) fn of_device(before: &EdgeDeviceStatus, new: &EdgeDeviceStatus) -> Vec<Event> {
    let mut events = of_conditions(&before.conditions, &new.conditions);
    let (old, new) = (before.assignment.as_ref(), new.assignment.as_ref());
    if let Some(new) = new.filter(|new| old.is_none_or(|old| old.epoch != new.epoch)) {
        let from = old.map_or("nothing", |old| old.point.as_str());
        let reason = match new.reason.as_str() {
            "Fallback" => EventReason::FellBack,
            "Pinned" => EventReason::Pinned,
            "FirstAssignment" => EventReason::Assigned,
            _ => EventReason::Switched,
        };
        events.push(reason.event("Order", &format!("from {from} to {} ({})", new.point, new.reason)));
    }
    events
}

/// The event of an object without a status that cannot be used.
pub(super) fn of_trouble(trouble: &Trouble) -> Event {
    EventReason::InvalidObject.event("Observe", &trouble.message)
}

#[cfg(test)]
mod tests {
    use autotiler_crds::Time;

    use super::*;

    fn condition(kind: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: "m".repeat(2000),
            observed_generation: None,
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_condition_is_told_when_it_becomes_so_and_the_note_fits() {
        let bad = [condition("Ready", "False", "InvalidObject"), condition("Limited", "False", "Free")];
        let events = of_conditions(&[condition("Ready", "True", "InControl")], &bad);
        assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["InvalidObject"]);
        assert_eq!(events[0].note.as_ref().unwrap().len(), LONGEST_NOTE);
        assert!(of_conditions(&bad, &bad).is_empty());
    }

    #[test]
    fn the_readme_has_the_whole_list() {
        use EventReason::*;
        let readme = include_str!("../../README.md");
        let all = [
            Assigned,
            Switched,
            Pinned,
            FellBack,
            OrderRefused,
            ProfileMismatch,
            ProfileDrifted,
            InvalidObject,
            NoProfile,
            MetricsLost,
            Infeasible,
            Conflicted,
        ];
        for reason in all {
            assert!(readme.contains(&format!("| `{reason:?}` |")), "{reason:?} is not in README.md");
        }
    }
}

//! The best candidate, and for every other one what ruled it out.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Candidate, Constraints, Inputs, Objective, Policy, Predicted, candidates};
use crate::profile::Profile;

/// A candidate with its predicted times and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// The candidate.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Its times.
    pub predicted: Predicted,
    /// Bits per second that it would send.
    pub uplink_bps: u64,
    /// Why it cannot be chosen; none for the best and those that are only slower.
    pub ruled_out: Option<RuledOut>,
}

/// Why a candidate cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RuledOut {
    /// The policy's lists and permissions leave it out.
    NotAllowed,
    /// It breaks a constraint.
    Breaks(Constraint),
    /// Another one is no worse in time on the device, on the link and on the server, and better in one.
    Dominated,
}

/// A constraint of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Constraint {
    /// `maxAccuracyDropPermille`.
    Accuracy,
    /// `maxUplink`.
    Uplink,
    /// `maxLatency`.
    Latency,
}

/// Constraints that no candidate meets together, and the nearest that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// What was given up; accuracy never is.
    pub constraint: Constraint,
    /// What the policy asks for, in the constraint's own unit: thousandths, bit/s, or microseconds.
    pub limit: u64,
    /// What can be had instead, in the same unit.
    pub nearest: u64,
}

impl Constraint {
    /// Its name in a policy, below `spec.objective.constraints`.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Accuracy => "maxAccuracyDropPermille",
            Self::Uplink => "maxUplink",
            Self::Latency => "maxLatency",
        }
    }

    /// `value` in the constraint's own unit, for people.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Accuracy => value.to_string(),
            Self::Uplink => format!("{:.0} kbit/s", value as f64 / 1e3),
            Self::Latency => format!("{:.0} ms", value as f64 / 1e3),
        }
    }

    /// What `constraints` asks for, in the constraint's own unit; none where it asks for nothing.
    fn limit(self, constraints: &Constraints) -> Option<u64> {
        match self {
            Self::Accuracy => Some(constraints.max_accuracy_drop_permille.into()),
            Self::Uplink => constraints.max_uplink_bps,
            Self::Latency => constraints.max_latency.map(micros),
        }
    }

    /// What `judged` comes to, in the constraint's own unit.
    fn value(self, judged: &Judged) -> u64 {
        match self {
            Self::Accuracy => judged.candidate.accuracy_drop_permille.into(),
            Self::Uplink => judged.uplink_bps,
            Self::Latency => judged.predicted.total_us,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Unmet {
    /// What cannot be met: the constraint with what the policy asks for.
    pub fn asked(&self) -> String {
        format!("{} {}", self.constraint.field(), self.constraint.show(self.limit))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nearest = self.constraint.show(self.nearest);
        write!(f, "{} cannot be met; the nearest that can is {nearest}", self.asked())
    }
}

/// What a decision knows when all candidates are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// Every candidate.
    pub judged: Vec<Judged>,
    /// The best, as an index into `judged`; none where the policy allows nothing that is accurate enough.
    pub best: Option<usize>,
    /// The next best.
    pub runner_up: Option<usize>,
    /// A constraint that cannot be met.
    pub unmet: Option<Unmet>,
}

impl Choice {
    /// The best candidate.
    pub fn best(&self) -> Option<&Judged> {
        self.judged.get(self.best?)
    }

    /// The next best.
    pub fn runner_up(&self) -> Option<&Judged> {
        self.judged.get(self.runner_up?)
    }

    /// The candidate with this point.
    pub fn find(&self, point: crate::OperatingPoint) -> Option<&Judged> {
        self.judged.iter().find(|judged| judged.candidate.point == point)
    }
}

/// What is made small; ties go to fewer bits, so that a choice never hangs on the order of a list.
pub(super) fn cost(judged: &Judged, objective: Objective) -> (u64, u64) {
    match objective {
        Objective::Latency => (judged.predicted.total_us, judged.uplink_bps),
        Objective::Uplink => (judged.uplink_bps, judged.predicted.total_us),
    }
}

/// Judges every candidate and takes the best.
pub fn choose(profile: &Profile, policy: &Policy, inputs: &Inputs) -> Choice {
    let judge = |candidate: Candidate| {
        let predicted = Predicted::of(&candidate, profile, inputs)?;
        let uplink_bps = (f64::from(candidate.bits()) * inputs.frames_per_second).round() as u64;
        let ruled_out = rule_out(&candidate, &predicted, uplink_bps, policy);
        Some(Judged { candidate, predicted, uplink_bps, ruled_out })
    };
    let mut judged: Vec<Judged> = candidates(profile, policy).into_iter().filter_map(judge).collect();
    rule_out_dominated(&mut judged);

    let rank = |keep: &dyn Fn(&Judged) -> bool, key: &dyn Fn(&Judged) -> (u64, u64, u64)| {
        let mut left: Vec<usize> = (0..judged.len()).filter(|&at| keep(&judged[at])).collect();
        left.sort_by_key(|&at| key(&judged[at]));
        left
    };
    let usual = |one: &Judged| {
        let (most, least) = cost(one, policy.objective);
        (most, least, 0)
    };
    let mut ranked = rank(&|one| one.ruled_out.is_none(), &usual);
    let mut unmet = None;
    if ranked.is_empty() {
        // Accurate first, then thin, then fast: what is given up last is what a person sees last.
        for constraint in [Constraint::Latency, Constraint::Uplink, Constraint::Accuracy] {
            let breaks = |one: &Judged| one.ruled_out == Some(RuledOut::Breaks(constraint));
            let least = |one: &Judged| {
                let Judged { predicted, uplink_bps, .. } = one;
                (constraint.value(one), predicted.total_us, *uplink_bps)
            };
            let nearest = rank(&breaks, &least);
            let first = nearest.first().map(|&at| constraint.value(&judged[at]));
            if let (Some(nearest_value), Some(limit)) = (first, constraint.limit(&policy.constraints)) {
                unmet = Some(Unmet { constraint, limit, nearest: nearest_value });
                // A point that is not accurate enough is shown, not chosen.
                ranked = if constraint == Constraint::Accuracy { Vec::new() } else { nearest };
                break;
            }
        }
    }
    let (best, runner_up) = (ranked.first().copied(), ranked.get(1).copied());
    Choice { judged, best, runner_up, unmet }
}

fn rule_out(
    candidate: &Candidate,
    predicted: &Predicted,
    uplink_bps: u64,
    policy: &Policy,
) -> Option<RuledOut> {
    let constraints = &policy.constraints;
    if !candidate.allowed {
        Some(RuledOut::NotAllowed)
    } else if candidate.accuracy_drop_permille > constraints.max_accuracy_drop_permille {
        Some(RuledOut::Breaks(Constraint::Accuracy))
    } else if constraints.max_uplink_bps.is_some_and(|most| uplink_bps > most) {
        Some(RuledOut::Breaks(Constraint::Uplink))
    } else if constraints.max_latency.is_some_and(|longest: Duration| predicted.total() > longest) {
        Some(RuledOut::Breaks(Constraint::Latency))
    } else {
        None
    }
}

/// Leaves the frontier of device time, bits and server time: the rest is never best at any capacity.
fn rule_out_dominated(judged: &mut [Judged]) {
    let key = |one: &Judged| {
        let Predicted { device_us, queue_us, server_us, .. } = one.predicted;
        (device_us, u64::from(one.candidate.bits()), queue_us + server_us)
    };
    let frontier: Vec<_> = judged.iter().filter(|one| one.ruled_out.is_none()).map(key).collect();
    for one in judged.iter_mut().filter(|one| one.ruled_out.is_none()) {
        let own = key(one);
        let beats = |other: &(u64, u64, u64)| {
            *other != own && other.0 <= own.0 && other.1 <= own.1 && other.2 <= own.2
        };
        if frontier.iter().any(beats) {
            one.ruled_out = Some(RuledOut::Dominated);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        decision::{CandidateRules, Constraints, Permission, predict::tests::inputs},
        profile::tests::small,
    };

    fn best(policy: &Policy, bps: f64) -> String {
        let choice = choose(&small(), policy, &inputs(bps));
        choice.best().map_or_else(|| "none".to_owned(), |one| one.candidate.point.to_string())
    }

    fn limited(constraints: Constraints) -> Policy {
        Policy { constraints, ..Policy::default() }
    }

    const OPEN: Constraints =
        Constraints { max_latency: None, max_accuracy_drop_permille: 20, max_uplink_bps: None };

    #[test]
    fn the_cut_moves_to_the_device_as_the_link_gets_thin() {
        let at = |bps| best(&Policy::default(), bps);
        assert_eq!(at(50e6), "server-only,bits=75k");
        assert_eq!(at(600e3), "layer=10,cr=4,bits=41k");
        assert_eq!(at(300e3), "layer=20,cr=4,bits=12k");
        assert_eq!(at(60e3), "layer=30,cr=4,bits=9k");
        assert_eq!(at(1e3), "device-only");
    }

    #[test]
    fn each_loser_says_what_ruled_it_out() {
        let policy = limited(Constraints {
            max_latency: Some(Duration::from_millis(500)),
            max_uplink_bps: Some(500_000),
            ..OPEN
        });
        let choice = choose(&small(), &policy, &inputs(1e6));
        let why = |text: &str| choice.find(text.parse().unwrap()).unwrap().ruled_out;
        assert_eq!(why("layer=30,cr=4,bits=4k"), Some(RuledOut::Breaks(Constraint::Accuracy)));
        assert_eq!(why("server-only,bits=75k"), Some(RuledOut::Breaks(Constraint::Uplink)));
        assert_eq!(why("device-only"), Some(RuledOut::Breaks(Constraint::Latency)));
        assert_eq!(why("layer=40,cr=4,bits=9k"), Some(RuledOut::Dominated));
        assert_eq!(choice.best().unwrap().candidate.point.to_string(), "layer=10,cr=4,bits=41k");
        assert_eq!(choice.runner_up().unwrap().candidate.point.to_string(), "layer=20,cr=4,bits=12k");
    }

    #[test]
    fn what_cannot_be_met_is_reported_with_the_nearest_that_can() {
        let hurry = limited(Constraints { max_latency: Some(Duration::from_millis(1)), ..OPEN });
        let choice = choose(&small(), &hurry, &inputs(50e6));
        let unmet = choice.unmet.unwrap();
        let fastest = choice.best().unwrap().predicted.total_us;
        assert_eq!(unmet, Unmet { constraint: Constraint::Latency, limit: 1_000, nearest: fastest });
        assert_eq!(unmet.to_string(), "maxLatency 1 ms cannot be met; the nearest that can is 92 ms");

        let rules = CandidateRules { device_only: Permission::Forbidden, ..CandidateRules::default() };
        let thin = Policy { candidates: rules, ..limited(Constraints { max_uplink_bps: Some(10), ..OPEN }) };
        assert_eq!(best(&thin, 50e6), "layer=30,cr=4,bits=9k");
        let unmet = choose(&small(), &thin, &inputs(50e6)).unmet.unwrap();
        assert_eq!(unmet.to_string(), "maxUplink 0 kbit/s cannot be met; the nearest that can is 90 kbit/s");

        let perfect = Policy {
            constraints: Constraints { max_accuracy_drop_permille: 0, ..OPEN },
            candidates: CandidateRules { layers: vec![crate::LayerIndex(30)], ..thin.candidates },
            ..Policy::default()
        };
        let perfect = Policy {
            candidates: CandidateRules { server_only: Permission::Forbidden, ..perfect.candidates },
            ..perfect
        };
        let choice = choose(&small(), &perfect, &inputs(50e6));
        assert_eq!(choice.best, None, "accuracy is never given up");
        let says = choice.unmet.unwrap().to_string();
        assert_eq!(says, "maxAccuracyDropPermille 0 cannot be met; the nearest that can is 2");
    }

    #[test]
    fn the_objective_uplink_takes_the_fewest_bits_in_time() {
        let constraints = Constraints { max_latency: Some(Duration::from_millis(300)), ..OPEN };
        let policy = Policy { objective: Objective::Uplink, ..limited(constraints) };
        assert_eq!(best(&policy, 50e6), "layer=30,cr=4,bits=9k");
    }

    proptest! {
        #[test]
        fn more_capacity_is_never_slower_and_never_means_fewer_bits(
            bps in 1e3_f64..50e6, factor in 1.0_f64..50.0, fps in 0.5_f64..30.0, rtt in 0.0_f64..0.5,
        ) {
            let at = |bps| {
                let inputs = Inputs { frames_per_second: fps, rtt_s: rtt, ..inputs(bps) };
                let choice = choose(&small(), &Policy::default(), &inputs);
                let best = choice.best().unwrap();
                (best.predicted.total_us, best.candidate.bits())
            };
            let ((slow, few), (fast, many)) = (at(bps), at(bps * factor));
            prop_assert!(fast <= slow);
            prop_assert!(many >= few, "{few} bits, and {many} at more capacity");
        }

        #[test]
        fn no_hard_constraint_is_ever_broken_unsaid(
            bps in 1e2_f64..50e6,
            drop in 0_u16..60,
            latency in proptest::option::of(1_u64..600),
            uplink in proptest::option::of(1_u64..2_000_000),
        ) {
            let constraints = Constraints {
                max_latency: latency.map(Duration::from_millis),
                max_accuracy_drop_permille: drop,
                max_uplink_bps: uplink,
            };
            let choice = choose(&small(), &limited(constraints), &inputs(bps));
            let best = choice.best().unwrap();
            prop_assert!(best.candidate.accuracy_drop_permille <= drop);
            if choice.unmet.is_none() {
                prop_assert!(constraints.max_latency.is_none_or(|most| best.predicted.total() <= most));
                prop_assert!(uplink.is_none_or(|most| best.uplink_bps <= most));
            }
            // The whole enumeration agrees, whatever the frontier left out.
            let allowed = choice.judged.iter().filter(|one| {
                matches!(one.ruled_out, None | Some(RuledOut::Dominated))
            });
            let least = allowed.map(|one| one.predicted.total_us).min();
            prop_assert!(least.is_none_or(|least| best.predicted.total_us == least));
        }
    }
}

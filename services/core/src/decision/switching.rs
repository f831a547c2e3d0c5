//! Whether the best candidate is worth a switch now.
//!
//! Hysteresis on the *predicted improvement*, not on the capacity: a candidate must be better by some percent for a
//! while. Going down is quick, coming back needs more, longer, and a stay. What forbids the current point itself (the
//! policy changed) waits for nothing.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;

use super::{Behavior, Choice, Constraint, Judged, Objective, RuledOut, Turn, choice::cost};
use crate::operating_point::OperatingPoint;

/// Which way a switch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// To fewer bits.
    Degrade,
    /// To as many or more.
    Recover,
}

/// Why a device stays where it is although another point is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Held {
    /// Not better by enough.
    #[serde(rename_all = "camelCase")]
    Improvement {
        /// Of the objective.
        percent: u8,
        /// What the policy asks for.
        needed_percent: u8,
    },
    /// Better for too short a time.
    #[serde(rename_all = "camelCase")]
    Window {
        /// Until the window is over.
        left_ms: u64,
    },
    /// Too soon after the last switch.
    #[serde(rename_all = "camelCase")]
    Dwell {
        /// Until the dwell is over.
        left_ms: u64,
    },
    /// The flap budget is spent.
    #[serde(rename_all = "camelCase")]
    Budget {
        /// Until a switch of the period has passed.
        left_ms: u64,
    },
    /// Enough other devices of the policy switch in this sweep.
    Concurrency,
}

/// What a decision comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The current point is the best.
    Best,
    /// Another is better, but not now.
    Held(Held),
    /// Nothing may be chosen.
    Nothing,
    /// To another point; see [`Proposal`].
    Switch,
}

/// A switch that may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// To here.
    pub to: OperatingPoint,
    /// Which way.
    pub direction: Direction,
    /// By how much the objective gets better, in thousandths.
    pub gain_permille: u16,
    /// The first assignment, or away from what the policy does not allow (any more): waits for no budget.
    pub forced: bool,
}

/// What is remembered of one device from sweep to sweep. Times are since any fixed moment, on one clock.
#[derive(Debug, Clone, Default)]
pub struct Switching {
    current: Option<(OperatingPoint, Duration)>,
    /// Since when a better one has been there, for each direction.
    better: [Option<Duration>; 2],
    looked: Duration,
    switches: VecDeque<Duration>,
}

impl Switching {
    /// The point in force and since when, after a start or a hand-over.
    pub fn resume(point: OperatingPoint, since: Duration) -> Self {
        Self { current: Some((point, since)), ..Self::default() }
    }

    /// The point in force.
    pub fn current(&self) -> Option<OperatingPoint> {
        self.current.map(|(point, _)| point)
    }

    /// Looks at `choice` at `now`. A proposal is made again at each look until it is [`commit`](Self::commit)ted.
    pub fn consider(
        &mut self,
        now: Duration,
        choice: &Choice,
        objective: Objective,
        behavior: &Behavior,
    ) -> (Verdict, Option<Proposal>) {
        self.looked = now;
        let Some(best) = choice.best() else {
            self.better = [None, None];
            return (Verdict::Nothing, None);
        };
        let forced = |to: &Judged| Proposal {
            to: to.candidate.point,
            direction: Direction::Recover,
            gain_permille: 1000,
            forced: true,
        };
        let Some((current, since)) = self.current else {
            return (Verdict::Switch, Some(forced(best)));
        };
        if best.candidate.point == current {
            self.better = [None, None];
            return (Verdict::Best, None);
        }
        let here = match choice.find(current) {
            Some(here) if !is_illegal(here) => here,
            _ => return (Verdict::Switch, Some(forced(best))),
        };
        let direction = if best.candidate.bits() < here.candidate.bits() {
            Direction::Degrade
        } else {
            Direction::Recover
        };
        let gain_permille = gain_permille(here, best, objective);
        let proposal = Proposal { to: best.candidate.point, direction, gain_permille, forced: false };
        match self.hold(now, since, here, &proposal, behavior) {
            Some(held) => (Verdict::Held(held), None),
            None => (Verdict::Switch, Some(proposal)),
        }
    }

    /// What speaks against `proposal` now.
    fn hold(
        &mut self,
        now: Duration,
        since: Duration,
        here: &Judged,
        proposal: &Proposal,
        behavior: &Behavior,
    ) -> Option<Held> {
        let Turn { window, min_improvement_percent } = behavior.turn(proposal.direction);
        let side = proposal.direction as usize;
        self.better[1 - side] = None;
        let needed = u16::from(min_improvement_percent) * 10;
        // A point that breaks a constraint is left for one that does not, whatever the gain.
        if proposal.gain_permille < needed && !breaks(here) {
            self.better[side] = None;
            let percent = u8::try_from(proposal.gain_permille / 10).unwrap_or(u8::MAX);
            return Some(Held::Improvement { percent, needed_percent: min_improvement_percent });
        }
        let left = |end: Duration| end.checked_sub(now).filter(|left| !left.is_zero());
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        let better_since = *self.better[side].get_or_insert(now);
        if let Some(left) = left(better_since + window) {
            return Some(Held::Window { left_ms: millis(left) });
        }
        if proposal.direction == Direction::Recover
            && let Some(left) = left(since + behavior.min_dwell)
        {
            return Some(Held::Dwell { left_ms: millis(left) });
        }
        self.forget(now, behavior);
        let spent = self.switches.len() >= behavior.max_switches.count as usize;
        let free = self.switches.front().map(|first| *first + behavior.max_switches.period);
        match (spent, free) {
            (true, free) => Some(Held::Budget { left_ms: free.and_then(left).map_or(u64::MAX, millis) }),
            (false, _) => None,
        }
    }

    fn forget(&mut self, now: Duration, behavior: &Behavior) {
        while self.switches.front().is_some_and(|at| now.saturating_sub(*at) >= behavior.max_switches.period)
        {
            self.switches.pop_front();
        }
    }

    /// The switch was ordered at `now`.
    pub fn commit(&mut self, now: Duration, proposal: &Proposal) {
        self.set(now, proposal.to);
        if !proposal.forced {
            self.switches.push_back(now);
        }
    }

    /// Puts `point` in force without a decision: a pin, a fallback.
    pub fn set(&mut self, now: Duration, point: OperatingPoint) {
        self.current = Some((point, now));
        self.better = [None, None];
    }

    /// The device guards at `now`: time since the last look does not count, but what was better before stays so. A
    /// point that overloads its link makes the guard come and go faster than any window passes, and is left only if
    /// the windows' pieces add up.
    pub fn skip_to(&mut self, now: Duration) {
        let skipped = now.saturating_sub(self.looked);
        self.better.iter_mut().flatten().for_each(|since| *since += skipped);
        self.looked = now;
    }

    /// Forgets how long something has been better: nothing fresh was known, or somebody else decides.
    pub fn interrupt(&mut self) {
        self.better = [None, None];
    }

    /// Switches in the budget's period.
    pub fn spent(&self, now: Duration, behavior: &Behavior) -> usize {
        let period = behavior.max_switches.period;
        self.switches.iter().filter(|at| now.saturating_sub(**at) < period).count()
    }
}

impl Behavior {
    fn turn(&self, direction: Direction) -> Turn {
        match direction {
            Direction::Degrade => self.degrade,
            Direction::Recover => self.recover,
        }
    }
}

/// Whether a point may not be held any longer, whatever the link does.
fn is_illegal(here: &Judged) -> bool {
    matches!(here.ruled_out, Some(RuledOut::NotAllowed | RuledOut::Breaks(Constraint::Accuracy)))
}

fn breaks(here: &Judged) -> bool {
    matches!(here.ruled_out, Some(RuledOut::Breaks(_)))
}

fn gain_permille(here: &Judged, best: &Judged, objective: Objective) -> u16 {
    let (old, new) = (cost(here, objective).0, cost(best, objective).0);
    (old.saturating_sub(new) * 1000).checked_div(old).map_or(0, |gain| u16::try_from(gain).unwrap_or(1000))
}

#[cfg(test)]
mod tests;

//! What is in force: the newest order, or the guard's safe point. Frames ask here, at their boundary.
//!
//! Nothing here loads, sends or waits; times are since the start of the stream.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use autotiler_core::{
    Epoch, OperatingPoint, TargetBits,
    bits::BitsControl,
    guard::{Guard, GuardMove, GuardSettings},
    telemetry::Refusal,
};
use tokio::sync::Notify;

use crate::frame::Course;

/// A guard's settings and its safe point.
#[derive(Debug, Clone)]
pub struct Safe {
    /// When to go there and when to come back.
    pub settings: GuardSettings,
    /// Where to.
    pub course: Arc<Course>,
}

/// What the helm shows.
#[derive(Debug, Clone, PartialEq)]
pub struct HelmStatus {
    /// Of the newest order obeyed.
    pub epoch: Epoch,
    /// In force.
    pub point: OperatingPoint,
    /// Of the newest order obeyed.
    pub assigned: OperatingPoint,
    /// How long the safe point has been in force.
    pub guarded_for: Option<Duration>,
    /// Moves of the guard, both ways.
    pub guard_moves: u64,
    /// Orders that changed the point.
    pub switches: u64,
    /// The newest order, if it could not be obeyed.
    pub refused: Option<Refusal>,
    /// Share of frames cut below the point's bits, in thousandths.
    pub cut_permille: u16,
}

/// The helm of one device.
pub struct Helm {
    state: Mutex<State>,
    /// Told when something happened that others should hear of at once.
    changed: Notify,
}

struct State {
    assigned: Arc<Course>,
    guard: Option<(Guard, Arc<Course>)>,
    guarding: bool,
    /// Of guards that are no more.
    earlier_moves: u64,
    switches: u64,
    refused: Option<Refusal>,
    bits: Option<BitsControl>,
}

impl Helm {
    /// A helm at `assigned`.
    pub fn new(assigned: Course, safe: Option<Safe>) -> Self {
        let assigned = Arc::new(assigned);
        let state = State {
            bits: assigned.bits.map(BitsControl::new),
            assigned,
            guard: safe.map(|safe| (Guard::new(safe.settings), safe.course)),
            guarding: false,
            earlier_moves: 0,
            switches: 0,
            refused: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// What is in force.
    pub fn course(&self) -> Arc<Course> {
        self.locked().course().clone()
    }

    /// Epoch of the newest order that was obeyed or refused.
    pub fn seen(&self) -> Epoch {
        let state = self.locked();
        let refused = state.refused.as_ref().map(|refused| refused.epoch);
        refused.map_or(state.assigned.assignment.epoch, |epoch| epoch.max(state.assigned.assignment.epoch))
    }

    /// Takes a new course, from the next frame on. A guard that holds the safe point goes on to do so.
    pub fn steer(&self, assigned: Course, safe: Option<Safe>) {
        let mut state = self.locked();
        state.switches += u64::from(assigned.assignment.point != state.assigned.assignment.point);
        match (&mut state.bits, assigned.bits) {
            (Some(bits), Some(settings)) => bits.set(settings),
            (bits, settings) => *bits = settings.map(BitsControl::new),
        }
        state.assigned = Arc::new(assigned);
        state.refused = None;
        state.guard = match (state.guard.take(), safe) {
            (Some((mut guard, _)), Some(safe)) => {
                guard.set(safe.settings);
                Some((guard, safe.course))
            }
            (gone, safe) => {
                state.earlier_moves += gone.map_or(0, |(guard, _)| guard.moves());
                state.guarding = false;
                safe.map(|safe| (Guard::new(safe.settings), safe.course))
            }
        };
        drop(state);
        self.changed.notify_one();
    }

    /// Remembers an order that cannot be obeyed; everything stays as it is.
    pub fn refuse(&self, refusal: Refusal) {
        self.locked().refused = Some(refusal);
        self.changed.notify_one();
    }

    /// Lets the guard look: see [`Guard::observe`].
    pub fn observe(&self, now: Duration, queue_age: Option<Duration>) -> Option<GuardMove> {
        let mut state = self.locked();
        let guarding = state.guarding;
        let (guard, _) = state.guard.as_mut()?;
        // At a safe point that sends frames the queue is never quite empty.
        let calm = guard.settings().queue_age / 2;
        let queue_age = queue_age.filter(|age| !guarding || *age > calm);
        let moved = guard.observe(now, queue_age)?;
        state.guarding = moved == GuardMove::Leave;
        drop(state);
        self.changed.notify_one();
        Some(moved)
    }

    /// Whether the guard wants a probe sent now: see [`Guard::probe_due`].
    pub fn probe_due(&self, now: Duration) -> bool {
        self.locked().guard.as_mut().is_some_and(|(guard, _)| guard.probe_due(now))
    }

    /// A probe came back: see [`Guard::probe_returned`].
    pub fn probe_returned(&self, sent: Duration, now: Duration) {
        if let Some((guard, _)) = &mut self.locked().guard {
            guard.probe_returned(sent, now);
        }
    }

    /// Whether a guard watches over the assigned point.
    pub fn is_watched(&self) -> bool {
        let state = self.locked();
        state.guard.is_some() && !state.guarding
    }

    /// Whether the safe point is in force.
    pub fn is_guarding(&self) -> bool {
        self.locked().guarding
    }

    /// The link took `bits` in `busy`: see [`BitsControl::carried`].
    pub fn carried(&self, bits: u64, busy: Duration) {
        let mut state = self.locked();
        // What a dead link carries says nothing of the link after it.
        if !state.guarding
            && let Some(control) = &mut state.bits
        {
            control.carried(bits, busy);
        }
    }

    /// Bits of the next frame of `course`, while `backlog_bits` wait and a frame comes each `slot`.
    pub fn target(&self, course: &Course, backlog_bits: u64, slot: Duration) -> Option<TargetBits> {
        let fixed = course.assignment.point.bits();
        if course.bits.is_none() {
            return fixed;
        }
        let mut state = self.locked();
        match &mut state.bits {
            Some(control) => Some(control.next(backlog_bits, slot)),
            None => fixed,
        }
    }

    /// What to show at `now`.
    pub fn status(&self, now: Duration) -> HelmStatus {
        let state = self.locked();
        let guard = state.guard.as_ref().map(|(guard, _)| guard);
        HelmStatus {
            epoch: state.assigned.assignment.epoch,
            point: state.course().assignment.point,
            assigned: state.assigned.assignment.point,
            guarded_for: guard.and_then(|guard| guard.guarding_for(now)),
            guard_moves: state.earlier_moves + guard.map_or(0, Guard::moves),
            switches: state.switches,
            refused: state.refused.clone(),
            cut_permille: state.bits.as_ref().map_or(0, BitsControl::cut_permille),
        }
    }

    /// Waits until an order was obeyed or refused, or the guard moved.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it torn.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn course(&self) -> &Arc<Course> {
        match &self.guard {
            Some((_, safe)) if self.guarding => safe,
            _ => &self.assigned,
        }
    }
}

//! Decide: one device's state from sweep to sweep, and what a sweep comes to.
//!
//! Nothing here waits: observations, telemetry and both clocks are arguments. The choice itself is
//! [`autotiler_core::decision`]; here is what surrounds it: is anything fresh known, does the device guard, is it
//! pinned, has it been blind for so long that the policy's fallback acts.

mod decided;
mod drifting;
mod fallback;
mod forecast;

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use autotiler_core::{
    OperatingPoint, Route,
    capacity::CapacityMean,
    decision::{
        BitsMode, Choice, DeviceDrift, Drift, Inputs, Proposal, Signal, Switching, Warmup, candidates,
        choose, safe_point,
    },
    order::{GuardTerms, Order},
    profile::Profile,
};

pub use decided::{Assigned, Decided, Desired, HistoryEntry, Outcome, Reason, SeenInputs, unix_ms};
use drifting::Drifting;
pub use drifting::{Drifted, Part};
use fallback::Blindness;
pub use fallback::{Acting, Then};
pub use forecast::Forecast;
use forecast::Forecaster;

use crate::{
    catalog::{Pin, PolicyEntry},
    fleet::Report,
};

/// Decisions that are remembered for `explain --history`.
const HISTORY: usize = 32;
/// Pictures per second that are assumed until a device has said twice how many it has.
const USUAL_FPS: f64 = 10.0;
/// Samples closer together than this are the same sample, seen twice.
const SAME_SAMPLE: Duration = Duration::from_millis(50);
/// What is left, after a sweep without a measurement, of how a server's queue differed from the other devices': half of
/// it after seven.
const QUEUE_LEFT: f64 = 0.9;

/// The three signals of one device.
#[derive(Debug, Clone, Copy)]
pub struct Signals {
    /// Capacity of the uplink, in bit/s.
    pub uplink: Signal,
    /// Round trip, in seconds.
    pub rtt: Signal,
    /// Wait on the server, in seconds.
    pub server_queue: Signal,
}

/// Everything that a sweep knows of a device beside its own state.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// Since the controller's start.
    pub now: Duration,
    /// For pins, and for what people read.
    pub wall: SystemTime,
    /// The policy that it follows.
    pub policy: &'a PolicyEntry,
    /// What was measured.
    pub profile: &'a Profile,
    /// A person's word.
    pub pin: Option<Pin>,
    /// From Prometheus.
    pub signals: Signals,
    /// From the device.
    pub report: &'a Report,
    /// The wait on the server that the policy's other devices measure, for a device that sends nothing there.
    pub others_queue_s: f64,
}

/// One device's state.
#[derive(Debug)]
pub struct DeviceControl {
    warmup: Warmup,
    capacity: CapacityMean,
    newest_sample: Option<Duration>,
    rtt_s: Option<f64>,
    queue_s: Option<f64>,
    drifting: Drifting,
    switching: Switching,
    blindness: Blindness,
    acting: Option<Acting>,
    forecaster: Forecaster,
    /// What was last ordered, and under which generation of which policy.
    ordered: Option<Desired>,
    terms: Option<(String, i64)>,
    history: VecDeque<HistoryEntry>,
}

impl DeviceControl {
    /// A device that `policy` has just taken over; `order` is the one that the store holds for it. It stays in force:
    /// a controller that starts moves nobody.
    pub fn new(policy: &PolicyEntry, order: Option<&Order>, now: Duration) -> Self {
        let current = order.map(|order| order.point);
        let metrics = policy.policy.metrics;
        Self {
            warmup: Warmup::new(metrics.warmup_samples),
            capacity: CapacityMean::new(metrics.capacity_half_life),
            newest_sample: None,
            rtt_s: None,
            queue_s: None,
            drifting: Drifting::default(),
            switching: current.map_or_else(Switching::default, |point| Switching::resume(point, now)),
            blindness: Blindness::default(),
            acting: None,
            forecaster: Forecaster::default(),
            ordered: order.map(Desired::of),
            terms: None,
            history: VecDeque::new(),
        }
    }

    /// Looks at everything and says what should be done. A switch is made only when [`commit`](Self::commit)ted.
    pub fn sweep(&mut self, sweep: &Sweep<'_>) -> Decided {
        let guarded = sweep.report.telemetry.guarded_for_ms.is_some();
        self.take_measurements(sweep, guarded);
        let fresh = sweep.signals.uplink.fresh().is_some() && sweep.signals.rtt.fresh().is_some();
        // Nothing is measured on a link that a guard has left: that is no gap.
        let warm = guarded || self.warmup.observe(fresh);
        let inputs = self.inputs(sweep);
        let seen = SeenInputs {
            uplink: sweep.signals.uplink,
            rtt: sweep.signals.rtt,
            server_queue: sweep.signals.server_queue,
            mean_uplink_bps: self.capacity.bps(),
            inputs,
        };
        let choice = inputs.map(|inputs| choose(sweep.profile, &sweep.policy.policy, &inputs));
        let telemetry = &sweep.report.telemetry;
        let forecast = self.forecaster.test(telemetry);
        self.forecaster.predict(telemetry.point, choice.as_ref().filter(|_| fresh && warm && !guarded));
        let (outcome, proposal) = self.outcome(sweep, guarded, fresh, warm, choice.as_ref());
        Decided {
            seen,
            current: self.switching.current(),
            choice,
            outcome,
            fallback: self.acting,
            proposal,
            forecast,
        }
    }

    /// Takes in what is new, unless the device guards: a dead link says nothing of the link after it.
    fn take_measurements(&mut self, sweep: &Sweep<'_>, guarded: bool) {
        if guarded {
            self.capacity.skip_to(sweep.now);
            return;
        }
        if let Signal::Fresh { value, age_s } = sweep.signals.uplink {
            let at = sweep.now.saturating_sub(Duration::try_from_secs_f64(age_s).unwrap_or_default());
            if self.newest_sample.is_none_or(|newest| at > newest + SAME_SAMPLE) {
                self.capacity.observe(at, value);
                self.newest_sample = Some(at);
            }
        }
        self.rtt_s = sweep.signals.rtt.fresh().or(self.rtt_s);
        // A device that sends nothing waits nowhere, and what it once waited says less and less of now.
        let faded =
            self.queue_s.map(|queue_s| sweep.others_queue_s + QUEUE_LEFT * (queue_s - sweep.others_queue_s));
        self.queue_s = sweep.signals.server_queue.fresh().or(faded);
        let waited = Duration::try_from_secs_f64(self.queue_s.unwrap_or(0.0)).unwrap_or_default();
        self.drifting.take(sweep.now, &sweep.report.telemetry, sweep.profile, waited);
    }

    /// What is reckoned with; none before the first measurement.
    fn inputs(&self, sweep: &Sweep<'_>) -> Option<Inputs> {
        Some(Inputs {
            uplink_bps: self.capacity.bps()?,
            rtt_s: self.rtt_s?,
            server_queue_s: self.queue_s.unwrap_or(sweep.others_queue_s),
            frames_per_second: sweep.report.frames_per_second.filter(|fps| *fps > 0.0).unwrap_or(USUAL_FPS),
            drift: self.drifting.device,
            server_drift: self.drifting.server,
        })
    }

    fn outcome(
        &mut self,
        sweep: &Sweep<'_>,
        guarded: bool,
        fresh: bool,
        warm: bool,
        choice: Option<&Choice>,
    ) -> (Outcome, Option<Proposal>) {
        let PolicyEntry { policy, suspend, .. } = sweep.policy;
        self.acting = None;
        if *suspend {
            self.switching.interrupt();
            return (Outcome::Suspended, None);
        }
        if let Some(pin) = sweep.pin.filter(|pin| pin.holds(sweep.wall)) {
            self.switching.interrupt();
            let to = pin.point(sweep.profile, policy).and_then(|point| self.forced_to(point));
            return (Outcome::Pinned, to);
        }
        if guarded {
            self.switching.skip_to(sweep.now);
            return (Outcome::Guarded, None);
        }
        self.acting = self.blindness.observe(sweep.now, fresh, policy);
        if let Some(acting) = self.acting {
            self.switching.interrupt();
            let to = acting.to.and_then(|point| self.forced_to(point));
            return (Outcome::Fallback, to);
        }
        let Some(choice) = choice.filter(|_| warm) else {
            self.switching.interrupt();
            let missing = self.warmup.missing();
            return (if fresh { Outcome::WarmingUp { missing } } else { Outcome::Blind }, None);
        };
        let (verdict, proposal) =
            self.switching.consider(sweep.now, choice, policy.objective, &policy.behavior);
        (Outcome::Decided(verdict), proposal)
    }

    /// A switch that no hysteresis holds back; none if the device is there.
    fn forced_to(&self, to: OperatingPoint) -> Option<Proposal> {
        let elsewhere = self.switching.current() != Some(to);
        let direction = autotiler_core::decision::Direction::Degrade;
        elsewhere.then_some(Proposal { to, direction, gain_permille: 1000, forced: true })
    }

    /// What the device should be ordered, after `decided`, if that is not what it was ordered last: the switch that
    /// was admitted, or new terms (range of bits, guard) of a policy that changed.
    pub fn desired(&mut self, sweep: &Sweep<'_>, decided: &Decided, admitted: bool) -> Option<Desired> {
        let to = decided.proposal.filter(|_| admitted).map(|proposal| proposal.to);
        let terms = (sweep.policy.name.0.clone(), sweep.policy.generation);
        let point = match to {
            Some(point) => point,
            None if self.terms.as_ref() != Some(&terms) && decided.outcome != Outcome::Suspended => {
                self.switching.current()?
            }
            None => return None,
        };
        let desired = desired(sweep, point, self.inputs(sweep));
        if self.ordered.as_ref() == Some(&desired) {
            self.terms = Some(terms);
            return None;
        }
        Some(desired)
    }

    /// The order for `desired` is in the store.
    pub fn commit(&mut self, sweep: &Sweep<'_>, decided: &Decided, desired: Desired, entry: HistoryEntry) {
        match decided.proposal {
            Some(proposal) if proposal.to == desired.point => self.switching.commit(sweep.now, &proposal),
            _ => {}
        }
        self.terms = Some((sweep.policy.name.0.clone(), sweep.policy.generation));
        self.ordered = Some(desired);
        self.remember(entry);
    }

    /// Keeps `entry` for `explain --history`.
    pub fn remember(&mut self, entry: HistoryEntry) {
        self.history.push_front(entry);
        self.history.truncate(HISTORY);
    }

    /// The store says that somebody else ordered `point`: what we thought is in force is not.
    pub fn overruled(&mut self, now: Duration, point: OperatingPoint) {
        self.switching.set(now, point);
        (self.ordered, self.terms) = (None, None);
    }

    /// The newest decisions that were carried out, newest first.
    pub fn history(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.history.iter()
    }

    /// Stages that have long taken another time than the profile says.
    pub fn drifted(&self) -> Option<Drifted> {
        self.drifting.drifted()
    }

    /// The newest forecast that has been tested.
    pub fn forecast(&self) -> Option<Forecast> {
        self.forecaster.newest()
    }

    /// Whether the flap budget is spent.
    pub fn is_limited(&self, sweep: &Sweep<'_>) -> bool {
        let behavior = &sweep.policy.policy.behavior;
        self.switching.spent(sweep.now, behavior) >= behavior.max_switches.count as usize
    }
}

/// Everything of an order that a policy decides.
fn desired(sweep: &Sweep<'_>, point: OperatingPoint, inputs: Option<Inputs>) -> Desired {
    let (policy, profile) = (&sweep.policy.policy, sweep.profile);
    let measured = profile.find(point.route);
    let min_bits = candidates(profile, policy)
        .iter()
        .find(|candidate| candidate.point == point)
        .and_then(|candidate| candidate.min_bits);
    let max_cut_permille = match policy.behavior.bits {
        BitsMode::OnDevice { max_cut_permille } if min_bits.is_some() => max_cut_permille,
        _ => 0,
    };
    // Without a measurement the safe point is the one of an idle link: it does not hang on the link's state.
    let idle = Inputs {
        uplink_bps: 1e6,
        rtt_s: 0.0,
        server_queue_s: 0.0,
        frames_per_second: USUAL_FPS,
        drift: DeviceDrift::default(),
        server_drift: Drift::default(),
    };
    let guard = policy.behavior.guard.and_then(|guard| {
        let safe_point = safe_point(profile, policy, &inputs.unwrap_or(idle))?;
        // A guard that leaves for where it is would only stop measuring.
        let elsewhere = safe_point != point && point.route != Route::DeviceOnly;
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        elsewhere.then(|| GuardTerms {
            queue_age_ms: millis(guard.queue_age),
            hold_ms: millis(guard.hold),
            safe_point,
        })
    });
    Desired { point, min_bits, max_cut_permille, tiler: measured.and_then(|point| point.tiler), guard }
}

#[cfg(test)]
pub(crate) mod tests;

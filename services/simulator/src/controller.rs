//! The controller's part of a sweep: what it knows, and the project's own decision on it.

use std::time::Duration;

use autotiler_core::{
    OperatingPoint,
    capacity::CapacityMean,
    decision::{DeviceDrift, Drift, Inputs, Policy, Signal, Switching, Warmup, choose},
    profile::Profile,
};

use crate::world::Settings;

/// The controller of one device.
#[derive(Debug)]
pub(crate) struct Controller<'a> {
    profile: &'a Profile,
    policy: &'a Policy,
    inputs: Inputs,
    capacity: CapacityMean,
    measured_at: Option<Duration>,
    warmup: Warmup,
    switching: Switching,
}

impl<'a> Controller<'a> {
    /// A controller that finds the device at `start`.
    pub(crate) fn new(
        profile: &'a Profile,
        policy: &'a Policy,
        settings: &Settings,
        start: OperatingPoint,
    ) -> Self {
        Self {
            profile,
            policy,
            inputs: inputs(settings, 0.0),
            capacity: CapacityMean::new(policy.metrics.capacity_half_life),
            measured_at: None,
            warmup: Warmup::new(policy.metrics.warmup_samples),
            switching: Switching::resume(start, Duration::ZERO),
        }
    }

    /// The device guards: what is known of the link stays as it is, and nothing is decided.
    pub(crate) fn freeze(&mut self, now: Duration) {
        self.capacity.skip_to(now);
        self.measured_at = self.measured_at.map(|_| now);
        self.switching.skip_to(now);
    }

    /// One sweep with what the device measured since the last; the point to order, if it is another.
    pub(crate) fn sweep(&mut self, now: Duration, measured_bps: Option<f64>) -> Option<OperatingPoint> {
        if let Some(bps) = measured_bps {
            self.capacity.observe(now, bps);
            self.measured_at = Some(now);
        }
        let sample = self.capacity.bps().zip(self.measured_at.map(|at| now.saturating_sub(at)));
        let signal = Signal::judge(sample, self.policy.metrics.max_age);
        let known = self.measured_at.is_some();
        let act = known && self.warmup.observe(signal.fresh().is_some());
        let Some(bps) = signal.fresh().filter(|_| act) else {
            self.switching.interrupt();
            return None;
        };
        let inputs = Inputs { uplink_bps: bps, ..self.inputs };
        let choice = choose(self.profile, self.policy, &inputs);
        let Policy { objective, behavior, .. } = self.policy;
        let (_, proposal) = self.switching.consider(now, &choice, *objective, behavior);
        let proposal = proposal?;
        self.switching.commit(now, &proposal);
        Some(proposal.to)
    }
}

/// What is known of device and link at this capacity.
pub(crate) fn inputs(settings: &Settings, uplink_bps: f64) -> Inputs {
    Inputs {
        uplink_bps,
        rtt_s: settings.rtt.as_secs_f64(),
        server_queue_s: 0.0,
        frames_per_second: settings.frames_per_second,
        drift: DeviceDrift::default(),
        server_drift: Drift::default(),
    }
}

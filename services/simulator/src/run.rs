//! One strategy on one link.

use autotiler_core::{decision::Policy, profile::Profile};

use crate::{device::Device, event::Event, metric::Effective, way::Way, world::World};

/// What decides.
#[derive(Debug, Clone, Copy)]
pub enum Plan<'a> {
    /// One way for all frames, at its own bits, without guard.
    Fixed(&'a Way),
    /// The policy's controller, guard and bits.
    Policy {
        /// What was measured.
        profile: &'a Profile,
        /// What is wanted.
        policy: &'a Policy,
        /// The profile's candidates under the policy.
        ways: &'a [Way],
    },
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Effective times.
    pub effective: Effective,
    /// Frames captured.
    pub captured: u64,
    /// Frames whose result arrived.
    pub delivered: u64,
    /// Frames given up for a newer one, on the device or in front of the link.
    pub dropped: u64,
    /// Frames still under way when the record ended.
    pub unfinished: u64,
    /// Frames put on the link.
    pub sent: u64,
    /// Frames sent with less than three quarters of their point's bits.
    pub cut: u64,
    /// Switches ordered by the controller.
    pub switches: u64,
    /// Moves of the guard, in both directions.
    pub guard_moves: u64,
    /// Bits put on the link, probes among them.
    pub uplink_bits: f64,
    /// Sum over delivered frames of the accuracy lost, in thousandths.
    pub accuracy_drop_permille: f64,
    /// What was in force when each frame was begun: its number and its way's index.
    pub timeline: Vec<(usize, usize)>,
}

impl Outcome {
    /// Mean loss of accuracy of what was delivered, in thousandths.
    pub fn mean_accuracy_drop_permille(&self) -> f64 {
        self.accuracy_drop_permille / self.delivered.max(1) as f64
    }

    /// Share of the sent frames that were cut.
    pub fn cut_share(&self) -> f64 {
        self.cut as f64 / self.sent.max(1) as f64
    }
}

/// Runs `plan` until the record of the link ends.
pub fn run(world: &World<'_>, plan: Plan<'_>) -> Outcome {
    let mut device = Device::new(world, plan);
    let end = world.trace.length_s();
    while let Some((now, event)) = device.next_event().filter(|(now, _)| *now < end) {
        match event {
            Event::Carried => device.carried(now),
            Event::Worked => device.worked(now),
            Event::Answered => device.answered(now),
            Event::Ordered => device.ordered(now),
            Event::Swept => device.swept(now),
            Event::Captured => device.captured(now),
            Event::Ticked => device.ticked(now),
        }
    }
    device.finish()
}

//! What a sweep knows: of all devices the same, of each its own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use autotiler_core::{
    DeviceId,
    decision::{Proposal, Signal, admit},
    profile::Profile,
    telemetry::Telemetry,
};

use crate::{
    board::LeftOut,
    catalog::{Catalog, Matches, Pin, PolicyEntry},
    control::{Decided, Desired, HistoryEntry, Outcome, Signals, Sweep, unix_ms},
    fleet::Report,
    observe::{ObserveError, Observed, Samples},
};

/// What is the same for all devices of one sweep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round<'a> {
    /// Whose sweep it is.
    pub(crate) policy: &'a PolicyEntry,
    /// What people want.
    pub(crate) catalog: &'a Catalog,
    /// Which policy each device follows.
    pub(crate) matches: &'a Matches,
    /// What Prometheus said.
    pub(crate) observed: &'a Observed,
    /// Since the controller's start.
    pub(crate) now: Duration,
    /// For pins, and for what people read.
    pub(crate) wall: SystemTime,
}

/// A device with everything that a sweep knows of it.
pub(super) struct Case {
    pub(super) device: DeviceId,
    pub(super) report: Report,
    pub(super) profile: Arc<Profile>,
    signals: Signals,
    pin: Option<Pin>,
    /// The median of the policy's devices, for one that measures no wait on the server itself.
    others_queue_s: f64,
}

/// A case that has been decided.
pub(super) struct Swept {
    pub(super) case: Case,
    pub(super) decided: Decided,
    /// Whether its switch may be made in this sweep.
    pub(super) admitted: bool,
}

impl Round<'_> {
    /// The policy's devices of those `speaking`, and those of them that it cannot decide for.
    pub(super) fn cases(
        &self,
        speaking: BTreeMap<DeviceId, Report>,
    ) -> (Vec<Case>, Vec<(DeviceId, LeftOut)>) {
        let own = speaking.into_iter().filter(|(device, _)| self.matches.is_won(device, &self.policy.name));
        let (mut cases, mut left_out) = (Vec::new(), Vec::new());
        for (device, report) in own {
            match self.profile(&device, &report) {
                Ok(profile) => cases.push(self.case(device, report, profile)),
                Err(why) => left_out.push((device, why)),
            }
        }
        let others_queue_s = median(cases.iter().filter_map(|case| case.signals.server_queue.fresh()));
        cases.iter_mut().for_each(|case| case.others_queue_s = others_queue_s);
        (cases, left_out)
    }

    /// The profile that fits the device's class, if it is of the device's network.
    fn profile(&self, device: &DeviceId, report: &Report) -> Result<Arc<Profile>, LeftOut> {
        let Telemetry { network, device_class, .. } = &*report.telemetry;
        let entry = self.catalog.devices.get(device);
        let class = entry.and_then(|entry| entry.class.as_deref()).unwrap_or(device_class);
        let profile = self.catalog.profile(self.policy, Some(class)).ok_or(LeftOut::NoProfile)?;
        if profile.network() == *network {
            Ok(profile)
        } else {
            Err(LeftOut::OtherNetwork { device: *network, profile: profile.network() })
        }
    }

    fn case(&self, device: DeviceId, report: Report, profile: Arc<Profile>) -> Case {
        let judge = |samples: &Result<Samples, ObserveError>| {
            let sample = samples.as_ref().ok().and_then(|samples| samples.get(device.as_str()));
            let sample = sample.map(|sample| (sample.value, sample.age));
            Signal::judge(sample, self.policy.policy.metrics.max_age)
        };
        let Observed { uplink, rtt, server_queue } = self.observed;
        let signals = Signals { uplink: judge(uplink), rtt: judge(rtt), server_queue: judge(server_queue) };
        let pin = self.catalog.devices.get(&device).and_then(|entry| entry.pin);
        Case { device, report, profile, signals, pin, others_queue_s: 0.0 }
    }
}

impl Case {
    /// The case as the device's control sees it.
    pub(super) fn sweep<'a>(&'a self, round: &Round<'a>) -> Sweep<'a> {
        Sweep {
            now: round.now,
            wall: round.wall,
            policy: round.policy,
            profile: &self.profile,
            pin: self.pin,
            signals: self.signals,
            report: &self.report,
            others_queue_s: self.others_queue_s,
        }
    }
}

impl Swept {
    /// What is remembered of it once it was ordered, or advised with epoch 0.
    pub(super) fn entry(&self, desired: &Desired, epoch: u32, wall: SystemTime) -> HistoryEntry {
        HistoryEntry {
            epoch,
            at_ms: unix_ms(wall),
            from: self.decided.current,
            to: desired.point,
            reason: self.decided.word(desired.point),
            detail: self.decided.reason(desired.point),
            uplink_bps: self.decided.seen.mean_uplink_bps,
        }
    }
}

/// Says which may switch in this sweep; those that may not say so.
pub(super) fn admit_all(swept: &mut [Swept], percent: u8) {
    let proposals: Vec<Proposal> = swept.iter().filter_map(|one| one.decided.proposal).collect();
    let admitted = admit(&proposals, swept.len(), percent);
    let proposing = swept.iter_mut().filter(|one| one.decided.proposal.is_some());
    for (one, go) in proposing.zip(admitted) {
        one.admitted = go;
        if !go {
            one.decided.outcome = Outcome::CONCURRENCY;
        }
    }
}

/// 0 where there is none: nobody has measured a wait.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_nothing_is_no_wait() {
        assert_eq!(median([].into_iter()), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}

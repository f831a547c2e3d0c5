//! What a device has been through lately: its link and point second by second, and the moments that stand out.

use std::{collections::VecDeque, time::Duration};

use autotiler_core::{OperatingPoint, telemetry::Telemetry};

/// Seconds that are kept of a device.
pub const TRAIL: usize = 300;
/// Moments that are kept of a device.
const MOMENTS: usize = 64;

/// One second of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was heard, in milliseconds since 1970.
    pub at_ms: u64,
    /// Capacity of its uplink in bit/s, when it was measured lately.
    pub uplink_bps: Option<u64>,
    /// From capture to detections, 95th percentile, in microseconds.
    pub total_p95_us: Option<u64>,
    /// The point in force.
    pub point: OperatingPoint,
    /// Whether its guard holds it there.
    pub guarded: bool,
}

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When it was heard of, in milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub kind: MomentKind,
    /// The point before.
    pub from: OperatingPoint,
    /// The point after.
    pub to: OperatingPoint,
    /// Of the order that the device obeys, or refuses.
    pub epoch: u32,
    /// More, in words; empty where there is nothing to add.
    pub detail: String,
}

/// Kinds of moments: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentKind {
    /// It obeyed a new order.
    Switched,
    /// Its guard left the link.
    Guarded,
    /// Its guard came back.
    Released,
    /// It could not obey an order.
    Refused,
    /// It started anew.
    Restarted,
    /// It had been silent.
    Returned,
}

/// The past of one device, as far as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    samples: VecDeque<Sample>,
    moments: VecDeque<Moment>,
    /// Moments ever taken.
    taken: u64,
}

impl Trail {
    /// Takes what the device says after it said `before`; `samples` are kept only where there is room for them.
    pub fn take(&mut self, before: Option<&Telemetry>, now: &Telemetry, at_ms: u64, samples: bool) {
        for moment in before.into_iter().flat_map(|before| moments(before, now, at_ms)) {
            self.keep(moment);
        }
        if !samples {
            return;
        }
        // Devices that have news say more than a word in a second; what is kept is a time, not a number of words.
        if self.samples.back().is_some_and(|last| last.at_ms / 1000 == at_ms / 1000) {
            self.samples.pop_back();
        }
        if self.samples.len() == TRAIL {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            at_ms,
            uplink_bps: now.uplink_bps,
            total_p95_us: now.total_us.p95,
            point: now.point,
            guarded: now.guarded_for_ms.is_some(),
        });
    }

    /// Takes that the device speaks again, after it was `silent`.
    pub fn returned(&mut self, now: &Telemetry, at_ms: u64, silent: Duration) {
        let detail = format!("silent for {} s", silent.as_secs());
        let (kind, to) = (MomentKind::Returned, now.point);
        self.keep(Moment { at_ms, kind, from: to, to, epoch: now.epoch.0, detail });
    }

    fn keep(&mut self, moment: Moment) {
        if self.moments.len() == MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
        self.taken += 1;
    }

    /// Seconds, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Moments, oldest first.
    pub fn moments(&self) -> impl ExactSizeIterator<Item = &Moment> {
        self.moments.iter()
    }

    /// Moments ever taken: what [`Trail::moments_after`] counts from.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Moments that were taken when `taken` had been, oldest first; those that are still kept.
    pub fn moments_after(&self, taken: u64) -> impl Iterator<Item = &Moment> {
        let fresh = usize::try_from(self.taken.saturating_sub(taken)).unwrap_or(usize::MAX);
        self.moments.iter().skip(self.moments.len().saturating_sub(fresh))
    }
}

/// What happened between two words of a device.
fn moments(before: &Telemetry, now: &Telemetry, at_ms: u64) -> Vec<Moment> {
    let moment = |kind, from, to, epoch, detail| Moment { at_ms, kind, from, to, epoch, detail };
    let epoch = now.epoch.0;
    if now.uptime_ms < before.uptime_ms {
        return vec![moment(MomentKind::Restarted, before.point, now.point, epoch, String::new())];
    }
    let mut happened = Vec::new();
    if now.assigned != before.assigned || now.switches > before.switches {
        happened.push(moment(MomentKind::Switched, before.assigned, now.assigned, epoch, String::new()));
    }
    match (before.guarded_for_ms, now.guarded_for_ms) {
        (None, Some(_)) => {
            happened.push(moment(MomentKind::Guarded, before.point, now.point, epoch, String::new()));
        }
        (Some(_), None) => {
            happened.push(moment(MomentKind::Released, before.point, now.point, epoch, String::new()));
        }
        _ => {}
    }
    if let Some(refused) = now.refused.as_ref().filter(|refused| before.refused.as_ref() != Some(refused)) {
        let detail = match refused.detail.as_str() {
            "" => refused.reason.label().to_owned(),
            detail => format!("{}: {detail}", refused.reason.label()),
        };
        happened.push(moment(MomentKind::Refused, now.point, now.point, refused.epoch.0, detail));
    }
    happened
}

#[cfg(test)]
mod tests {
    use autotiler_core::{
        Epoch,
        telemetry::{Refusal, RefusalReason},
    };

    use super::*;
    use crate::fixture::telemetry;

    fn kinds(before: &Telemetry, now: &Telemetry) -> Vec<MomentKind> {
        moments(before, now, 0).iter().map(|moment| moment.kind).collect()
    }

    #[test]
    fn a_switch_names_both_points_and_its_epoch() {
        let before = telemetry("cam-0");
        let to = "layer=15,cr=4,bits=8k".parse().unwrap();
        let now = Telemetry { assigned: to, point: to, epoch: Epoch(9), switches: 3, ..before.clone() };
        let happened = moments(&before, &now, 5);
        assert_eq!(
            happened,
            [Moment {
                at_ms: 5,
                kind: MomentKind::Switched,
                from: before.assigned,
                to,
                epoch: 9,
                detail: String::new()
            }]
        );
        assert_eq!(kinds(&now, &now), []);
    }

    #[test]
    fn guard_refusal_and_restart_are_told_apart() {
        let calm = Telemetry { guarded_for_ms: None, ..telemetry("cam-0") };
        let away = Telemetry { guarded_for_ms: Some(10), ..calm.clone() };
        assert_eq!(kinds(&calm, &away), [MomentKind::Guarded]);
        assert_eq!(kinds(&away, &calm), [MomentKind::Released]);
        let refusal = Refusal::new(Epoch(8), RefusalReason::OutOfMemory, "2 MiB".to_owned());
        let refusing = Telemetry { refused: Some(refusal), ..calm.clone() };
        assert_eq!(moments(&calm, &refusing, 0)[0].detail, "out_of_memory: 2 MiB");
        assert_eq!(kinds(&refusing, &refusing), []);
        let anew = Telemetry { uptime_ms: 0, switches: 0, ..calm.clone() };
        assert_eq!(kinds(&calm, &anew), [MomentKind::Restarted]);
    }

    #[test]
    fn the_past_is_bounded() {
        let mut trail = Trail::default();
        let (a, b) = (telemetry("cam-0"), Telemetry { guarded_for_ms: None, ..telemetry("cam-0") });
        // Two words in a second, for twice as many seconds as are kept.
        let words = 4 * TRAIL as u64;
        for word in 0..words {
            let (before, now) = if word % 2 == 0 { (&a, &b) } else { (&b, &a) };
            trail.take(Some(before), now, 500 * word, true);
        }
        assert_eq!((trail.samples().len(), trail.moments().len()), (TRAIL, MOMENTS));
        assert_eq!((trail.taken(), trail.moments_after(trail.taken() - 2).count()), (words, 2));
        let first = trail.samples().next().map(|sample| sample.at_ms);
        assert_eq!(first, Some(1000 * TRAIL as u64 + 500), "the newest word of each second");
    }
}

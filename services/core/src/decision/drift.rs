//! How much longer stages take than their profile says: predictions are corrected by it, and people are told of it.

use std::time::Duration;

use serde::Serialize;

use crate::operating_point::Route;

/// How much longer a device's stages, or a server's, take than the profile says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Drift(f64);

impl Default for Drift {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Drift {
    /// How much of the newest ratio goes into the mean.
    const NEWEST: f64 = 0.2;
    /// What is off by more is taken for a mistake of measuring.
    const RANGE: (f64, f64) = (0.1, 10.0);
    /// Stages that take longer or shorter by more than this factor are those of another device, or of one that is
    /// throttled or shared. Below it lie clocks, temperature and the pictures themselves.
    pub const NOTABLE: f64 = 1.25;

    /// Takes what the stages took at a point for which the profile says `profiled`.
    pub fn observe(&mut self, measured: Duration, profiled: Duration) {
        if let Some(ratio) = Self::ratio(measured, profiled) {
            self.0 += Self::NEWEST * (ratio - self.0);
        }
    }

    fn ratio(measured: Duration, profiled: Duration) -> Option<f64> {
        let ratio = measured.as_secs_f64() / profiled.as_secs_f64();
        let (low, high) = Self::RANGE;
        (ratio.is_finite() && ratio > 0.0).then(|| ratio.clamp(low, high))
    }

    /// The factor on the profile's times.
    pub fn factor(self) -> f64 {
        self.0
    }

    /// Whether it is off by more than [`Drift::NOTABLE`].
    pub fn is_notable(self) -> bool {
        self.0 > Self::NOTABLE || self.0 < Self::NOTABLE.recip()
    }
}

/// A device's drift: of the machine as a whole, and of each kind of work on it. A machine that codes pictures slowly need
/// not run networks slowly, so of what one kind shows, half is taken for the machine's until the others were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(into = "Factors")]
pub struct DeviceDrift {
    /// Logarithms, as what follows.
    machine: f64,
    /// Beyond the machine's: device alone, cut, whole picture.
    own: [f64; 3],
}

impl DeviceDrift {
    /// How much of what other work had of its own is forgotten with each observation: a load that has passed would else
    /// keep the device from it for good. Half is gone after 70.
    const FADES: f64 = 0.01;

    /// Takes what the stages took on `route`.
    pub fn observe(&mut self, route: Route, measured: Duration, profiled: Duration) {
        let Some(ratio) = Drift::ratio(measured, profiled) else { return };
        let at = Self::kind(route);
        let error = ratio.ln() - self.machine - self.own[at];
        self.machine += Drift::NEWEST / 2.0 * error;
        for (kind, own) in self.own.iter_mut().enumerate() {
            *own += if kind == at { Drift::NEWEST / 2.0 * error } else { -Self::FADES * *own };
        }
    }

    /// What is to be expected of work on `route`.
    pub fn of(self, route: Route) -> Drift {
        Drift(self.factor(self.own[Self::kind(route)]))
    }

    fn factor(self, own: f64) -> f64 {
        (self.machine + own).exp()
    }

    const fn kind(route: Route) -> usize {
        match route {
            Route::DeviceOnly => 0,
            Route::Split { .. } => 1,
            Route::ServerOnly => 2,
        }
    }
}

/// A device's drift as people read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Factors {
    device_only: f64,
    split: f64,
    server_only: f64,
}

impl From<DeviceDrift> for Factors {
    fn from(drift: DeviceDrift) -> Self {
        let [device_only, split, server_only] = drift.own.map(|own| drift.factor(own));
        Self { device_only, split, server_only }
    }
}

/// Tells a drift that stays from a load that passes: it must be notable for [`DriftAlarm::AFTER`] without a break, and
/// to be over it must be unnotable for as long.
#[derive(Debug, Clone, Copy, Default)]
pub struct DriftAlarm {
    on: bool,
    otherwise_since: Option<Duration>,
}

impl DriftAlarm {
    /// How long a change must have been there.
    pub const AFTER: Duration = Duration::from_secs(30);

    /// Looks at `drift` at `now`; whether it is to be told.
    pub fn observe(&mut self, now: Duration, drift: Drift) -> bool {
        if drift.is_notable() == self.on {
            self.otherwise_since = None;
        } else {
            let since = *self.otherwise_since.get_or_insert(now);
            if now.saturating_sub(since) >= Self::AFTER {
                *self = Self { on: !self.on, otherwise_since: None };
            }
        }
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settled(ratio: u32) -> Drift {
        let mut drift = Drift::default();
        (0..60).for_each(|_| drift.observe(100 * ratio * MS, 100 * MS));
        drift
    }

    #[test]
    fn it_moves_towards_what_is_measured() {
        let mut drift = settled(2);
        assert!((drift.factor() - 2.0).abs() < 0.01);
        drift.observe(200 * MS, Duration::ZERO);
        assert!((drift.factor() - 2.0).abs() < 0.01, "no profile is no ratio");
    }

    #[test]
    fn half_of_what_one_kind_of_work_shows_is_taken_for_the_machine_s_until_another_shows_its_own() {
        let split: Route = "layer=20,cr=4,bits=12k".parse::<crate::OperatingPoint>().unwrap().route;
        let mut drift = DeviceDrift::default();
        let mut work = |times: u32, route, percent: u32| {
            (0..times).for_each(|_| drift.observe(route, percent * MS, 100 * MS));
            [Route::DeviceOnly, split, Route::ServerOnly].map(|route| drift.of(route).factor())
        };
        let is = |got: [f64; 3], wanted: [f64; 3]| {
            let close = |(got, wanted): (f64, f64)| (got - wanted).abs() < 0.02;
            assert!(got.into_iter().zip(wanted).all(close), "{got:?} {wanted:?}");
        };
        is(work(60, Route::ServerOnly, 200), [2_f64.sqrt(), 2_f64.sqrt(), 2.0]);
        is(work(60, split, 100), [2_f64.powf(0.25), 1.0, 2_f64.powf(0.25 + 0.5 * 0.547)]);
        is(work(1_000, split, 100), [2_f64.powf(0.25), 1.0, 2_f64.powf(0.25)]);
        is(work(1_000, Route::ServerOnly, 100), [2_f64.powf(0.125), 2_f64.powf(0.125), 1.0]);
    }

    #[test]
    fn both_ways_are_notable_and_small_ones_are_not() {
        let at = |percent: u32| {
            let mut drift = Drift::default();
            (0..60).for_each(|_| drift.observe(percent * MS, 100 * MS));
            drift.is_notable()
        };
        assert_eq!([70, 85, 100, 120, 130].map(at), [true, false, false, false, true]);
    }

    #[test]
    fn what_passes_is_not_told_and_what_stays_is_until_it_has_long_been_over() {
        let (slow, right) = (settled(2), Drift::default());
        let mut alarm = DriftAlarm::default();
        let mut at = |second: u64, drift| alarm.observe(Duration::from_secs(second), drift);
        assert!(!at(0, slow) && !at(29, slow) && !at(30, right), "a load that passed");
        assert!(!at(31, slow) && !at(60, slow) && at(61, slow));
        assert!(at(62, right) && at(91, right) && at(92, slow), "a pause is no end");
        assert!(at(93, right) && !at(123, right));
    }
}

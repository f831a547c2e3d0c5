//! What was measured of a network on one class of devices: the ground that decisions stand on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::Digest,
    operating_point::{OperatingPoint, Route},
    quantity::TargetBits,
};

/// A network's partition points as measured on one class of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    network: Digest,
    device_class: String,
    points: Vec<ProfilePoint>,
}

/// One way to share the work, with its times, and its bits against accuracy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePoint {
    /// Where the work is done.
    pub route: Route,
    /// The tiler that was measured; none where no feature map is sent.
    pub tiler: Option<Digest>,
    /// Head, tiler and codec on the device; the whole network for [`Route::DeviceOnly`].
    pub device: Spread,
    /// Decoding and tail on the server, by rising batch size from 1; empty for [`Route::DeviceOnly`].
    pub server: Vec<BatchTime>,
    /// Bits against accuracy, by rising bits; empty for [`Route::DeviceOnly`].
    pub rates: Vec<Rate>,
    /// Memory that the device needs for it, in KiB; 0 if it was not measured.
    pub memory_kib: u32,
}

/// A time and how it varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: Duration,
    /// 95th percentile.
    pub p95: Duration,
}

/// How long the server needs for frames that share a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchTime {
    /// Frames in the run.
    pub batch: u16,
    /// For all of them together: HEVC decoding, tiler decoder, tail, boxes.
    pub time: Duration,
}

/// What a number of bits per frame costs in accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Mean bits of an access unit.
    pub bits: TargetBits,
    /// Mean average precision lost against the uncut network, in thousandths of it.
    pub accuracy_drop_permille: u16,
}

/// Why measurements are no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// Nothing to choose from.
    #[error("the profile has no points")]
    Empty,
    /// The same route twice.
    #[error("points: {0} stands there twice")]
    Twice(String),
    /// A point without bits, or device-only with some.
    #[error("points: {0} must have rates (device-only: none), by rising bits")]
    Rates(String),
    /// A point without server times, or device-only with some.
    #[error("points: {0} must have server times from batch 1 on (device-only: none), by rising batch")]
    Server(String),
    /// A median above the 95th percentile.
    #[error("points: {0} has a median device time above its 95th percentile")]
    Spread(String),
}

impl Profile {
    /// # Errors
    /// [`BadProfile`], which names the point and what must hold of it.
    pub fn try_new(
        network: Digest,
        device_class: String,
        points: Vec<ProfilePoint>,
    ) -> Result<Self, BadProfile> {
        if points.is_empty() {
            return Err(BadProfile::Empty);
        }
        for (at, point) in points.iter().enumerate() {
            point.check()?;
            if points.iter().take(at).any(|other| other.route == point.route) {
                return Err(BadProfile::Twice(point.name()));
            }
        }
        Ok(Self { network, device_class, points })
    }

    /// The network that was measured.
    pub fn network(&self) -> Digest {
        self.network
    }

    /// The class of devices that it was measured on.
    pub fn device_class(&self) -> &str {
        &self.device_class
    }

    /// All points, in the order in which they were given.
    pub fn points(&self) -> &[ProfilePoint] {
        &self.points
    }

    /// The point of `route`.
    pub fn find(&self, route: Route) -> Option<&ProfilePoint> {
        self.points.iter().find(|point| point.route == route)
    }
}

impl ProfilePoint {
    fn name(&self) -> String {
        match self.route {
            Route::Split { layer, cr } => format!("layer={layer},cr={cr}"),
            Route::DeviceOnly => "device-only".to_owned(),
            Route::ServerOnly => "server-only".to_owned(),
        }
    }

    fn check(&self) -> Result<(), BadProfile> {
        let alone = self.route == Route::DeviceOnly;
        if self.rates.is_empty() != alone || !self.rates.is_sorted_by(|a, b| a.bits < b.bits) {
            return Err(BadProfile::Rates(self.name()));
        }
        let first = self.server.first().map(|run| run.batch);
        let rising = self.server.is_sorted_by(|a, b| a.batch < b.batch);
        if !rising || first != (!alone).then_some(1) {
            return Err(BadProfile::Server(self.name()));
        }
        if self.device.p50 > self.device.p95 {
            return Err(BadProfile::Spread(self.name()));
        }
        Ok(())
    }

    /// The operating point at `bits`; bits mean nothing to [`Route::DeviceOnly`].
    pub fn at(&self, bits: TargetBits) -> OperatingPoint {
        match self.route {
            Route::Split { layer, cr } => OperatingPoint::split(layer, cr, bits),
            Route::ServerOnly => OperatingPoint::server_only(bits),
            Route::DeviceOnly => OperatingPoint::device_only(),
        }
    }

    /// Fewest bits that were measured.
    pub fn fewest_bits(&self) -> Option<TargetBits> {
        self.rates.first().map(|rate| rate.bits)
    }

    /// Accuracy lost at `bits`, between the two nearest rates; that of the nearest end outside of them.
    pub fn accuracy_drop_permille(&self, bits: TargetBits) -> u16 {
        let above = self.rates.iter().position(|rate| rate.bits >= bits).unwrap_or(self.rates.len());
        let (below, above) = (above.checked_sub(1).and_then(|i| self.rates.get(i)), self.rates.get(above));
        match (below, above) {
            (Some(low), Some(high)) => {
                let span = f64::from(high.bits.get() - low.bits.get());
                let share = f64::from(bits.get() - low.bits.get()) / span;
                let [from, to] = [low, high].map(|rate| f64::from(rate.accuracy_drop_permille));
                (from + (to - from) * share).round() as u16
            }
            (Some(end), None) | (None, Some(end)) => end.accuracy_drop_permille,
            (None, None) => 0,
        }
    }

    /// How long the server needs for one frame, `waited` in its queue not counted: frames that wait share a run,
    /// so a long queue means large runs.
    pub fn server_time(&self, waited: Duration) -> Duration {
        let Some(one) = self.server.first() else { return Duration::ZERO };
        let waiting = waited.as_secs_f64() / one.time.as_secs_f64().max(1e-6) + 1.0;
        let run = self.server.iter().rfind(|run| f64::from(run.batch) <= waiting).unwrap_or(one);
        run.time
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::quantity::{CompressionRatio, LayerIndex};

    /// A split point: device time in ms, and (bits, drop) pairs; the server needs 10 ms.
    pub(crate) fn split(layer: u16, device_ms: u64, rates: &[(u32, u16)]) -> ProfilePoint {
        let cr = CompressionRatio::try_new(4).unwrap();
        point(Route::Split { layer: LayerIndex(layer), cr }, device_ms, rates)
    }

    pub(crate) fn point(route: Route, device_ms: u64, rates: &[(u32, u16)]) -> ProfilePoint {
        let ms = Duration::from_millis(device_ms);
        let rate = |&(bits, accuracy_drop_permille): &(u32, u16)| Rate {
            bits: TargetBits::try_new(bits).unwrap(),
            accuracy_drop_permille,
        };
        let alone = route == Route::DeviceOnly;
        let runs = [(1, 10), (4, 16)].map(|(batch, ms)| BatchTime { batch, time: Duration::from_millis(ms) });
        ProfilePoint {
            route,
            tiler: None,
            device: Spread { p50: ms, p95: ms },
            server: if alone { Vec::new() } else { runs.to_vec() },
            rates: rates.iter().map(rate).collect(),
            memory_kib: 0,
        }
    }

    /// The set A of the field notes: a small detector on a slow device.
    pub(crate) fn small() -> Profile {
        let points = vec![
            point(Route::DeviceOnly, 400, &[]),
            split(10, 60, &[(41_000, 0)]),
            split(20, 110, &[(12_000, 10)]),
            split(30, 150, &[(4_000, 60), (9_000, 15), (25_000, 2)]),
            split(40, 200, &[(4_000, 40), (9_000, 12), (25_000, 1)]),
            point(Route::ServerOnly, 20, &[(75_000, 10)]),
        ];
        Profile::try_new(Digest([7; 32]), "slow".to_owned(), points).unwrap()
    }

    #[test]
    fn what_is_no_profile_names_the_point() {
        let refuse =
            |points| Profile::try_new(Digest([0; 32]), String::new(), points).unwrap_err().to_string();
        assert!(refuse(vec![]).contains("no points"));
        let good = split(3, 1, &[(10, 0)]);
        assert!(refuse(vec![good.clone(), good.clone()]).contains("layer=3,cr=4 stands there twice"));
        assert!(refuse(vec![split(3, 1, &[])]).contains("rates"));
        assert!(refuse(vec![split(3, 1, &[(10, 0), (10, 0)])]).contains("rising bits"));
        assert!(refuse(vec![ProfilePoint { server: vec![], ..good }]).contains("server times"));
        assert!(refuse(vec![point(Route::DeviceOnly, 1, &[(1, 1)])]).contains("device-only"));
    }

    #[test]
    fn accuracy_lies_between_what_was_measured() {
        let point = split(3, 1, &[(1_000, 100), (2_000, 20)]);
        let drop = |bits| point.accuracy_drop_permille(TargetBits::try_new(bits).unwrap());
        assert_eq!([500, 1_000, 1_500, 2_000, 9_000].map(drop), [100, 100, 60, 20, 20]);
    }

    #[test]
    fn a_long_queue_means_a_large_run() {
        let point = split(3, 1, &[(10, 0)]);
        let at = |ms| point.server_time(Duration::from_millis(ms)).as_millis();
        assert_eq!([at(0), at(25), at(30), at(500)], [10, 10, 16, 16]);
    }
}

//! The newest word of each device that speaks, and what it has been through lately.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use autotiler_core::{DeviceId, telemetry::Telemetry};
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{series::Series, trail::Trail};

/// Devices whose seconds are kept (20 kB each); of more than these only the newest word and the moments are.
const TRAILED: usize = 1000;

/// All devices that have spoken lately. Clones share them.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    heard: Mutex<HashMap<DeviceId, Heard>>,
    silence: Duration,
    most: usize,
    descs: Vec<Desc>,
    /// One moment by both clocks.
    zero: (Instant, SystemTime),
}

/// A device that speaks.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When it spoke last.
    pub at: Instant,
    /// The same, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it said.
    pub telemetry: Arc<Telemetry>,
    /// What it has been through.
    pub trail: Trail,
}

/// There is no room for another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Fleet {
    /// A fleet of at most `most` devices, in which one that is silent for `silence` is forgotten.
    ///
    /// # Errors
    /// Never in practice: the names of the series are fixed and right.
    pub fn new(silence: Duration, most: usize) -> Result<Self, prometheus::Error> {
        let descs = Series::new()?.descs();
        let zero = (Instant::now(), SystemTime::now());
        Ok(Self(Arc::new(Shared { heard: Mutex::default(), silence, most, descs, zero })))
    }

    /// A device has spoken at `at`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn hear(&self, telemetry: Telemetry, at: Instant) -> Result<(), Full> {
        let at_ms = self.unix_ms(at);
        let mut heard = self.locked();
        if heard.len() >= self.0.most && !heard.contains_key(&telemetry.device) {
            self.forget(&mut heard, at);
            if heard.len() >= self.0.most {
                return Err(Full);
            }
        }
        let device = telemetry.device.clone();
        let before = heard.remove(&device);
        let (before, mut trail) = before.map_or_else(Default::default, |b| (Some(b.telemetry), b.trail));
        let room = heard.len() < TRAILED || trail.samples().len() > 0;
        trail.take(before.as_deref(), &telemetry, at_ms, room);
        heard.insert(device, Heard { at, at_ms, telemetry: Arc::new(telemetry), trail });
        Ok(())
    }

    /// Devices that speak at `now`.
    pub fn len(&self, now: Instant) -> usize {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.len()
    }

    /// Looks at each device that speaks at `now`, in no order.
    pub fn each(&self, now: Instant, mut look: impl FnMut(&Heard)) {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.values().for_each(&mut look);
    }

    /// Looks at one device, if it speaks at `now`.
    pub fn one<T>(&self, device: &DeviceId, now: Instant, look: impl FnOnce(&Heard) -> T) -> Option<T> {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.get(device).map(look)
    }

    /// Milliseconds since 1970 at `at`.
    pub fn unix_ms(&self, at: Instant) -> u64 {
        let (zero, wall) = self.0.zero;
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from((wall + at.saturating_duration_since(zero)).as_millis()).unwrap_or(u64::MAX)
    }

    /// The series at `now`.
    pub fn series(&self, now: Instant) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let series = Series::new()?;
        self.each(now, |heard| series.show(&heard.telemetry));
        Ok(series.collect())
    }

    fn forget(&self, heard: &mut HashMap<DeviceId, Heard>, now: Instant) {
        heard.retain(|_, heard| now.saturating_duration_since(heard.at) < self.0.silence);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<DeviceId, Heard>> {
        // Nothing that runs under this lock can leave the map torn.
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Fleet {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.series(Instant::now()).unwrap_or_else(|error| {
            tracing::error!(%error, "making the devices' series");
            Vec::new()
        })
    }
}

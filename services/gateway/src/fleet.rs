//! The newest word of each device that speaks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use autotiler_core::{DeviceId, telemetry::Telemetry};
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::series::Series;

/// All devices that have spoken lately. Clones share them.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    heard: Mutex<HashMap<DeviceId, Heard>>,
    silence: Duration,
    most: usize,
    descs: Vec<Desc>,
}

#[derive(Debug)]
struct Heard {
    at: Instant,
    telemetry: Telemetry,
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
        Ok(Self(Arc::new(Shared { heard: Mutex::default(), silence, most, descs })))
    }

    /// A device has spoken at `at`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn hear(&self, telemetry: Telemetry, at: Instant) -> Result<(), Full> {
        let mut heard = self.locked();
        if heard.len() >= self.0.most && !heard.contains_key(&telemetry.device) {
            self.forget(&mut heard, at);
            if heard.len() >= self.0.most {
                return Err(Full);
            }
        }
        heard.insert(telemetry.device.clone(), Heard { at, telemetry });
        Ok(())
    }

    /// Devices that speak at `now`.
    pub fn len(&self, now: Instant) -> usize {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.len()
    }

    /// The series at `now`.
    pub fn series(&self, now: Instant) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let series = Series::new()?;
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.values().for_each(|heard| series.show(&heard.telemetry));
        drop(heard);
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

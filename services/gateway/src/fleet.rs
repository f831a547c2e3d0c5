//! The newest word of each device that speaks, and what it has been through lately.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use autotiler_core::{
    DeviceId,
    telemetry::{Life, Telemetry, Word},
};
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{series::Series, trail::Trail};

/// Devices whose seconds are kept (20 kB each); of more than these only the newest word and the moments are.
const TRAILED: usize = 1000;
/// What a silent device has been through is kept for so long, where there is room for it: it is shown when it is back.
const REMEMBERED: Duration = Duration::from_secs(300);

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
    /// What its words are put in order by.
    life: Life,
}

/// Why a word is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassedOver {
    /// There is no room for another device.
    Full,
    /// A newer one was heard before it: what it says is no longer so.
    HeldUp,
}

impl PassedOver {
    /// All labels.
    pub const LABELS: [&str; 2] = [Self::Full.label(), Self::HeldUp.label()];

    /// Metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "too_many_devices",
            Self::HeldUp => "held_up",
        }
    }
}

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
    /// [`PassedOver`].
    pub fn hear(&self, telemetry: Telemetry, at: Instant) -> Result<(), PassedOver> {
        let (at_ms, uptime_ms) = (self.unix_ms(at), telemetry.uptime_ms);
        let since = at.saturating_duration_since(self.0.zero.0);
        let mut heard = self.locked();
        if heard.len() >= self.0.most && !heard.contains_key(&telemetry.device) {
            heard.retain(|_, heard| self.speaks(heard, at));
            if heard.len() >= self.0.most {
                return Err(PassedOver::Full);
            }
        }
        let speaking = heard.len();
        let Some(known) = heard.get_mut(&telemetry.device) else {
            let mut trail = Trail::default();
            trail.take(None, &telemetry, at_ms, speaking < TRAILED);
            let (device, life) = (telemetry.device.clone(), Life::first(since, uptime_ms));
            heard.insert(device, Heard { at, at_ms, telemetry: Arc::new(telemetry), trail, life });
            return Ok(());
        };
        if known.life.hear(since, uptime_ms) == Word::HeldUp {
            return Err(PassedOver::HeldUp);
        }
        if !self.speaks(known, at) {
            known.trail.returned(&telemetry, at_ms, at.saturating_duration_since(known.at));
        }
        let room = speaking <= TRAILED || known.trail.samples().len() > 0;
        known.trail.take(Some(&known.telemetry), &telemetry, at_ms, room);
        (known.at, known.at_ms, known.telemetry) = (at, at_ms, Arc::new(telemetry));
        Ok(())
    }

    /// Devices that speak at `now`.
    pub fn len(&self, now: Instant) -> usize {
        let mut speaking = 0;
        self.each(now, |_| speaking += 1);
        speaking
    }

    /// Looks at each device that speaks at `now`, in no order.
    pub fn each(&self, now: Instant, mut look: impl FnMut(&Heard)) {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.values().filter(|heard| self.speaks(heard, now)).for_each(&mut look);
    }

    /// Looks at one device, if it speaks at `now`.
    pub fn one<T>(&self, device: &DeviceId, now: Instant, look: impl FnOnce(&Heard) -> T) -> Option<T> {
        let mut heard = self.locked();
        self.forget(&mut heard, now);
        heard.get(device).filter(|heard| self.speaks(heard, now)).map(look)
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

    fn speaks(&self, heard: &Heard, now: Instant) -> bool {
        now.saturating_duration_since(heard.at) < self.0.silence
    }

    fn forget(&self, heard: &mut HashMap<DeviceId, Heard>, now: Instant) {
        heard.retain(|_, heard| now.saturating_duration_since(heard.at) < self.0.silence + REMEMBERED);
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

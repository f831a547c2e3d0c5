//! What devices say of themselves: the newest telemetry of each, and what only two of them together tell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use autotiler_core::{
    DeviceId,
    telemetry::{Life, Telemetry, Word},
};

/// A device that has said nothing for longer is silent. It speaks each second.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// Most devices that are kept: whoever may publish telemetry must not fill our memory.
const MOST_DEVICES: usize = 20_000;
/// How much of the newest rate goes into the mean.
const NEWEST: f64 = 0.3;

/// Metric label of words for which there is no room.
pub const TOO_MANY: &str = "too_many";
/// Metric label of words after which a newer one was heard already.
pub const HELD_UP: &str = "held_up";

/// The newest of all devices. Clones share it. Times are since the controller's start.
#[derive(Debug, Clone, Default)]
pub struct Fleet(Arc<Mutex<BTreeMap<DeviceId, (Report, Life)>>>);

/// What is known of one device.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its own words.
    pub telemetry: Arc<Telemetry>,
    /// When they came.
    pub at: Duration,
    /// Frames that its source gives in a second; none until it has spoken twice.
    pub frames_per_second: Option<f64>,
}

impl Fleet {
    /// Takes what a device said.
    ///
    /// # Errors
    /// The label of why it is not taken: [`TOO_MANY`] devices, or a word that was [`HELD_UP`].
    pub fn take(&self, now: Duration, telemetry: Telemetry) -> Result<(), &'static str> {
        let mut reports = self.locked();
        let full = reports.len() >= MOST_DEVICES;
        let mut before = reports.get_mut(&telemetry.device);
        if before.is_none() && full {
            return Err(TOO_MANY);
        }
        if before.as_mut().is_some_and(|(_, life)| life.hear(now, telemetry.uptime_ms) == Word::HeldUp) {
            return Err(HELD_UP);
        }
        let life = before.as_ref().map_or_else(|| Life::first(now, telemetry.uptime_ms), |(_, life)| *life);
        let frames_per_second = before.and_then(|(before, _)| {
            let known = before.frames_per_second;
            let newest = rate(&before.telemetry, &telemetry);
            match (known, newest) {
                (Some(known), Some(newest)) => Some(known + NEWEST * (newest - known)),
                (known, newest) => newest.or(known),
            }
        });
        let device = telemetry.device.clone();
        let report = Report { telemetry: Arc::new(telemetry), at: now, frames_per_second };
        reports.insert(device, (report, life));
        Ok(())
    }

    /// Devices that have spoken lately.
    pub fn speaking(&self, now: Duration) -> BTreeMap<DeviceId, Report> {
        let reports = self.locked();
        let lately = |report: &Report| now.saturating_sub(report.at) <= SILENT_AFTER;
        let reports = reports.iter().map(|(device, (report, _))| (device, report));
        let reports = reports.filter(|(_, report)| lately(report));
        reports.map(|(device, report)| (device.clone(), report.clone())).collect()
    }

    /// Forgets devices that have been silent for `limit`.
    pub fn forget(&self, now: Duration, limit: Duration) {
        self.locked().retain(|_, (report, _)| now.saturating_sub(report.at) <= limit);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<DeviceId, (Report, Life)>> {
        // Whole at any instant: entries are replaced, not changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames captured per second between two reports; none over a restart, a repetition or no time.
fn rate(before: &Telemetry, after: &Telemetry) -> Option<f64> {
    let elapsed_ms = after.uptime_ms.checked_sub(before.uptime_ms).filter(|ms| *ms >= 100)?;
    let frames = after.captured.checked_sub(before.captured)?;
    Some(frames as f64 * 1e3 / elapsed_ms as f64)
}

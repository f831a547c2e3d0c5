//! What telemetry says of the accounts.

use std::{collections::BTreeMap, time::Duration};

use autotiler_core::telemetry::{ServerMicros, StageMicros, TotalMicros};

/// The accounts at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Frames that the source gave.
    pub captured: u64,
    /// Frames handed to the broker, or done on the device.
    pub sent: u64,
    /// Frames whose detections came.
    pub received: u64,
    /// Frames not sent, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Frames sent whose detections did not come, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// How long the link has held up a frame.
    pub queue_age: Option<Duration>,
    /// Bits of frames in the queue, and of those sent and not answered.
    pub backlog_bits: (u64, u64),
    /// Frames received per second lately.
    pub frames_per_second: f64,
    /// See [`autotiler_core::telemetry::Telemetry::last_switch_gap_us`].
    pub switch_gap: Option<Duration>,
    /// Medians of the device's stages.
    pub stages: StageMicros,
    /// The server's stages.
    pub server: ServerMicros,
    /// From capture to detections.
    pub total: TotalMicros,
}

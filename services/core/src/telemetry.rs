//! What a device says of itself each second, as JSON. What is not known is null, never 0.

mod life;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{DeviceId, Digest, Epoch},
    operating_point::OperatingPoint,
};

pub use life::{Life, Word};

/// Longest telemetry, in bytes of JSON.
pub const MAX_TELEMETRY_LEN: usize = 16 * 1024;
/// Longest name of a device class or a reason, in bytes.
pub const MAX_NAME_LEN: usize = 63;
/// Most reasons of one kind.
pub const MAX_REASONS: usize = 32;
/// Longest detail of a refusal, in bytes; longer ones are cut.
pub const MAX_DETAIL_LEN: usize = 256;

/// One device's state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// The device.
    pub device: DeviceId,
    /// What kind of device it is: which measured profile fits it.
    pub device_class: String,
    /// Digest of its network.
    pub network: Digest,
    /// Time since its start, in milliseconds.
    pub uptime_ms: u64,
    /// Epoch of the order that it has applied; 0 before the first.
    pub epoch: Epoch,
    /// The point in force now.
    pub point: OperatingPoint,
    /// The point of the applied order.
    pub assigned: OperatingPoint,
    /// How long it has been at its safe point, in milliseconds; none while it follows its order.
    pub guarded_for_ms: Option<u64>,
    /// Moves of its guard, both ways.
    pub guard_moves: u64,
    /// Switches from order to order.
    pub switches: u64,
    /// From the last old frame handed on to the first new one, in the last switch, in microseconds.
    pub last_switch_gap_us: Option<u64>,
    /// The newest order that it could not obey, until it obeys a later one.
    pub refused: Option<Refusal>,
    /// Capacity of its uplink in bits per second, when measured lately; never its goodput.
    pub uplink_bps: Option<u64>,
    /// Smallest round trip to the broker lately, in microseconds.
    pub rtt_us: Option<u64>,
    /// Age of the oldest frame that has not got through, in microseconds; 0 when there is none.
    pub queue_age_us: u64,
    /// Bits that wait to get through.
    pub backlog_bits: u64,
    /// Frames received per second lately.
    pub frames_per_second: f64,
    /// Medians of the device's stages in the last second, at the point in force.
    #[serde(default)]
    pub stage_us: StageMicros,
    /// The server's part in the last second.
    #[serde(default)]
    pub server_us: ServerMicros,
    /// From capture to detections in the last second.
    #[serde(default)]
    pub total_us: TotalMicros,
    /// Frames that the source gave.
    pub captured: u64,
    /// Frames handed to the broker, or done on the device.
    pub sent: u64,
    /// Frames whose detections came.
    pub received: u64,
    /// Frames not sent, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// Frames sent whose detections did not come, by reason.
    #[serde(default)]
    pub lost: BTreeMap<String, u64>,
    /// Share of frames cut below the point's bits, in thousandths.
    #[serde(default)]
    pub cut_permille: u16,
}

/// Medians of the device's stages, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StageMicros {
    /// Resizing, head and tiler encoder; or the whole network.
    pub head: Option<u64>,
    /// HEVC.
    pub codec: Option<u64>,
    /// Boxes, where the device finds them.
    pub boxes: Option<u64>,
}

/// The server's stages, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerMicros {
    /// Waiting, 95th percentile.
    pub queue_p95: Option<u64>,
    /// HEVC, median.
    pub decode: Option<u64>,
    /// Tail and boxes, median.
    pub tail: Option<u64>,
}

/// From capture to detections, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TotalMicros {
    /// Median.
    pub p50: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
}

/// An order that was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The order's epoch.
    pub epoch: Epoch,
    /// Why.
    pub reason: RefusalReason,
    /// Why, in words for people.
    #[serde(default)]
    pub detail: String,
}

/// Why an order was not obeyed. A closed set, for it labels metrics and conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The device has no such tiler, or another one.
    UnknownTiler,
    /// The device has another network.
    UnknownNetwork,
    /// There is not enough memory for it.
    OutOfMemory,
    /// Engine or encoder refused.
    NotLoadable,
    /// No plane of the point is so small.
    BitsOutOfReach,
}

/// Why bytes are no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum BadTelemetry {
    /// Longer than [`MAX_TELEMETRY_LEN`].
    #[error("telemetry of {0} bytes is longer than {MAX_TELEMETRY_LEN}")]
    TooLong(usize),
    /// No JSON, or not of this shape.
    #[error("reading telemetry")]
    Json(#[source] serde_json::Error),
    /// A field with a value that it cannot have.
    #[error("telemetry: {0} is out of its range")]
    Field(&'static str),
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::UnknownTiler,
        Self::UnknownNetwork,
        Self::OutOfMemory,
        Self::NotLoadable,
        Self::BitsOutOfReach,
    ];

    /// Metric label and JSON value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownTiler => "unknown_tiler",
            Self::UnknownNetwork => "unknown_network",
            Self::OutOfMemory => "out_of_memory",
            Self::NotLoadable => "not_loadable",
            Self::BitsOutOfReach => "bits_out_of_reach",
        }
    }
}

impl Refusal {
    /// A refusal whose `detail` is cut to [`MAX_DETAIL_LEN`] bytes.
    pub fn new(epoch: Epoch, reason: RefusalReason, mut detail: String) -> Self {
        let end = (0..=MAX_DETAIL_LEN).rev().find(|end| detail.is_char_boundary(*end)).unwrap_or(0);
        detail.truncate(end);
        Self { epoch, reason, detail }
    }
}

impl BadTelemetry {
    /// Metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::Json(_) => "bad_json",
            Self::Field(_) => "bad_field",
        }
    }

    /// All labels.
    pub const LABELS: [&str; 3] = ["too_long", "bad_json", "bad_field"];
}

impl Telemetry {
    /// What a device says that has just started at `point`: it has obeyed no order, seen no frame and measured nothing.
    pub fn at_start(device: DeviceId, device_class: String, network: Digest, point: OperatingPoint) -> Self {
        Self {
            device,
            device_class,
            network,
            uptime_ms: 0,
            epoch: Epoch(0),
            point,
            assigned: point,
            guarded_for_ms: None,
            guard_moves: 0,
            switches: 0,
            last_switch_gap_us: None,
            refused: None,
            uplink_bps: None,
            rtt_us: None,
            queue_age_us: 0,
            backlog_bits: 0,
            frames_per_second: 0.0,
            stage_us: StageMicros::default(),
            server_us: ServerMicros::default(),
            total_us: TotalMicros::default(),
            captured: 0,
            sent: 0,
            received: 0,
            dropped: BTreeMap::new(),
            lost: BTreeMap::new(),
            cut_permille: 0,
        }
    }

    /// Reads telemetry from outside.
    ///
    /// # Errors
    /// [`BadTelemetry`].
    pub fn try_from_json(json: &[u8]) -> Result<Self, BadTelemetry> {
        if json.len() > MAX_TELEMETRY_LEN {
            return Err(BadTelemetry::TooLong(json.len()));
        }
        serde_json::from_slice::<Self>(json).map_err(BadTelemetry::Json)?.try_checked()
    }

    /// The telemetry, if its fields are in range.
    ///
    /// # Errors
    /// [`BadTelemetry::Field`] with the first that is not.
    pub fn try_checked(self) -> Result<Self, BadTelemetry> {
        if !is_name(&self.device_class) {
            return Err(BadTelemetry::Field("deviceClass"));
        }
        if !(0.0..=1e6).contains(&self.frames_per_second) {
            return Err(BadTelemetry::Field("framesPerSecond"));
        }
        if self.cut_permille > 1000 {
            return Err(BadTelemetry::Field("cutPermille"));
        }
        if self.refused.as_ref().is_some_and(|refused| refused.detail.len() > MAX_DETAIL_LEN) {
            return Err(BadTelemetry::Field("refused.detail"));
        }
        for (field, reasons) in [("dropped", &self.dropped), ("lost", &self.lost)] {
            if reasons.len() > MAX_REASONS || !reasons.keys().all(|reason| is_name(reason)) {
                return Err(BadTelemetry::Field(field));
            }
        }
        Ok(self)
    }

    /// The telemetry as [`Telemetry::try_from_json`] reads it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts always make JSON")
    }
}

/// Whether `text` may be a device class: 1 to [`MAX_NAME_LEN`] letters, digits, '-', '_' and '.'.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;

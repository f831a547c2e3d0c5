//! One line of the results file.

use std::time::Duration;

use autotiler_core::{
    Detection,
    wire::{LossReason, ServerTimes},
};
use serde::Serialize;

use crate::{fate::DropReason, frame::FrameRecord};

/// What became of a frame.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Its detections came.
    Received(&'a [Detection]),
    /// It was sent and is lost.
    Lost(LossReason),
    /// It was not sent.
    Dropped(DropReason),
}

/// What a line is made from.
#[derive(Debug)]
pub struct Line<'a> {
    /// The frame.
    pub record: &'a FrameRecord,
    /// Its capture on the device's clock, in microseconds.
    pub captured_us: u64,
    /// Its fate.
    pub outcome: &'a Outcome<'a>,
    /// Total, waiting and transfer, when it was received.
    pub spent: Option<(Duration, Duration, Duration)>,
    /// The server's stages.
    pub server: ServerTimes,
}

/// The line's keys, which are documented and stay.
#[derive(Serialize)]
struct Json<'a> {
    sequence: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    point: String,
    epoch: u32,
    captured_us: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    bits: u32,
    gain: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages_ms: Option<Stages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detections: Option<&'a [Detection]>,
}

#[derive(Serialize)]
struct Stages {
    head: f64,
    codec: f64,
    boxes: f64,
    wait: f64,
    transfer: f64,
    server_queue: f64,
    server_decode: f64,
    server_tail: f64,
    server_boxes: f64,
}

impl Line<'_> {
    /// The line as JSON, without its end.
    pub fn to_json(&self) -> String {
        let FrameRecord { sequence, name, assignment, bits, gain, .. } = self.record;
        let (outcome, reason, detections) = match *self.outcome {
            Outcome::Received(detections) => ("received", None, Some(detections)),
            Outcome::Lost(reason) => ("lost", Some(reason.label()), None),
            Outcome::Dropped(reason) => ("dropped", Some(reason.label()), None),
        };
        let json = Json {
            sequence: sequence.0,
            name: name.as_deref(),
            point: assignment.point.to_string(),
            epoch: assignment.epoch.0,
            captured_us: self.captured_us,
            outcome,
            reason,
            bits: *bits,
            gain: gain.0,
            total_ms: self.spent.map(|(total, ..)| ms(total)),
            stages_ms: self.spent.map(|(_, wait, transfer)| self.stages(wait, transfer)),
            detections,
        };
        serde_json::to_string(&json).expect("numbers, names and lists always make JSON")
    }

    fn stages(&self, wait: Duration, transfer: Duration) -> Stages {
        let ServerTimes { queue_us, decode_us, tail_us, boxes_us } = self.server;
        let us = |us: u32| f64::from(us) / 1e3;
        Stages {
            head: ms(self.record.times.head),
            codec: ms(self.record.times.codec),
            boxes: ms(self.record.times.boxes),
            wait: ms(wait),
            transfer: ms(transfer),
            server_queue: us(queue_us),
            server_decode: us(decode_us),
            server_tail: us(tail_us),
            server_boxes: us(boxes_us),
        }
    }
}

/// Milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

//! What the last seconds were like: for telemetry, not for the accounts.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use autotiler_core::{
    Epoch, OperatingPoint,
    telemetry::{ServerMicros, StageMicros, TotalMicros},
    wire::ServerTimes,
};

use crate::frame::FrameRecord;

/// Span of medians.
const SPAN: Duration = Duration::from_secs(1);
/// A slow device's newest frame counts for so long.
const NEWEST: Duration = Duration::from_secs(5);
/// Span of the frame rate.
const RATE_SPAN: Duration = Duration::from_secs(2);
/// Most frames remembered.
const KEPT: usize = 2048;

/// The frames received lately.
#[derive(Debug, Default)]
pub(super) struct Lately {
    frames: VecDeque<Frame>,
    handed: Option<Handed>,
}

#[derive(Debug)]
struct Frame {
    at: Instant,
    record: FrameRecord,
    server: Option<ServerTimes>,
    total: Duration,
}

/// Captures about the last switch.
#[derive(Debug)]
struct Handed {
    epoch: Epoch,
    /// Last frame under this epoch.
    last: Instant,
    /// First frame under this epoch, and the gap before it.
    first: Instant,
    gap: Option<Duration>,
}

impl Lately {
    /// A frame was received; one that was done on the device has no `server`.
    pub(super) fn received(&mut self, record: &FrameRecord, server: Option<ServerTimes>, total: Duration) {
        let at = Instant::now();
        let keep = NEWEST.max(RATE_SPAN);
        while self.frames.front().is_some_and(|frame| at.duration_since(frame.at) > keep)
            || self.frames.len() >= KEPT
        {
            self.frames.pop_front();
        }
        self.frames.push_back(Frame { at, record: record.clone(), server, total });
    }

    /// A frame was handed on: to the broker's queue, or done.
    pub(super) fn handed(&mut self, record: &FrameRecord) {
        let (epoch, captured) = (record.assignment.epoch, record.captured);
        match &mut self.handed {
            Some(handed) if handed.epoch == epoch => handed.last = handed.last.max(captured),
            // One of before, that took longer than the first one after.
            Some(handed) if epoch < handed.epoch => {
                let gap = handed.first.saturating_duration_since(captured);
                handed.gap = Some(handed.gap.map_or(gap, |known| known.min(gap)));
            }
            handed => {
                let gap = handed.as_ref().map(|handed| captured.saturating_duration_since(handed.last));
                *handed = Some(Handed { epoch, last: captured, first: captured, gap });
            }
        }
    }

    /// From the capture of the last frame handed on under the order before to that of the first under the newest.
    pub(super) fn switch_gap(&self) -> Option<Duration> {
        self.handed.as_ref().and_then(|handed| handed.gap)
    }

    /// Received frames per second.
    pub(super) fn frames_per_second(&self, now: Instant) -> f64 {
        let lately = self.frames.iter().filter(|frame| now.saturating_duration_since(frame.at) <= RATE_SPAN);
        lately.count() as f64 / RATE_SPAN.as_secs_f64()
    }

    /// Medians at `point`.
    pub(super) fn times(
        &self,
        now: Instant,
        point: OperatingPoint,
    ) -> (StageMicros, ServerMicros, TotalMicros) {
        let at_point = || self.frames.iter().filter(|frame| frame.record.assignment.point == point);
        let age = |frame: &&Frame| now.saturating_duration_since(frame.at);
        let mut frames: Vec<_> = at_point().filter(|frame| age(frame) <= SPAN).collect();
        if frames.is_empty() {
            frames.extend(at_point().next_back());
        }
        let spread = |share: f64, of: &dyn Fn(&Frame) -> Option<Duration>| {
            let mut found: Vec<_> = frames.iter().filter_map(|frame| of(frame)).collect();
            found.sort();
            let rank = (share * found.len() as f64).ceil() as usize;
            found.get(rank.saturating_sub(1)).map(|time| time.as_micros() as u64)
        };
        let spent = |time: Duration| (!time.is_zero()).then_some(time);
        let us = |us: u32| Duration::from_micros(us.into());
        let stages = StageMicros {
            head: spread(0.5, &|frame| spent(frame.record.times.head)),
            codec: spread(0.5, &|frame| spent(frame.record.times.codec)),
            boxes: spread(0.5, &|frame| spent(frame.record.times.boxes)),
        };
        let server = ServerMicros {
            queue_p95: spread(0.95, &|frame| frame.server.map(|times| us(times.queue_us))),
            decode: spread(0.5, &|frame| frame.server.map(|times| us(times.decode_us))),
            tail: spread(0.5, &|frame| frame.server.map(|times| us(times.tail_us) + us(times.boxes_us))),
        };
        let total = TotalMicros {
            p50: spread(0.5, &|frame| Some(frame.total)),
            p95: spread(0.95, &|frame| Some(frame.total)),
        };
        (stages, server, total)
    }
}

#[cfg(test)]
mod tests {
    use autotiler_core::Sequence;

    use super::*;
    use crate::frame::Assignment;

    fn record(epoch: u32, captured: Instant) -> FrameRecord {
        let point = if epoch == 1 { "device-only" } else { "server-only,bits=4k" };
        let assignment = Assignment { epoch: Epoch(epoch), point: point.parse().unwrap() };
        FrameRecord { captured, ..FrameRecord::new(Sequence(0), None, assignment) }
    }

    #[test]
    fn the_gap_of_a_switch_is_between_the_captures_about_it_in_whatever_order_they_are_done() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lately = Lately::default();
        lately.handed(&record(1, at(0)));
        assert_eq!(lately.switch_gap(), None);
        lately.handed(&record(2, at(200)));
        assert_eq!(lately.switch_gap(), Some(Duration::from_millis(200)));
        lately.handed(&record(1, at(100)));
        lately.handed(&record(2, at(300)));
        assert_eq!(lately.switch_gap(), Some(Duration::from_millis(100)));
        lately.handed(&record(3, at(450)));
        assert_eq!(lately.switch_gap(), Some(Duration::from_millis(150)));
    }

    #[test]
    fn medians_are_those_of_the_point_in_force_and_absent_where_nothing_was_measured() {
        let mut lately = Lately::default();
        let now = Instant::now();
        let mut frame = record(1, now);
        frame.times.head = Duration::from_micros(400);
        lately.received(&frame, None, Duration::from_micros(500));
        let (stages, server, total) = lately.times(now, frame.assignment.point);
        assert_eq!((stages.head, stages.codec, total.p95), (Some(400), None, Some(500)));
        assert_eq!(server.queue_p95, None);
        assert_eq!(lately.times(now, record(2, now).assignment.point).2, TotalMicros::default());
        assert!((lately.frames_per_second(Instant::now()) - 0.5).abs() < 1e-9);
    }
}

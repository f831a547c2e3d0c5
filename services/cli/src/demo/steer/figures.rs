//! What a camera got out of its link.

use std::collections::BTreeMap;

use anyhow::Context as _;
use autotiler_core::OperatingPoint;
use serde::Serialize;

use super::{
    super::run::Percentiles,
    camera::{Ended, Frame},
    link::Link,
    truth::Truth,
    watch::{Heard, Watch},
};

/// Nobody waits longer for a result, in seconds.
pub(super) const CAP_S: f64 = 1.0;
/// The device shows the median of its newest measurements: what is compared is the mean rate of this time before.
const SEEN_S: f64 = 3.0;
/// On a link below this nothing is measured, in bits per second.
const LEAST_BPS: f64 = 50e3;
/// Header of a frame, in bytes.
const HEADER: u64 = 64;

/// The figures of one run, over the frames captured from the trace's begin to a second before its end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(super) name: String,
    /// Where it stayed; none for the camera that followed its link.
    pub(super) point: Option<String>,
    /// Frames that count.
    pub(super) frames: usize,
    /// From capture until its own result or that of a newer frame was there, a second at most.
    pub(super) effective_ms: Spread,
    /// Share of frames without a result within a second.
    pub(super) late_share: f64,
    /// From capture to detections, of the frames that were answered.
    pub(super) total_ms: Percentiles,
    /// A frame without a result of its own within a second found nothing.
    pub(super) map50: f64,
    /// Of the frames that were answered.
    pub(super) map50_delivered: f64,
    /// Sent, headers of ours included.
    pub(super) uplink_kbytes: f64,
    pub(super) switches: u64,
    pub(super) guard_moves: u64,
    /// Frames at each point.
    pub(super) points: BTreeMap<String, usize>,
    /// Median error of the measured capacity against the shaped rate, of either sign, and how many readings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capacity_error: Option<f64>,
    pub(super) capacity_readings: usize,
    /// The whole run's accounts, also before and after the trace.
    pub(super) captured: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) lost: BTreeMap<String, u64>,
    /// For the plot.
    #[serde(skip)]
    pub(super) course: Vec<Moment>,
    /// The measured capacity over time: seconds, bits per second.
    #[serde(skip)]
    pub(super) capacity: Vec<(f64, f64)>,
}

/// Mean, median and 95th percentile in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
}

/// One frame of the trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Captured so long after the trace's begin, in seconds.
    pub(super) at_s: f64,
    pub(super) point: OperatingPoint,
    pub(super) effective_s: f64,
}

impl Figures {
    /// Of a camera that has ended.
    pub(super) fn of(
        camera: &Ended,
        link: &Link,
        watch: &Watch,
        trace_s: f64,
        truth: &mut Truth,
    ) -> anyhow::Result<Self> {
        let began = link.began_unix_ms()?.context("its shaper never played the trace")?;
        let zero = watch.zero_unix_ms(&camera.name).context("it never said how it does")?;
        let begin_s = (began as f64 - zero as f64) / 1e3;
        let mut frames: Vec<(f64, &Frame)> = camera
            .frames
            .iter()
            .map(|frame| (frame.captured_us as f64 / 1e6 - begin_s, frame))
            .filter(|(at_s, _)| *at_s >= 0.0)
            .collect();
        frames.sort_by(|a, b| a.0.total_cmp(&b.0));
        let times =
            effective_s(frames.iter().map(|(at_s, frame)| (*at_s, frame.total_ms.map(|ms| ms / 1e3))));
        let scored = frames.partition_point(|(at_s, _)| *at_s < trace_s - CAP_S);
        anyhow::ensure!(scored > 0, "{}: no frame was captured during the trace", camera.name);
        frames.truncate(scored);
        let course: Vec<Moment> = frames
            .iter()
            .zip(times)
            .map(|((at_s, frame), effective_s)| Moment { at_s: *at_s, point: frame.point, effective_s })
            .collect();

        let effective_ms: Vec<f64> = course.iter().map(|moment| moment.effective_s * 1e3).collect();
        let totals: Vec<f64> = frames.iter().filter_map(|(_, frame)| frame.total_ms).collect();
        let in_time = |frame: &Frame| frame.total_ms.is_some_and(|ms| ms < CAP_S * 1e3);
        let found = |frame: &'_ Frame| frame.detections.as_deref().unwrap_or_default().to_vec();
        let all: Vec<_> = frames
            .iter()
            .map(|(_, frame)| (frame.sequence, if in_time(frame) { found(frame) } else { Vec::new() }))
            .collect();
        let map50 = truth.map50(all.iter().map(|(number, found)| (*number, found.as_slice())));
        let answered = frames.iter().filter(|(_, frame)| frame.total_ms.is_some());
        let map50_delivered = truth.map50(
            answered.map(|(_, frame)| (frame.sequence, frame.detections.as_deref().unwrap_or_default())),
        );
        let mut points = BTreeMap::new();
        course.iter().for_each(|moment| *points.entry(moment.point.to_string()).or_default() += 1);
        let sent_bytes: u64 =
            frames.iter().filter_map(|(_, frame)| frame.bits).map(|bits| u64::from(bits) / 8 + HEADER).sum();
        let words = watch.all(&camera.name);
        let during: Vec<&Heard> = words.iter().filter(|heard| heard.unix_ms >= began).collect();
        let grown = |count: &dyn Fn(&Heard) -> u64| {
            let counts = || during.iter().map(|heard| count(heard));
            counts().max().unwrap_or(0) - counts().min().unwrap_or(0)
        };
        let (capacity, errors) = capacity(&during, began, trace_s, &link.rates()?);
        Ok(Self {
            name: camera.name.clone(),
            point: camera.point.map(|point| point.to_string()),
            frames: course.len(),
            effective_ms: spread(&effective_ms),
            late_share: share(&course, |moment| moment.effective_s >= CAP_S),
            total_ms: Percentiles { p50: quantile(&totals, 0.5), p95: quantile(&totals, 0.95) },
            map50,
            map50_delivered,
            uplink_kbytes: sent_bytes as f64 / 1e3,
            switches: grown(&|heard| heard.word.switches),
            guard_moves: grown(&|heard| heard.word.guard_moves),
            points,
            capacity_error: (!errors.is_empty()).then(|| quantile(&errors, 0.5)),
            capacity_readings: errors.len(),
            captured: camera.accounts.captured,
            sent: camera.accounts.sent,
            received: camera.accounts.received,
            dropped: camera.accounts.dropped.clone(),
            lost: camera.accounts.lost.clone(),
            course,
            capacity,
        })
    }
}

/// How long the world of each frame stayed unknown: until its own result or that of a newer frame, [`CAP_S`] at most. So a
/// frame that is dropped or late costs the wait for the next newer result. Frames are in the order of their capture, with
/// the time that each took if it was answered.
fn effective_s(frames: impl DoubleEndedIterator<Item = (f64, Option<f64>)>) -> Vec<f64> {
    let mut known = f64::INFINITY;
    let mut times: Vec<f64> = frames
        .rev()
        .map(|(at_s, took_s)| {
            known = took_s.map_or(known, |took_s| known.min(at_s + took_s));
            (known - at_s).min(CAP_S)
        })
        .collect();
    times.reverse();
    times
}

/// The measured capacity over time, and how far each reading was off the mean rate just before.
fn capacity(words: &[&Heard], began: u64, trace_s: f64, rates: &[(f64, f64)]) -> (Vec<(f64, f64)>, Vec<f64>) {
    let (mut seen, mut errors) = (Vec::new(), Vec::new());
    for heard in words {
        let at_s = (heard.unix_ms - began) as f64 / 1e3;
        let Some(bps) = heard.word.uplink_bps.map(|bps| bps as f64).filter(|_| at_s <= trace_s) else {
            continue;
        };
        seen.push((at_s, bps));
        let rate = mean_rate(rates, at_s - SEEN_S, at_s);
        if heard.word.guarded_for_ms.is_none() && at_s >= SEEN_S && rate >= LEAST_BPS {
            errors.push((bps / rate - 1.0).abs());
        }
    }
    (seen, errors)
}

/// The mean of rates, each in force until the next.
fn mean_rate(rates: &[(f64, f64)], from_s: f64, to_s: f64) -> f64 {
    let ends = rates.iter().skip(1).map(|(at_s, _)| *at_s).chain([f64::INFINITY]);
    let carried: f64 = rates
        .iter()
        .zip(ends)
        .map(|((at_s, bps), end_s)| bps * (end_s.min(to_s) - at_s.max(from_s)).max(0.0))
        .sum();
    carried / (to_s - from_s).max(1e-3)
}

fn share<T>(all: &[T], is: impl Fn(&T) -> bool) -> f64 {
    all.iter().filter(|one| is(one)).count() as f64 / all.len().max(1) as f64
}

fn spread(ms: &[f64]) -> Spread {
    let mean = ms.iter().sum::<f64>() / ms.len().max(1) as f64;
    Spread { mean, p50: quantile(ms, 0.5), p95: quantile(ms, 0.95) }
}

/// By the nearest rank; 0 of nothing.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_a_result_waits_for_the_next_newer_one() {
        let frames =
            [(0.0, Some(0.3)), (0.2, None), (0.4, Some(0.1)), (0.6, None), (0.8, None), (2.0, Some(0.2))];
        let times = effective_s(frames.into_iter());
        let rounded: Vec<i64> = times.iter().map(|time| (time * 1e3).round() as i64).collect();
        assert_eq!(rounded, [300, 300, 100, 1000, 1000, 200]);
    }

    #[test]
    fn a_newer_result_that_comes_first_counts_for_the_older_frame() {
        let times = effective_s([(0.0, Some(0.9)), (0.2, Some(0.1))].into_iter());
        assert!((times[0] - 0.3).abs() < 1e-9, "{times:?}");
    }

    #[test]
    fn the_mean_rate_is_weighed_by_time() {
        let rates = [(0.0, 8.0), (1.0, 2.0), (3.0, 0.0)];
        assert_eq!([mean_rate(&rates, 0.0, 1.0), mean_rate(&rates, 0.0, 4.0)], [8.0, 3.0]);
        assert_eq!(mean_rate(&rates, 5.0, 6.0), 0.0);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([quantile(&values, 0.5), quantile(&values, 0.95), quantile(&[], 0.5)], [50.0, 95.0, 0.0]);
    }
}

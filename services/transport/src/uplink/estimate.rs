//! Capacity from the times at which written bytes were acknowledged. Pure.
//!
//! Goodput is not capacity: a sender that waits for its own next frame shows its own rate. So a stretch of
//! acknowledgements counts only where the link was the narrow place: its bytes had been written much faster than they
//! were acknowledged, or all of them had to wait much longer than a round trip takes. The first part of a stretch is
//! what a shaper's bucket let pass at once, and is left out.

use std::time::Duration;

/// Share of a stretch, by time, that is left out at its beginning.
const LEFT_OUT: f64 = 0.3;
/// Shortest rest that tells a rate.
const LEAST_SPAN: Duration = Duration::from_micros(5_500);
/// Fewest bytes in it: two segments.
const LEAST_BYTES: u64 = 2_500;
/// Writing must have been so much faster than acknowledging: a frame that is written in the midst of a train comes with
/// pauses of its own.
const WRITTEN_WITHIN: f64 = 0.1;
/// Bytes that wait so much longer than two round trips wait for the link: what is acknowledged late by habit waits less.
const QUEUED: Duration = Duration::from_millis(50);
/// A gap is so many times the median interval, and at least [`LEAST_GAP`].
const GAP: u32 = 4;
const LEAST_GAP: Duration = Duration::from_millis(4);
/// A stretch that does not end is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// What was known of the connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When, on any clock.
    pub at: Duration,
    /// Bytes acknowledged since the connection began.
    pub acked: u64,
    /// Bytes written and not acknowledged.
    pub outstanding: u64,
}

/// Collects readings, and tells a rate at the end of each stretch that had one.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    readings: Vec<Reading>,
    /// Those before have been looked at; they are kept to know when bytes were written.
    seen: usize,
    /// Bytes acknowledged when nothing was outstanding last.
    idle: Option<u64>,
}

/// What a stretch told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Bits per second.
    pub bps: f64,
    /// Time that it was measured over.
    pub span: Duration,
}

impl Stretch {
    /// Takes one reading. Where nothing is outstanding any more, and now and then where much is, yields what the
    /// readings told. `rtt` is the smallest round trip.
    pub fn take(&mut self, reading: Reading, rtt: Duration) -> Option<Estimate> {
        if self.readings.last().is_some_and(|last| reading.acked < last.acked || reading.at < last.at) {
            // Another connection.
            self.forget();
        }
        if self.readings.is_empty() && reading.outstanding == 0 {
            self.idle = Some(reading.acked);
            return None;
        }
        self.readings.push(reading);
        let since = self.readings.get(self.seen).map_or(reading.at, |first| first.at);
        if reading.outstanding > 0 && reading.at - since < LOOK_EVERY {
            return None;
        }
        if reading.outstanding == 0 {
            let told = self.end(rtt);
            self.idle = Some(reading.acked);
            return told;
        }
        let told = estimate(&self.readings, self.seen, self.idle, rtt);
        self.readings.drain(..self.seen);
        self.seen = self.readings.len() - 1;
        told
    }

    /// Ends the stretch that is under way; yields what it told so far.
    pub fn end(&mut self, rtt: Duration) -> Option<Estimate> {
        let told = estimate(&self.readings, self.seen, self.idle, rtt);
        self.forget();
        told
    }

    /// Forgets the stretch that is under way.
    pub fn forget(&mut self) {
        self.readings.clear();
        (self.seen, self.idle) = (0, None);
    }
}

/// The rate of the longest run without a gap among `readings` from the `seen`-th on; none where it tells none. Those
/// before only tell when bytes were written. `idle` is how many bytes had been acknowledged when nothing was outstanding,
/// `rtt` the smallest round trip.
pub fn estimate(readings: &[Reading], seen: usize, idle: Option<u64>, rtt: Duration) -> Option<Estimate> {
    // Only where something was acknowledged is there news.
    let mut news: Vec<Reading> = Vec::new();
    for reading in readings.get(seen..)? {
        if news.last().is_none_or(|last| reading.acked > last.acked) {
            news.push(*reading);
        }
    }
    let (first, end) = longest(&news)?;
    let run = news.get(first..end)?;
    let (start, last) = (run.first()?, run.last()?);
    let left_out = (last.at - start.at).mul_f64(LEFT_OUT);
    // The first news is all that passed at once, and on a busy machine it comes late.
    let untold = first == 0 && seen == 0 && idle == Some(start.acked);
    // Where news is sparse, what came last before the cut is nearer to it than what came after.
    let from = run.iter().rposition(|reading| reading.at - start.at <= left_out)?;
    let from = run.get(from.max(usize::from(untold)))?;
    // When had so many bytes been written, as far as was seen?
    let written = |bytes: u64| {
        let at = readings.partition_point(|reading| reading.acked + reading.outstanding < bytes);
        readings.get(at).map(|reading| reading.at)
    };
    let began = written(from.acked)?;
    let waited = |reading: &Reading, written: Duration| reading.at.saturating_sub(written) > 2 * rtt + QUEUED;
    // What was written later, like the next frame, is left out at the end.
    run.iter().rev().find_map(|last| {
        let (span, bytes) = (last.at.saturating_sub(from.at), last.acked.saturating_sub(from.acked));
        if span < LEAST_SPAN || bytes < LEAST_BYTES {
            return None;
        }
        let ended = written(last.acked)?;
        let at_once = ended.saturating_sub(began).as_secs_f64() <= WRITTEN_WITHIN * span.as_secs_f64();
        let queued = waited(from, began) && waited(last, ended);
        (at_once || queued).then(|| Estimate { bps: 8.0 * bytes as f64 / span.as_secs_f64(), span })
    })
}

/// The part of `news` between two gaps in which most was acknowledged.
fn longest(news: &[Reading]) -> Option<(usize, usize)> {
    let mut intervals: Vec<_> =
        news.windows(2).filter_map(|pair| Some(pair.get(1)?.at - pair.first()?.at)).collect();
    intervals.sort();
    let gap = (*intervals.get(intervals.len() / 2)? * GAP).max(LEAST_GAP);
    let mut best: Option<(u64, usize, usize)> = None;
    let mut first = 0;
    for end in 1..=news.len() {
        let broken = match (news.get(end - 1), news.get(end)) {
            (Some(last), Some(next)) => next.at - last.at > gap,
            _ => true,
        };
        if broken {
            let bytes = news.get(end - 1)?.acked - news.get(first)?.acked;
            if best.is_none_or(|(most, ..)| bytes > most) {
                best = Some((bytes, first, end));
            }
            first = end;
        }
    }
    best.map(|(_, first, end)| (first, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEGMENT: u64 = 1448;
    const RTT: Duration = Duration::from_millis(20);

    /// Readings each `poll_us` of `bytes` written at 0 through a bucket of `bucket` bytes and then a link of `bps`.
    fn burst(bytes: u64, bucket: u64, bps: f64, poll_us: u64) -> Vec<Reading> {
        let acked = |us: u64| {
            let through = bucket as f64 + bps * us as f64 / 8e6;
            ((through as u64) / SEGMENT * SEGMENT).min(bytes)
        };
        let mut readings = Vec::new();
        for step in 0.. {
            let at = step * poll_us;
            let acked = if step == 0 { 0 } else { acked(at) };
            let outstanding = bytes - acked;
            readings.push(Reading { at: Duration::from_micros(at), acked, outstanding });
            if outstanding == 0 {
                break;
            }
        }
        readings
    }

    #[test]
    fn a_burst_tells_the_links_rate_and_not_the_buckets() {
        for (bps, bucket, bytes) in
            [(2e5, 3_000, 5_800), (2e6, 3_000, 22_400), (2e7, 25_000, 90_000), (5e7, 62_500, 180_000)]
        {
            let found =
                estimate(&burst(bytes / SEGMENT * SEGMENT, bucket, bps, 1000), 0, Some(0), RTT).unwrap().bps;
            assert!((found / bps - 1.0).abs() < 0.15, "{bps}: {found}");
        }
    }

    #[test]
    fn what_fits_the_bucket_tells_nothing() {
        assert_eq!(estimate(&burst(20 * SEGMENT, 100_000, 2e6, 1000), 0, Some(0), RTT), None);
        assert_eq!(estimate(&burst(SEGMENT, 0, 2e6, 1000), 0, Some(0), RTT), None);
    }

    #[test]
    fn a_frame_little_larger_than_the_bucket_tells_nothing_though_its_first_news_is_late() {
        // 4.4 kB through a bucket of 3.1 kB on 0.5 Mbit/s; the busy host says after 8 ms what had passed at once.
        let at = |ms, acked| Reading { at: Duration::from_millis(ms), acked, outstanding: 4_400 - acked };
        assert_eq!(
            estimate(&[at(0, 0), at(8, 2 * SEGMENT), at(24, 4_400)], 0, Some(0), Duration::ZERO),
            None
        );
    }

    #[test]
    fn a_sender_that_paces_itself_tells_nothing() {
        // A segment each 5 ms, each acknowledged 20 ms later: 2.3 Mbit/s of goodput on a link of unknown width.
        let readings: Vec<_> = (0..2_000_u64)
            .map(|ms| {
                let (written, acked) = (ms / 5 + 1, ms.saturating_sub(20) / 5);
                let outstanding = (written - acked) * SEGMENT;
                Reading { at: Duration::from_millis(ms), acked: acked * SEGMENT, outstanding }
            })
            .collect();
        let mut stretch = Stretch::default();
        assert_eq!(readings.iter().find_map(|reading| stretch.take(*reading, RTT)), None);
        assert_eq!(estimate(&readings, 0, Some(0), RTT), None);
    }

    #[test]
    fn rounds_of_a_small_window_are_told_apart_by_their_gaps() {
        // Two rounds of 40 segments at 20 Mbit/s, 60 ms apart: the rate is that within a round.
        let mut readings = Vec::new();
        for ms in 0..100_u64 {
            let in_round = |start: u64| (ms.saturating_sub(start) * 2_500 / SEGMENT).min(40);
            let acked = (in_round(5) + in_round(65)) * SEGMENT;
            let outstanding = 80 * SEGMENT - acked;
            readings.push(Reading { at: Duration::from_millis(ms), acked, outstanding });
        }
        let found = estimate(&readings, 0, Some(0), RTT).unwrap().bps;
        assert!((found / 2e7 - 1.0).abs() < 0.15, "{found}");
    }

    #[test]
    fn a_frame_written_in_the_middle_of_a_train_does_not_spoil_it() {
        let mut readings = burst(4 * SEGMENT, 3_000, 2e5, 1000);
        // 40 ms later a frame of one segment more.
        for reading in &mut readings {
            reading.outstanding += if reading.at >= Duration::from_millis(40) { SEGMENT } else { 0 };
        }
        let last = *readings.last().unwrap();
        let at = last.at + Duration::from_millis(58);
        readings.push(Reading { at, acked: last.acked + SEGMENT, outstanding: 0 });
        let found = estimate(&readings, 0, Some(0), RTT).unwrap().bps;
        assert!((found / 2e5 - 1.0).abs() < 0.15, "{found}");
    }

    #[test]
    fn a_standing_queue_tells_again_and_again() {
        // Ten segments wait at all times; each that leaves after 58 ms is replaced.
        let readings = (0..5_000_u64).map(|ms| Reading {
            at: Duration::from_millis(ms),
            acked: ms / 58 * SEGMENT,
            outstanding: 10 * SEGMENT,
        });
        let mut stretch = Stretch::default();
        let told: Vec<_> = readings.filter_map(|reading| stretch.take(reading, RTT)).collect();
        assert!(told.iter().all(|told| (told.bps / 2e5 - 1.0).abs() < 0.15), "{told:?}");
    }

    /// A frame of `bytes` each 100 ms on a link of `bps`, for a second.
    fn paced(bytes: u64, bps: f64) -> impl Iterator<Item = Reading> {
        (0..1_000_u64).map(move |ms| {
            let written = (ms / 100 + 1) * bytes;
            let acked = ((bps * ms as f64 / 8e3) as u64 / SEGMENT * SEGMENT).min(written);
            Reading { at: Duration::from_millis(ms), acked, outstanding: written - acked }
        })
    }

    #[test]
    fn frames_that_pile_up_tell_although_each_is_written_in_its_time() {
        let mut stretch = Stretch::default();
        let told: Vec<_> = paced(7_700, 5e5).filter_map(|reading| stretch.take(reading, RTT)).collect();
        let told: Vec<_> = told.into_iter().chain(stretch.end(RTT)).map(|told| told.bps / 5e5).collect();
        assert!(told.len() >= 2 && told.iter().all(|ratio| (ratio - 1.0).abs() < 0.15), "{told:?}");
        assert_eq!(stretch.end(RTT), None, "it is over");
    }

    #[test]
    fn a_stretch_ends_when_nothing_is_outstanding() {
        let mut stretch = Stretch::default();
        let readings = burst(30 * SEGMENT, 3_000, 2e6, 1000);
        let told: Vec<_> = readings.iter().filter_map(|reading| stretch.take(*reading, RTT)).collect();
        assert_eq!(told.len(), 1);
        assert!(stretch.readings.is_empty());
    }

    proptest! {
        #[test]
        fn any_rising_readings_tell_a_finite_rate_or_none(
            steps in proptest::collection::vec((0_u64..5_000, 0_u64..20_000, 0_u64..50_000), 0..200),
        ) {
            let (mut at, mut acked) = (0, 0);
            let readings: Vec<_> = steps.into_iter().map(|(us, bytes, outstanding)| {
                (at, acked) = (at + us, acked + bytes);
                Reading { at: Duration::from_micros(at), acked, outstanding }
            }).collect();
            if let Some(told) = estimate(&readings, 0, Some(0), RTT) {
                prop_assert!(told.bps.is_finite() && told.bps > 0.0);
            }
            let mut stretch = Stretch::default();
            readings.iter().for_each(|reading| { stretch.take(*reading, RTT); });
            prop_assert!(stretch.seen <= stretch.readings.len());
        }
    }
}

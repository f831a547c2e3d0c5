//! When to send a train of probes, and how long a one. Pure.
//!
//! A train is bytes that nobody needs, written at once. It must outgrow whatever a shaper lets pass at once, so it is
//! doubled until it tells a rate; and it must not be in the way, so it is sent only where nothing waits, and all
//! trains together take a small share of the link.

use std::time::Duration;

use super::estimate::Estimate;

/// Bytes of a segment of a train.
const SEGMENT: usize = 1_400;
/// Segments of the shortest and of the longest train. The longest tells 50 Mbit/s, and is soon through where a wide link
/// has just been cut: what is queued then is in the way of frames for seconds.
const FEWEST: usize = 4;
const MOST: usize = 96;
/// Segments of a train on a link that has outrun the longest, and how soon the next one is due. It is only to show that the
/// link is still wide.
const WIDE: usize = 32;
const WIDE_DUE_AFTER: Duration = Duration::from_secs(1);
/// A link that carries so much is wide: what a frame takes of it is less than a look at the socket.
const WIDE_BPS: f64 = 5e7;
/// Largest share of the link for trains. Below 5 %, for headers count too.
const SHARE: f64 = 0.035;
/// Rate supposed of a link that has told none. Low, for a high guess fills a narrow link. None is supposed below it: in a
/// fade a link tells very little, and could then afford no train that shows how wide it is again.
const FIRST_GUESS_BPS: f64 = 2e5;
/// Without a measurement for so long a train is due.
const DUE_AFTER: Duration = Duration::from_secs(2);
/// Time for which unused share is saved up.
const SAVED: Duration = Duration::from_secs(20);
/// Most time that trains are made to owe by a link that got narrow after they were sent: ten seconds without any.
const MOST_OWED_S: f64 = 10.0 * SHARE;
/// A stretch that lasted longer than this had more segments than it needed.
const LONG_SPAN: Duration = Duration::from_millis(40);
/// Trains are no longer than the link takes in this time: those that a wide link needed would fill a narrow one.
const LONGEST_S: f64 = 0.25;
/// A train that told nothing and was through so many times as fast as the guessed rate shows that the link has widened.
const FASTER: f64 = 2.0;
/// A link that is told to carry so many times less than was known is another one.
const ANOTHER: f64 = 2.0;
/// The guess follows a link that has widened by steps of this factor.
const STEP: f64 = 4.0;
/// A train of so many segments that lost some has filled a queue: how soon it was through tells what the link carries.
/// A shorter one may have waited for its last segment alone.
const TELLS_WITH_HOLES: usize = 16;
/// After so many trains that told nothing, what was told before is no guide any more: the link may have widened.
const FORGET_AFTER: u32 = 4;

/// The last train, until something is known of it.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    left: Duration,
    bytes: usize,
    /// Whether some of it was lost.
    holed: bool,
}

/// Sends trains seldom enough.
#[derive(Debug, Clone)]
pub struct Trains {
    segments: usize,
    /// Whether the link has outrun the longest train, and nothing has told otherwise since.
    wide: bool,
    guess_bps: f64,
    /// Time that trains may take of the link, in seconds; owed where it is below zero.
    credit_s: f64,
    /// Bits of the trains since the last measurement, and the time that they were charged at the guessed rate.
    charged: (f64, f64),
    looked: Duration,
    measured: Option<Duration>,
    under_way: Option<UnderWay>,
    /// Whether what was told last is another link than before: a train is to say so too, at once.
    another: bool,
    /// Trains in a row that told nothing.
    failed: u32,
    spent_bits: u64,
}

impl Default for Trains {
    fn default() -> Self {
        Self {
            segments: FEWEST,
            wide: false,
            guess_bps: FIRST_GUESS_BPS,
            credit_s: (FEWEST * SEGMENT * 8) as f64 / FIRST_GUESS_BPS,
            charged: (0.0, 0.0),
            looked: Duration::ZERO,
            measured: None,
            under_way: None,
            another: false,
            failed: 0,
            spent_bits: 0,
        }
    }
}

impl Trains {
    /// Bytes of a train that is to leave at `now`, while nothing waits; none where none is due or affordable.
    pub fn due(&mut self, now: Duration) -> Option<usize> {
        let elapsed = now.saturating_sub(self.looked).as_secs_f64();
        self.looked = self.looked.max(now);
        let (segments, after) = if self.wide { (WIDE, WIDE_DUE_AFTER) } else { (self.segments, DUE_AFTER) };
        let bytes = segments * SEGMENT;
        let bits = (bytes * 8) as f64;
        let costs_s = bits / self.guess_bps;
        self.credit_s = (self.credit_s + elapsed * SHARE).min(costs_s.max(SHARE * SAVED.as_secs_f64()));
        let fresh = self.measured.is_some_and(|at| now.saturating_sub(at) < after);
        if fresh && !self.another || self.under_way.is_some() || self.credit_s < costs_s {
            return None;
        }
        self.another = false;
        self.credit_s -= costs_s;
        self.charged = (self.charged.0 + bits, self.charged.1 + costs_s);
        self.spent_bits += bits as u64;
        self.under_way = Some(UnderWay { left: now, bytes, holed: false });
        Some(bytes)
    }

    /// A rate was told at `now`, by a train or by frames.
    pub fn told(&mut self, now: Duration, bps: f64, span: Duration) {
        if self.under_way.take().is_some() && span > LONG_SPAN {
            self.segments = (self.segments / 2).max(FEWEST);
        }
        self.another = self.measured.is_some() && bps * ANOTHER < self.guess_bps;
        self.wide = false;
        self.know(now, bps);
    }

    /// The link carries `bps` at `now`: trains were charged at a guess, and what they took is known now.
    fn know(&mut self, now: Duration, bps: f64) {
        self.guess_bps = bps.max(FIRST_GUESS_BPS);
        let (bits, charged_s) = std::mem::take(&mut self.charged);
        self.credit_s = (self.credit_s + charged_s - bits / self.guess_bps).max(-MOST_OWED_S);
        self.fit();
        (self.measured, self.failed) = (Some(now), 0);
    }

    /// Nothing is outstanding at `now`: a train that has told nothing was too short, or lost some of its bytes. Where it
    /// was the longest that we send, or long enough to have overflowed a queue, what the link showed at least is yielded,
    /// in bits per second; where a short one was to show that a link is still wide, what it showed before. `rtt` is the
    /// smallest round trip.
    pub fn drained(&mut self, now: Duration, rtt: Duration) -> Option<f64> {
        let UnderWay { left, bytes, holed } = self.under_way.take()?;
        let seen = 8.0 * bytes as f64 / now.saturating_sub(left + rtt).as_secs_f64().max(1e-3);
        let tells = bytes >= SEGMENT * if holed { TELLS_WITH_HOLES } else { MOST };
        let was_wide = self.wide;
        self.wide = (was_wide || tells) && !holed && seen >= WIDE_BPS;
        if was_wide && self.wide {
            self.know(now, self.guess_bps);
            return Some(self.guess_bps);
        }
        if tells {
            self.know(now, seen);
            return Some(seen);
        }
        if holed {
            self.segments = (self.segments / 2).max(FEWEST);
            return None;
        }
        self.failed += 1;
        let wider = seen > FASTER * self.guess_bps;
        // One may fail for a frame in its midst, but that makes none faster.
        if self.measured.is_some() && self.failed < 2 && !wider {
            return None;
        }
        self.segments = (self.segments * 2).min(MOST);
        if self.measured.is_none() || wider {
            // The link carries at least this, if only for the moment: a careful step towards it.
            self.guess_bps = seen.clamp(self.guess_bps, STEP * self.guess_bps);
        } else if self.failed > FORGET_AFTER {
            self.measured = None;
        }
        None
    }

    /// What the link carried at `now` of the train under way, of which `waiting` bytes are not through; none where too
    /// little is. `rtt` is the smallest round trip.
    pub fn so_far(&self, now: Duration, rtt: Duration, waiting: u64) -> Option<Estimate> {
        let UnderWay { left, bytes, .. } = self.under_way?;
        let through = (bytes as u64).saturating_sub(waiting);
        let span = now.saturating_sub(left + rtt);
        let tells = through >= (FEWEST * SEGMENT) as u64 && span > LONG_SPAN;
        tells.then(|| Estimate { bps: 8.0 * through as f64 / span.as_secs_f64(), span })
    }

    /// No train is to fill the link for long.
    fn fit(&mut self) {
        let longest = (self.guess_bps * LONGEST_S) as usize / (8 * SEGMENT);
        self.segments = self.segments.min(longest).max(FEWEST);
    }

    /// Some of what was under way was lost: a train was too long for the queue before the link.
    pub fn lost(&mut self) {
        if let Some(train) = &mut self.under_way {
            train.holed = true;
        }
    }

    /// The link went down or froze: the train under way tells nothing more, and none is to leave at once.
    pub fn forget(&mut self) {
        (self.under_way, self.another) = (None, false);
    }

    /// Bits of all trains so far.
    pub fn spent_bits(&self) -> u64 {
        self.spent_bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn trains_double_until_they_tell_and_shrink_when_they_take_long() {
        let mut trains = Trains::default();
        let mut now = ms(0);
        let mut sent = Vec::new();
        while sent.len() < 4 {
            now += ms(100);
            if let Some(bytes) = trains.due(now) {
                sent.push(bytes / SEGMENT);
                assert_eq!(trains.due(now), None, "one at a time");
                trains.drained(now + ms(1), Duration::ZERO);
            }
        }
        assert_eq!(sent, [4, 8, 16, 32]);
        trains.told(now, 2e7, ms(5));
        assert_eq!(trains.due(now + ms(1_999)), None);
        assert_eq!(trains.due(now + ms(25_000)), Some(64 * SEGMENT));
        trains.told(now + ms(25_100), 2e7, ms(50));
        assert_eq!(trains.due(now + ms(50_000)), Some(32 * SEGMENT));
    }

    #[test]
    fn a_train_that_overflowed_a_queue_tells_what_came_through_and_the_next_is_shorter() {
        let mut trains = Trains { segments: MOST, guess_bps: 1e9, ..Trains::default() };
        assert_eq!(trains.due(ms(10)), Some(MOST * SEGMENT));
        trains.lost();
        let seen = trains.drained(ms(2_010), Duration::ZERO).unwrap();
        assert!((seen - 4.0 * (MOST * SEGMENT) as f64).abs() < 1.0, "{seen}");
        assert_eq!(trains.due(ms(12_000)), None, "it took two seconds of the link");
        assert_eq!(trains.due(ms(20_000)), Some(12 * SEGMENT), "a quarter of a second of what came through");
        let mut short = Trains::default();
        assert_eq!(short.due(ms(10)), Some(FEWEST * SEGMENT));
        short.lost();
        assert_eq!(short.drained(ms(300), Duration::ZERO), None, "its last segment may have been lost alone");
    }

    #[test]
    fn a_train_that_is_stuck_tells_what_came_through_so_far() {
        let mut trains = Trains { segments: MOST, guess_bps: 8e6, ..Trains::default() };
        assert_eq!(trains.so_far(ms(500), ms(20), 0), None, "none is under way");
        let bytes = trains.due(ms(10_000)).unwrap() as u64;
        assert_eq!(trains.so_far(ms(10_420), ms(20), bytes), None, "a dead link tells nothing");
        assert_eq!(trains.so_far(ms(10_030), ms(20), bytes - 25_000), None, "a bucket let it pass");
        let told = trains.so_far(ms(10_420), ms(20), bytes - 25_000).unwrap();
        assert!((told.bps / 5e5 - 1.0).abs() < 1e-6, "{told:?}");
    }

    #[test]
    fn a_link_that_was_cut_is_looked_at_again_at_once_and_owes_for_the_last_train_alone() {
        let mut trains = Trains { wide: true, segments: MOST, guess_bps: 1e9, ..Trains::default() };
        let mut now = ms(0);
        for _ in 0..100 {
            now += ms(1_100);
            assert_eq!(trains.due(now), Some(WIDE * SEGMENT));
            assert_eq!(trains.drained(now + ms(2), Duration::ZERO), Some(1e9));
        }
        // Frames tell.
        trains.told(now + ms(100), 1e6, ms(20));
        let again = trains.due(now + ms(110)).expect("to be sure of it");
        assert!(again <= 31_250, "{again} bytes take more than a quarter of a second");
        trains.told(now + ms(600), 5e5, ms(30));
        assert_eq!(trains.due(now + ms(610)), None, "it is not much less");
        let soon = (1..60).find(|tenths| trains.due(now + ms(600 + 100 * tenths)).is_some());
        assert!(soon.is_some_and(|tenths| tenths >= 20), "{soon:?}");
    }

    #[test]
    fn trains_take_at_most_their_share_of_any_link() {
        for bps in [2e5, 2e6, 5e7] {
            let mut trains = Trains::default();
            trains.told(ms(0), bps, ms(10));
            for step in 1..=10_000 {
                let now = ms(100 * step);
                if trains.due(now).is_some() {
                    trains.drained(now + ms(1), Duration::ZERO);
                    trains.told(now, bps, ms(10));
                }
            }
            let share = trains.spent_bits() as f64 / (bps * 1_000.0);
            assert!(share <= 0.05, "{bps}: {share}");
        }
    }

    /// Ten minutes on a link of `bps` whose shaper lets a `bucket` of bytes pass at once, after one of 0.5 Mbit/s:
    /// when the first train told its rate, and the share that all trains took.
    fn behind_a_bucket(bps: f64, bucket: usize) -> (Option<Duration>, f64) {
        let mut trains = Trains::default();
        trains.told(ms(0), 5e5, ms(10));
        let (mut now, mut first, end) = (ms(0), None, ms(600_000));
        while now < end {
            now += ms(100);
            let Some(bytes) = trains.due(now) else { continue };
            if bytes <= bucket {
                trains.drained(now + ms(21), ms(20));
            } else {
                let span = Duration::from_secs_f64(0.7 * 8.0 * (bytes - bucket) as f64 / bps);
                trains.told(now + span, bps, span);
                first = first.or(Some(now));
            }
        }
        (first, trains.spent_bits() as f64 / (bps * end.as_secs_f64()))
    }

    #[test]
    fn a_link_that_has_widened_is_noticed_in_seconds() {
        let (first, share) = behind_a_bucket(8e6, 20_000);
        assert!(first.is_some_and(|first| first < ms(8_000)) && share <= 0.05, "{first:?}, {share}");
    }

    #[test]
    fn a_train_that_only_fits_the_bucket_costs_no_more_than_the_share() {
        let (first, share) = behind_a_bucket(5e5, 6_000);
        assert!(first.is_some() && share <= 0.05, "{first:?}, {share}");
    }

    #[test]
    fn a_wide_link_that_fades_and_drops_is_measured_again_in_seconds() {
        let mut trains = Trains::default();
        trains.told(ms(0), 8e6, ms(10));
        let mut now = ms(0);
        for seen in 0..4 {
            now += ms(2_000);
            while trains.due(now).is_none() {
                now += ms(100);
            }
            trains.drained(now + ms(1), Duration::ZERO);
            assert!(now < ms(60_000), "train {seen}");
        }
        trains.told(now, 1e3, ms(300));
        let faded = now;
        while trains.due(now).is_none() {
            now += ms(100);
        }
        assert!(now - faded < ms(18_000), "{:?}", now - faded);
    }

    #[test]
    fn a_link_that_outruns_the_longest_train_is_told_to_carry_at_least_that() {
        let mut trains = Trains::default();
        let (mut now, mut told) = (Duration::ZERO, None);
        for _ in 0..2_000 {
            now += Duration::from_millis(100);
            if trains.due(now).is_some() {
                now += Duration::from_millis(2);
                told = told.or(trains.drained(now, Duration::ZERO));
            }
        }
        let least = 8.0 * (MOST * SEGMENT) as f64 / 2e-3;
        assert!(told.is_some_and(|bps| (bps / least - 1.0).abs() < 1e-6), "{told:?}");
        // From then on short ones do, each second, until one is slow.
        assert_eq!(trains.due(now + ms(1_100)), Some(WIDE * SEGMENT));
        assert_eq!(trains.drained(now + ms(1_102), Duration::ZERO), told);
        assert_eq!(trains.due(now + ms(2_200)), Some(WIDE * SEGMENT));
        trains.told(now + ms(2_600), 5e5, ms(400));
        assert_eq!(trains.due(now + ms(3_800)), None, "as on any other link");
    }
}

//! Which rate a link has at which time.

use std::{str::FromStr, time::Duration};

use autotiler_simulator::{
    Trace,
    trace::{BIN_S, BadTrace},
};

use crate::rate::{BadRate, Rate};

/// First word of a recorded trace's file.
const TRACE: &str = "time_ms,";
/// Looks at the schedule for a mean of a step.
const LOOKS: u32 = 10;
/// Pieces that a text may have: more is a mistake.
const MOST_PIECES: usize = 100_000;

/// Rates over time; what comes last stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Vec<Piece>,
}

/// An even change from one rate to another; none without a length lasts for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    from: Rate,
    to: Rate,
    length: Option<Duration>,
}

/// Why a text is no schedule. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Nothing stands there.
    #[error(
        "the schedule is empty: write a rate, like `2M`, or pieces, like `8M for 20s, 8M to 500k for 10s, 2M`"
    )]
    Empty,
    /// A rate is none.
    #[error("line {line}")]
    Rate {
        /// Which line.
        line: usize,
        /// What is wrong.
        #[source]
        source: BadRate,
    },
    /// A time is none.
    #[error("line {line}: {got:?} is no time from 1ms to 1000h: write for example `for 20s` or `for 2min`")]
    Time {
        /// Which line.
        line: usize,
        /// What stands there.
        got: String,
    },
    /// A ramp that never ends or has an end without limit.
    #[error(
        "line {line}: {got:?}: a ramp needs two rates other than `open` and a time: `8M to 500k for 10s`"
    )]
    Ramp {
        /// Which line.
        line: usize,
        /// The piece.
        got: String,
    },
    /// Something stands behind a piece without a time.
    #[error("line {line}: what comes before has no time and would last for ever: add `for 20s`")]
    Unreachable {
        /// Which line.
        line: usize,
    },
    /// Too long.
    #[error("the schedule has more than {MOST_PIECES} pieces")]
    Long,
    /// A recorded trace with a mistake.
    #[error(transparent)]
    Trace(#[from] BadTrace),
}

impl Schedule {
    /// A rate for ever.
    pub fn constant(rate: Rate) -> Self {
        Self { pieces: vec![Piece { from: rate, to: rate, length: None }] }
    }

    /// A recorded link.
    pub fn of_trace(trace: &Trace) -> Self {
        let piece = |&bps: &f64| {
            let rate = Rate::from_bps(bps);
            Piece { from: rate, to: rate, length: Some(Duration::from_secs_f64(BIN_S)) }
        };
        Self { pieces: trace.bins().iter().map(piece).collect() }
    }

    /// Reads a file: a recorded trace if it begins like one, else pieces. `file` is for errors.
    ///
    /// # Errors
    /// [`BadSchedule`].
    pub fn parse_file(file: &str, text: &str) -> Result<Self, BadSchedule> {
        let first = text.trim_start_matches('\u{feff}').trim_start();
        if first.starts_with(TRACE) {
            Ok(Self::of_trace(&Trace::parse(file, file, text)?))
        } else {
            text.parse()
        }
    }

    /// The rate at a time since the start; after the end it is the last.
    pub fn rate_at(&self, at: Duration) -> Rate {
        let mut since = at;
        for piece in &self.pieces {
            match piece.length {
                Some(length) if since >= length => since -= length,
                _ => return piece.rate_at(since),
            }
        }
        self.pieces.last().map_or(Rate::OPEN, |piece| piece.to)
    }

    /// The mean rate of the time from `at` to `at + span`; without a limit if it begins so.
    pub fn mean(&self, at: Duration, span: Duration) -> Rate {
        let look = |n: u32| self.rate_at(at + span * (2 * n + 1) / (2 * LOOKS));
        let bps: Option<Vec<f64>> = (0..LOOKS).map(|n| look(n).bps()).collect();
        match bps {
            Some(bps) => Rate::from_bps(bps.iter().sum::<f64>() / f64::from(LOOKS)),
            None => self.rate_at(at),
        }
    }

    /// How long it is; none if its last rate has no end.
    pub fn length(&self) -> Option<Duration> {
        self.pieces.iter().map(|piece| piece.length).sum()
    }
}

impl Piece {
    fn rate_at(&self, since: Duration) -> Rate {
        match (self.from.bps(), self.to.bps(), self.length) {
            (Some(from), Some(to), Some(length)) if from != to => {
                let share = since.as_secs_f64() / length.as_secs_f64();
                Rate::from_bps(from + (to - from) * share.min(1.0))
            }
            _ => self.from,
        }
    }

    fn parse(line: usize, text: &str) -> Result<Self, BadSchedule> {
        let got = || text.chars().take(60).collect::<String>();
        let rate = |text: &str| text.parse().map_err(|source| BadSchedule::Rate { line, source });
        let (rates, length) = match text.split_once(" for ") {
            Some((rates, time)) => (rates, Some(read_time(line, time.trim())?)),
            None => (text, None),
        };
        let Some((from, to)) = rates.split_once(" to ") else {
            let rate = rate(rates)?;
            return Ok(Self { from: rate, to: rate, length });
        };
        let piece = Self { from: rate(from)?, to: rate(to)?, length };
        let is_ramp = length.is_some() && piece.from != Rate::OPEN && piece.to != Rate::OPEN;
        if is_ramp { Ok(piece) } else { Err(BadSchedule::Ramp { line, got: got() }) }
    }
}

fn read_time(line: usize, text: &str) -> Result<Duration, BadSchedule> {
    let fits = Duration::from_millis(1)..=Duration::from_secs(3_600_000);
    humantime::parse_duration(text)
        .ok()
        .filter(|time| fits.contains(time))
        .ok_or_else(|| BadSchedule::Time { line, got: text.chars().take(40).collect() })
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    /// Pieces between commas or line ends: `RATE`, `RATE for TIME`, `RATE to RATE for TIME`; after `#` a remark.
    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default();
            for part in said.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                let line = at + 1;
                if pieces.last().is_some_and(|last| last.length.is_none()) {
                    return Err(BadSchedule::Unreachable { line });
                }
                if pieces.len() == MOST_PIECES {
                    return Err(BadSchedule::Long);
                }
                pieces.push(Piece::parse(line, part)?);
            }
        }
        if pieces.is_empty() { Err(BadSchedule::Empty) } else { Ok(Self { pieces }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(schedule: &Schedule, seconds: f64) -> f64 {
        schedule.rate_at(Duration::from_secs_f64(seconds)).bps().unwrap()
    }

    #[test]
    fn steps_ramps_and_remarks_are_read() {
        let schedule: Schedule = "8M for 20s # good\n8M to 500k for 10s, 0 for 2s\n2M".parse().unwrap();
        assert_eq!([at(&schedule, 0.0), at(&schedule, 19.9), at(&schedule, 25.0)], [8e6, 8e6, 4.25e6]);
        assert_eq!([at(&schedule, 31.0), at(&schedule, 32.0), at(&schedule, 1e6)], [0.0, 2e6, 2e6]);
        assert_eq!(schedule.length(), None);
        let ends: Schedule = "1M for 1s, open for 500ms".parse().unwrap();
        assert_eq!(ends.length(), Some(Duration::from_millis(1500)));
        assert_eq!(ends.rate_at(Duration::from_secs(9)), Rate::OPEN);
    }

    #[test]
    fn mistakes_are_named_with_line_and_fix() {
        for (text, says) in [
            (" \n# nothing\n", "empty"),
            ("1M for 1s\nfast", "line 2"),
            ("1M for soon", "for 20s"),
            ("1M for 0s", "no time"),
            ("1M to 2M", "a ramp needs"),
            ("open to 2M for 1s", "a ramp needs"),
            ("1M, 2M", "for ever"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_recorded_trace_is_known_by_its_first_line() {
        let trace = "time_ms,capacity_bps\n0,1000000\n100,0\n200,3000000\n";
        let schedule = Schedule::parse_file("link.csv", trace).unwrap();
        assert_eq!([at(&schedule, 0.05), at(&schedule, 0.15), at(&schedule, 0.25)], [1e6, 0.0, 3e6]);
        assert_eq!(schedule.length(), Some(Duration::from_millis(300)));
        let error = Schedule::parse_file("link.csv", "time_ms,capacity_bps\nx\n").unwrap_err();
        assert!(error.to_string().starts_with("link.csv:2"), "{error}");
    }

    #[test]
    fn the_mean_of_a_step_is_that_of_its_bins() {
        let trace = Trace::new("t", [1e6, 3e6].repeat(10));
        let mean = Schedule::of_trace(&trace).mean(Duration::ZERO, Duration::from_secs(1));
        assert_eq!(mean.bps(), Some(2e6));
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().with_type::<String>().with_iterations(2_000).for_each(|text| {
            let _ = text.parse::<Schedule>();
            let _ = Schedule::parse_file("x", &format!("2M for 1s, {text}"));
        });
    }

    proptest! {
        #[test]
        fn a_ramp_stays_between_its_ends_and_never_turns(
            from in 0_u32..10_000, to in 0_u32..10_000, ms in 1_u32..100_000, a in 0.0_f64..1.0, b in 0.0_f64..1.0,
        ) {
            let schedule: Schedule = format!("{from}k to {to}k for {ms}ms").parse().unwrap();
            let (early, late) = (a.min(b), a.max(b));
            let rate = |share: f64| at(&schedule, share * f64::from(ms) / 1e3);
            let (first, last) = (rate(early), rate(late));
            let (low, high) = (f64::from(from.min(to)) * 1e3, f64::from(from.max(to)) * 1e3);
            prop_assert!((low..=high).contains(&first) && (low..=high).contains(&last));
            let turned = if from <= to { first > last } else { first < last };
            prop_assert!(!turned);
        }
    }
}

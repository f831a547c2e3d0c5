//! The capacity of a link over time: how many bits it takes, and when the last of them is through.

/// Length of a bin in seconds.
pub const BIN_S: f64 = 0.1;
/// Length of a bin in milliseconds.
const BIN_MS: u64 = 100;
/// Below this a link carries nothing of use, in bit/s.
pub const DEAD_BPS: f64 = 50_000.0;
/// A frame is calm when no bin is dead from this long before it, in seconds,
const CALM_BEFORE_S: f64 = 1.0;
/// to this long after it.
const CALM_AFTER_S: f64 = 2.0;
/// Bins that are walked through before the search halves.
const WALK: usize = 16;
/// First line of a trace's file.
const HEADER: &str = "time_ms,capacity_bps";

/// A link's capacity in bins of 100 ms, within which it is even; nothing is carried after the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    name: String,
    bps: Vec<f64>,
    /// Bits carried before each bin, and at the end.
    before: Vec<f64>,
}

/// Why a text is no trace. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTrace {
    /// Nothing was recorded.
    #[error(
        "{file}: no bins; a trace has the line `{HEADER}` and then one line for each 100 ms, like `0,830000`"
    )]
    Empty {
        /// Where it stands.
        file: String,
    },
    /// The first line is another.
    #[error("{file}:1: the first line is {got:?}; it must be `{HEADER}`")]
    Header {
        /// Where it stands.
        file: String,
        /// The line.
        got: String,
    },
    /// A line that is no bin.
    #[error("{file}:{line}: {got:?} is no bin; write `<milliseconds>,<bit/s>`, like `{wanted_ms},830000`")]
    Line {
        /// Where it stands.
        file: String,
        /// Which line.
        line: usize,
        /// The line.
        got: String,
        /// The time that it should have.
        wanted_ms: u64,
    },
    /// A bin at another time than the one after the last.
    #[error(
        "{file}:{line}: the bin is at {got_ms} ms, and {wanted_ms} ms would follow; bins are 100 ms long, from 0, without gaps: fill gaps with a capacity of 0"
    )]
    Time {
        /// Where it stands.
        file: String,
        /// Which line.
        line: usize,
        /// Its time.
        got_ms: u64,
        /// The time that it should have.
        wanted_ms: u64,
    },
    /// A capacity that is none.
    #[error("{file}:{line}: the capacity {got} is no number of bit/s from 0 to 1e12")]
    Capacity {
        /// Where it stands.
        file: String,
        /// Which line.
        line: usize,
        /// What stands there.
        got: String,
    },
}

impl Trace {
    /// A link of these bins; what is no capacity counts as none.
    pub fn new(name: impl Into<String>, bps: impl IntoIterator<Item = f64>) -> Self {
        let usable = |bps: f64| if bps.is_finite() { bps.max(0.0) } else { 0.0 };
        let bps: Vec<f64> = bps.into_iter().map(usable).collect();
        let mut before = Vec::with_capacity(bps.len() + 1);
        let mut sum = 0.0;
        before.push(sum);
        before.extend(bps.iter().map(|bps| {
            sum += bps * BIN_S;
            sum
        }));
        Self { name: name.into(), bps, before }
    }

    /// Reads `time_ms,capacity_bps` lines; `file` is for errors.
    ///
    /// # Errors
    /// [`BadTrace`], with file, line and what should stand there.
    pub fn parse(name: impl Into<String>, file: &str, text: &str) -> Result<Self, BadTrace> {
        let file = || file.to_owned();
        let mut lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        match lines.next() {
            None => return Err(BadTrace::Empty { file: file() }),
            Some((_, line)) if line.trim_start_matches('\u{feff}') == HEADER => {}
            Some((_, line)) => return Err(BadTrace::Header { file: file(), got: shorten(line) }),
        }
        let mut bins = Vec::new();
        for (at, line) in lines {
            let wanted_ms = bins.len() as u64 * BIN_MS;
            bins.push(bin(line, wanted_ms).map_err(|bad| bad.at(file(), at + 1, line, wanted_ms))?);
        }
        if bins.is_empty() {
            return Err(BadTrace::Empty { file: file() });
        }
        Ok(Self::new(name, bins))
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The capacity of each bin, in bit/s.
    pub fn bins(&self) -> &[f64] {
        &self.bps
    }

    /// Its length in seconds.
    pub fn length_s(&self) -> f64 {
        self.bps.len() as f64 * BIN_S
    }

    /// The link with all capacities times `factor`: several cameras that share it.
    pub fn scaled(&self, factor: f64) -> Self {
        let name = if factor == 1.0 { self.name.clone() } else { format!("{} x{factor}", self.name) };
        Self::new(name, self.bps.iter().map(|bps| bps * factor))
    }

    /// Pieces of `piece_s` seconds of each trace in turn, as long as all of them together: a network that changes.
    /// A trace that is over begins again.
    pub fn joined(name: impl Into<String>, traces: &[Self], piece_s: f64) -> Self {
        let piece = ((piece_s / BIN_S).round() as usize).max(1);
        let total: usize = traces.iter().map(|trace| trace.bps.len()).sum();
        let mut rounds: Vec<_> = traces.iter().map(|trace| trace.bps.iter().copied().cycle()).collect();
        let mut bins = Vec::with_capacity(total + piece);
        while bins.len() < total {
            rounds.iter_mut().for_each(|round| bins.extend(round.take(piece)));
        }
        bins.truncate(total);
        Self::new(name, bins)
    }

    /// Bits that the link can carry before `at` seconds.
    fn carried_before(&self, at: f64) -> f64 {
        let place = (at / BIN_S).max(0.0);
        let bin = place as usize;
        match (self.before.get(bin), self.bps.get(bin)) {
            (Some(before), Some(bps)) => before + bps * (place - bin as f64) * BIN_S,
            _ => self.before.last().copied().unwrap_or(0.0),
        }
    }

    /// Bits that the link can carry in a time, both ends in seconds.
    pub fn carried(&self, from: f64, to: f64) -> f64 {
        (self.carried_before(to) - self.carried_before(from)).max(0.0)
    }

    /// When `bits` that start at `start` seconds are through; infinite if they never are.
    pub fn finish(&self, start: f64, bits: f64) -> f64 {
        let wanted = self.carried_before(start) + bits;
        let from = ((start / BIN_S).max(0.0) as usize + 1).min(self.before.len());
        // Almost all frames are through in a few bins.
        let near = self.before.iter().skip(from).take(WALK).position(|&before| before >= wanted);
        let end = match near {
            Some(steps) => from + steps,
            None => {
                let far = (from + WALK).min(self.before.len());
                far + self.before.get(far..).unwrap_or(&[]).partition_point(|&before| before < wanted)
            }
        };
        match (end.checked_sub(1).and_then(|bin| self.before.get(bin)), self.bps.get(end.wrapping_sub(1))) {
            (Some(before), Some(bps)) if end < self.before.len() && *bps > 0.0 => {
                let inside = ((wanted - before) / bps).clamp(0.0, BIN_S);
                ((end - 1) as f64 * BIN_S + inside).max(start)
            }
            _ => f64::INFINITY,
        }
    }

    /// Whether no bin is below [`DEAD_BPS`] from 1 s before `at` to 2 s after it.
    pub fn is_calm(&self, at: f64) -> bool {
        let bin = |at: f64| (at / BIN_S).max(0.0) as usize;
        let last = self.bps.len();
        let span = bin(at - CALM_BEFORE_S).min(last)..(bin(at + CALM_AFTER_S) + 1).min(last);
        self.bps.get(span).is_some_and(|bins| bins.iter().all(|&bps| bps >= DEAD_BPS))
    }
}

enum BadBin {
    Shape,
    Time(u64),
    Capacity(String),
}

impl BadBin {
    fn at(self, file: String, line: usize, text: &str, wanted_ms: u64) -> BadTrace {
        match self {
            Self::Shape => BadTrace::Line { file, line, got: shorten(text), wanted_ms },
            Self::Time(got_ms) => BadTrace::Time { file, line, got_ms, wanted_ms },
            Self::Capacity(got) => BadTrace::Capacity { file, line, got },
        }
    }
}

fn bin(line: &str, wanted_ms: u64) -> Result<f64, BadBin> {
    let (time, capacity) = line.split_once(',').ok_or(BadBin::Shape)?;
    let time: u64 = time.trim().parse().map_err(|_| BadBin::Shape)?;
    if time != wanted_ms {
        return Err(BadBin::Time(time));
    }
    let capacity = capacity.trim();
    match capacity.parse::<f64>() {
        Ok(bps) if (0.0..=1e12).contains(&bps) => Ok(bps),
        _ => Err(BadBin::Capacity(shorten(capacity))),
    }
}

/// As much of a line as fits into a message.
fn shorten(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_bins_and_names_file_line_and_fix() {
        let read = |text: &str| Trace::parse("link", "link.csv", text);
        assert_eq!(read("time_ms,capacity_bps\n0,1000\n100,0\n").unwrap().bins(), [1000.0, 0.0]);
        let refuse = |text: &str| read(text).unwrap_err().to_string();
        assert!(refuse("").contains("link.csv: no bins"));
        assert!(refuse("t,c\n0,1\n").starts_with("link.csv:1: the first line is \"t,c\""));
        let line = refuse("time_ms,capacity_bps\n0,1\nx\n");
        assert!(line.starts_with("link.csv:3: \"x\"") && line.contains("`100,830000`"), "{line}");
        let gap = refuse("time_ms,capacity_bps\n0,1\n300,1\n");
        assert!(gap.contains("link.csv:3") && gap.contains("100 ms would follow"), "{gap}");
        for bad in ["NaN", "-1", "inf", "1e13", ""] {
            assert!(refuse(&format!("time_ms,capacity_bps\n0,{bad}\n")).contains("bit/s"), "{bad}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().with_type::<String>().with_iterations(2_000).for_each(|text| {
            let _ = Trace::parse("x", "x.csv", &format!("{HEADER}\n{text}"));
        });
    }

    #[test]
    fn calm_has_no_dead_bin_from_a_second_before_to_two_after() {
        let mut bins = vec![1e6; 100];
        bins[50] = DEAD_BPS - 1.0;
        let trace = Trace::new("one hole", bins);
        let calm = |at| trace.is_calm(at);
        assert!(calm(2.95) && !calm(3.05) && !calm(5.0) && !calm(6.05) && calm(6.15));
    }

    #[test]
    fn joined_takes_pieces_in_turn_and_begins_short_ones_again() {
        let (a, b) = (Trace::new("a", vec![1.0; 6]), Trace::new("b", vec![2.0, 3.0]));
        let joined = Trace::joined("ab", &[a, b], 0.2);
        assert_eq!(joined.bins(), [1.0, 1.0, 2.0, 3.0, 1.0, 1.0, 2.0, 3.0]);
    }

    proptest! {
        #[test]
        fn what_finishes_was_carried_exactly_and_not_before(
            bins in proptest::collection::vec(prop_oneof![Just(0.0), 1e3_f64..1e7], 1..200),
            start in 0.0_f64..15.0, bits in 1.0_f64..1e6,
        ) {
            let trace = Trace::new("any", bins);
            let end = trace.finish(start, bits);
            if end.is_finite() {
                prop_assert!(end >= start);
                prop_assert!((trace.carried(start, end) - bits).abs() < 1e-3 * bits + 1e-3);
                prop_assert!(trace.carried(start, end - 0.02) <= bits + 1e-6);
            } else {
                prop_assert!(trace.carried(start, trace.length_s()) <= bits + 1e-6);
            }
        }

        #[test]
        fn later_starts_and_more_bits_never_finish_earlier(
            bins in proptest::collection::vec(prop_oneof![Just(0.0), 1e3_f64..1e7], 1..200),
            start in 0.0_f64..15.0, bits in 1.0_f64..1e6, later in 0.0_f64..2.0, more in 0.0_f64..1e5,
        ) {
            let trace = Trace::new("any", bins);
            let end = trace.finish(start, bits);
            let other = trace.finish(start + later, bits + more);
            prop_assert!(other >= end - 1e-9 || other == end, "{end} {other}");
        }
    }
}

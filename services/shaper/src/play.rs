//! Plays a schedule: gives the link its rates as time goes by.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;

use crate::{
    link::{Link, LinkError},
    rate::Rate,
    schedule::{BadSchedule, Schedule},
};

/// How often clock, file and flag are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Rates that differ by less than this share are the same to everybody.
const SAME: f64 = 0.02;

/// Where a schedule comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// It stands fast.
    Fixed(Schedule),
    /// A file, read again whenever it has changed, and begun anew then.
    File(PathBuf),
}

/// Why there is no schedule.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("reading the schedule {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// It is none.
    #[error("the schedule {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: BadSchedule,
    },
}

/// A rate that came into force.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct InForce {
    /// The machine's clock, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Which schedule: 1 for the first, one more with each change of the file.
    pub schedule: u32,
    /// Time since that schedule began, in seconds.
    pub at_s: f64,
    /// Bits per second; none without a limit.
    pub bps: Option<f64>,
}

/// A schedule under way.
struct Playing {
    schedule: Schedule,
    number: u32,
    start: Instant,
    in_force: Option<Rate>,
    next: Duration,
}

impl Source {
    /// What it says now.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn read(&self) -> Result<Schedule, SourceError> {
        match self {
            Self::Fixed(schedule) => Ok(schedule.clone()),
            Self::File(path) => read_file(path),
        }
    }

    /// A mark that is another once the file is.
    fn mark(&self) -> Option<(SystemTime, u64)> {
        let Self::File(path) = self else { return None };
        let about = fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    }
}

fn read_file(path: &Path) -> Result<Schedule, SourceError> {
    let file = path.display().to_string();
    let text =
        fs::read_to_string(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
    Schedule::parse_file(&file, &text).map_err(|source| SourceError::Parse { path: path.to_owned(), source })
}

/// Plays `first`, and what the file of `source` says later, until `stop` is set or, if `ends`, the schedule is over;
/// with `repeat` it begins again instead. `told` hears each rate that comes into force, and `refused` why a changed file
/// is no schedule: then the one before goes on.
///
/// # Errors
/// [`LinkError`] when the link does not take a rate.
pub fn play(
    link: &mut dyn Link,
    source: &Source,
    first: Schedule,
    (ends, repeat): (bool, bool),
    stop: &AtomicBool,
    mut told: impl FnMut(InForce),
    mut refused: impl FnMut(SourceError),
) -> Result<(), LinkError> {
    let mut mark = source.mark();
    let mut playing = Playing::new(first, 1);
    while !stop.load(Ordering::Relaxed) {
        let now = source.mark();
        if now.is_some() && now != mark {
            mark = now;
            match source.read() {
                Ok(schedule) => playing = Playing::new(schedule, playing.number + 1),
                Err(error) => refused(error),
            }
        }
        if playing.is_over() {
            if repeat {
                playing = Playing::new(playing.schedule, playing.number);
            } else if ends {
                break;
            }
        }
        playing.step(link, &mut told)?;
        thread::sleep(LOOK);
    }
    Ok(())
}

impl Playing {
    fn new(schedule: Schedule, number: u32) -> Self {
        Self { schedule, number, start: Instant::now(), in_force: None, next: Duration::ZERO }
    }

    fn is_over(&self) -> bool {
        self.schedule.length().is_some_and(|length| self.start.elapsed() >= length)
    }

    /// Gives the link its next rate when it is time.
    fn step(&mut self, link: &mut dyn Link, told: &mut impl FnMut(InForce)) -> Result<(), LinkError> {
        let at = self.start.elapsed();
        if at < self.next {
            return Ok(());
        }
        let step = link.step();
        // Whole steps since the start: a look that comes late moves none after it.
        let begun = step * (at.as_nanos() / step.as_nanos().max(1)) as u32;
        self.next = begun + step;
        let rate = self.schedule.mean(begun, step);
        if self.in_force.is_some_and(|before| is_same(before, rate)) {
            return Ok(());
        }
        link.carry(rate)?;
        self.in_force = Some(rate);
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_s = (at.as_secs_f64() * 1e3).round() / 1e3;
        told(InForce { unix_ms: unix.as_millis() as u64, schedule: self.number, at_s, bps: rate.bps() });
        Ok(())
    }
}

fn is_same(before: Rate, now: Rate) -> bool {
    match (before.bps(), now.bps()) {
        (Some(before), Some(now)) => (before - now).abs() <= SAME * before.min(now),
        (before, now) => before == now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes rates, and says when it has had enough.
    struct Paper<'a> {
        rates: Vec<Rate>,
        enough: usize,
        stop: &'a AtomicBool,
        then: Option<Box<dyn FnOnce()>>,
    }

    impl Link for Paper<'_> {
        fn step(&self) -> Duration {
            Duration::from_millis(20)
        }
        fn carry(&mut self, rate: Rate) -> Result<(), LinkError> {
            self.rates.push(rate);
            if let Some(then) = self.then.take() {
                then();
            }
            self.stop.store(self.rates.len() >= self.enough, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn rates_come_in_their_order_once_each_and_the_end_ends_it() {
        let stop = AtomicBool::new(false);
        let mut paper = Paper { rates: Vec::new(), enough: usize::MAX, stop: &stop, then: None };
        let schedule: Schedule =
            "8M for 100ms, 8.01M for 100ms, 0 for 100ms, open for 100ms".parse().unwrap();
        let mut told = Vec::new();
        let source = Source::Fixed(schedule.clone());
        play(&mut paper, &source, schedule, (true, false), &stop, |now| told.push(now), |_| {}).unwrap();
        assert_eq!(paper.rates, [Rate::from_bps(8e6), Rate::from_bps(0.0), Rate::OPEN]);
        assert_eq!(told.iter().map(|now| now.bps).collect::<Vec<_>>(), [Some(8e6), Some(0.0), None]);
        assert!(told[1].at_s >= 0.2 && told[2].at_s >= 0.3, "{told:?}");
    }

    #[test]
    fn a_changed_file_begins_anew_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedule");
        fs::write(&path, "1M").unwrap();
        let stop = AtomicBool::new(false);
        let rewritten = path.clone();
        let then = Box::new(move || fs::write(&rewritten, "fast, not long").unwrap());
        let mut paper = Paper { rates: Vec::new(), enough: 2, stop: &stop, then: Some(then) };
        let source = Source::File(path.clone());
        let mut errors = Vec::new();
        let first = source.read().unwrap();
        let mut numbers = Vec::new();
        let refused = |error: SourceError| {
            errors.push(format!("{error:?}"));
            fs::write(&path, "2M for 1h").unwrap();
        };
        play(&mut paper, &source, first, (false, false), &stop, |now| numbers.push(now.schedule), refused)
            .unwrap();
        assert_eq!(paper.rates, [Rate::from_bps(1e6), Rate::from_bps(2e6)]);
        assert_eq!((numbers, errors.len()), (vec![1, 2], 1));
    }
}

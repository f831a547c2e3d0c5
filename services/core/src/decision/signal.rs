//! A measured value and what it is worth: fresh, stale or absent, and never a made-up zero.

use std::time::Duration;

use serde::Serialize;

/// One signal of one device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Signal {
    /// Good to decide with.
    #[serde(rename_all = "camelCase")]
    Fresh {
        /// In the base unit of its kind.
        value: f64,
        /// Since it was sampled, in seconds.
        age_s: f64,
    },
    /// Too old.
    #[serde(rename_all = "camelCase")]
    Stale {
        /// Since it was sampled, in seconds.
        age_s: f64,
    },
    /// No sample, or one that is no number: NaN, infinite or negative.
    Absent,
}

impl Signal {
    /// Judges a sample of this `age`.
    pub fn judge(sample: Option<(f64, Duration)>, max_age: Duration) -> Self {
        match sample {
            Some((value, _)) if !value.is_finite() || value < 0.0 => Self::Absent,
            Some((_, age)) if age > max_age => Self::Stale { age_s: age.as_secs_f64() },
            Some((value, age)) => Self::Fresh { value, age_s: age.as_secs_f64() },
            None => Self::Absent,
        }
    }

    /// The value, if it is good to decide with.
    pub fn fresh(self) -> Option<f64> {
        match self {
            Self::Fresh { value, .. } => Some(value),
            Self::Stale { .. } | Self::Absent => None,
        }
    }
}

/// Counts fresh samples after a gap: the first ones after a restart of what measures are short and low.
#[derive(Debug, Clone, Copy)]
pub struct Warmup {
    needed: u32,
    /// Since the last gap; none before the first gap, for a start is not one.
    fresh: Option<u32>,
}

impl Warmup {
    /// Asks for `needed` samples after each gap.
    pub fn new(needed: u32) -> Self {
        Self { needed, fresh: None }
    }

    /// Takes note of a sweep; whether its sample may be acted on.
    pub fn observe(&mut self, fresh: bool) -> bool {
        match (&mut self.fresh, fresh) {
            (_, false) => self.fresh = Some(0),
            (Some(count), true) => *count = count.saturating_add(1),
            (None, true) => {}
        }
        fresh && self.missing() == 0
    }

    /// Samples that are still missing.
    pub fn missing(&self) -> u32 {
        self.fresh.map_or(0, |count| self.needed.saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_the_right_age_are_fresh() {
        let judge =
            |value, age| Signal::judge(Some((value, Duration::from_secs(age))), Duration::from_secs(10));
        assert_eq!(judge(0.0, 10).fresh(), Some(0.0), "a measured zero is a value");
        assert!(matches!(judge(1.0, 11), Signal::Stale { .. }));
        for nothing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(judge(nothing, 0), Signal::Absent, "{nothing}");
        }
        assert_eq!(Signal::judge(None, Duration::MAX), Signal::Absent);
    }

    #[test]
    fn acts_at_once_at_the_start_and_after_enough_samples_after_a_gap() {
        let mut warmup = Warmup::new(3);
        assert!(warmup.observe(true));
        assert!(!warmup.observe(false));
        assert_eq!([true; 4].map(|fresh| warmup.observe(fresh)), [false, false, true, true]);
        assert!(!warmup.observe(false) && !warmup.observe(true));
    }
}

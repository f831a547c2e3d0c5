//! Durations as people write them: `300ms`, `3s`, `1m30s`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The units, largest first, with their milliseconds.
const UNITS_MS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Digits of one part: few enough that neither we nor CEL's `duration()` overflow.
const DIGITS: usize = 6;

/// The longest text: four parts of [`DIGITS`] and a unit.
const LONGEST: usize = 4 * DIGITS + 5;

/// A duration in whole milliseconds, at most 999,999 hours; as text `300ms`, `3s`, `10m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duration {0:?} must be whole numbers with units h, m, s, ms, like 300ms, 3s, 10m or 1h30m")]
pub struct BadDuration(String);

impl HumanDuration {
    /// `ms` milliseconds, clamped to what the text can hold.
    pub const fn from_millis(ms: u64) -> Self {
        let most = 999_999 * UNITS_MS[0].1;
        Self(Duration::from_millis(if ms < most { ms } else { most }))
    }

    /// `s` seconds, clamped to what the text can hold.
    pub const fn from_secs(s: u64) -> Self {
        Self::from_millis(s.saturating_mul(1_000))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for HumanDuration {
    /// Rounds to the nearest millisecond.
    fn from(duration: Duration) -> Self {
        let ms = (duration.as_micros() + 500) / 1_000;
        Self::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

impl FromStr for HumanDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let bad = || BadDuration(text.to_owned());
        let mut rest = text;
        let mut ms = 0_u64;
        for _ in UNITS_MS {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let unit = rest.bytes().skip(digits).take_while(u8::is_ascii_lowercase).count();
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(bad)?;
            let (unit, tail) = tail.split_at_checked(unit).ok_or_else(bad)?;
            let (_, factor) = UNITS_MS.into_iter().find(|&(name, _)| name == unit).ok_or_else(bad)?;
            if number.len() > DIGITS {
                return Err(bad());
            }
            ms += number.parse::<u64>().map_err(|_| bad())? * factor;
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        let whole = Self::from_millis(ms);
        if rest.is_empty() && whole.0.as_millis() == u128::from(ms) { Ok(whole) } else { Err(bad()) }
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = BadDuration;
    fn try_from(text: String) -> Result<Self, BadDuration> {
        text.parse()
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for HumanDuration {
    /// The same text that [`FromStr`] reads, units from the largest down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS_MS {
            let number = rest / factor;
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
            rest %= factor;
        }
        Ok(())
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^([0-9]{{1,{DIGITS}}}(h|ms|m|s)){{1,4}}$");
        json_schema!({ "type": "string", "maxLength": LONGEST, "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        let ms = |text: &str| text.parse::<HumanDuration>().map(|duration| duration.get().as_millis());
        assert_eq!(ms("300ms"), Ok(300));
        assert_eq!(ms("60s"), Ok(60_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("0s"), Ok(0));
        for bad in
            ["", "3", "s", "1.5s", "-3s", "3 s", "3S", "1s1s1s1s1s", "9999999s", "999999h1s", "3µs", "1d"]
        {
            assert!(ms(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn writes_the_shortest_text() {
        for (given, said) in [("60s", "1m"), ("1500ms", "1s500ms"), ("0ms", "0s")] {
            assert_eq!(given.parse::<HumanDuration>().unwrap().to_string(), said);
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(ms in 0..=999_999_u64 * 3_600_000) {
            let duration = HumanDuration::from_millis(ms);
            prop_assert!(duration.to_string().len() <= LONGEST);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn from_a_duration_is_off_by_half_a_millisecond_at_most(us in 0..u64::MAX / 4_000) {
            let given = Duration::from_micros(us).min(HumanDuration::from_millis(u64::MAX).get());
            let taken = HumanDuration::from(given).get();
            prop_assert!(taken.abs_diff(given) <= Duration::from_micros(500));
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = str::from_utf8(bytes) {
                let _ = text.parse::<HumanDuration>();
            }
        });
    }
}

//! Rates as people write them: `500k`, `2.5M`, `8mbit`, `0`, `open`.

use std::{fmt, str::FromStr};

/// Units by their first letter, as tc has them: decimal.
const UNITS: [(char, f64); 3] = [('k', 1e3), ('m', 1e6), ('g', 1e9)];
/// The largest rate that a text can say, in bits per second.
const MOST_BPS: f64 = 1e12;

/// Bits per second that a link carries; 0 for a dead one, [`Rate::OPEN`] for one without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rate: write bits per second up to 1000g, like 500k, 2.5M, 8mbit or 0, or `open` for no limit"
)]
pub struct BadRate(pub String);

impl Rate {
    /// No limit.
    pub const OPEN: Self = Self(u64::MAX);

    /// `bps` bits per second; what is no number from 0 to 1e12 is brought there.
    pub fn from_bps(bps: f64) -> Self {
        // Rounded and within range: the cast cannot cut.
        Self(bps.clamp(0.0, MOST_BPS).round() as u64)
    }

    /// Bits per second; none without a limit.
    pub fn bps(self) -> Option<f64> {
        (self != Self::OPEN).then_some(self.0 as f64)
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.chars().take(40).collect());
        let lower = text.trim().to_ascii_lowercase();
        if lower == "open" {
            return Ok(Self::OPEN);
        }
        let short = lower.strip_suffix("bit").unwrap_or(&lower);
        let unit = UNITS.into_iter().find(|(letter, _)| short.ends_with(*letter));
        let (number, factor) = unit
            .map_or((short, 1.0), |(letter, factor)| (short.strip_suffix(letter).unwrap_or(short), factor));
        // "1e3", "inf" and "nan" are numbers to the parser, and to nobody who writes a rate.
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(bad());
        }
        let bps = number.parse::<f64>().map_err(|_| bad())? * factor;
        if bps <= MOST_BPS { Ok(Self::from_bps(bps)) } else { Err(bad()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("open"),
            bps if bps >= 1_000_000 => write!(f, "{}M", bps as f64 / 1e6),
            bps if bps >= 1_000 => write!(f, "{}k", bps as f64 / 1e3),
            bps => bps.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_and_tc_write() {
        for (text, bps) in
            [("500k", 5e5), ("2.5M", 2.5e6), ("8mbit", 8e6), ("0", 0.0), ("1Gbit", 1e9), ("64", 64.0)]
        {
            assert_eq!(text.parse::<Rate>().unwrap().bps(), Some(bps), "{text}");
        }
        assert_eq!("open".parse::<Rate>().unwrap(), Rate::OPEN);
        for bad in ["", "-1", "1e3", "inf", "fast", "2M5", "2000g", ".", "k"] {
            assert!(bad.parse::<Rate>().unwrap_err().to_string().contains("500k"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(bps in 0_u64..1_000_000_000_000) {
            let rate = Rate::from_bps(bps as f64);
            prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
        }
    }
}

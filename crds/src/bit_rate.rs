//! Bit rates as people write them: `4M`, `500k`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The decimal multiples, largest first.
const MULTIPLES: [(&str, u64); 4] = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)];

/// Bits per second; as text `4M`, `2.5M`, `500k`, `800`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BitRate(u64);

/// Why a text is no bit rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bit rate {0:?} must be bits per second with at most three decimals, like 4M, 2.5M, 500k or 800")]
pub struct BadBitRate(String);

impl BitRate {
    /// The largest that a text can say.
    pub const MAX: Self = Self(999_999_999 * 1_000_000_000);

    /// `bps` bits per second, clamped to [`Self::MAX`].
    pub const fn from_bps(bps: u64) -> Self {
        if bps < Self::MAX.0 { Self(bps) } else { Self::MAX }
    }

    /// Bits per second.
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// Three leading digits, for people.
    #[must_use]
    pub fn rounded(self) -> Self {
        let Some(digits) = self.0.checked_ilog10() else { return self };
        let step = 10_u64.pow(digits.saturating_sub(2));
        Self::from_bps((self.0 + step / 2) / step * step)
    }
}

impl FromStr for BitRate {
    type Err = BadBitRate;

    fn from_str(text: &str) -> Result<Self, BadBitRate> {
        let bad = || BadBitRate(text.to_owned());
        let found = MULTIPLES.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
        let (number, factor) = found.ok_or_else(bad)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 9) || !digits(decimals, 3) {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let thousandths: u64 = format!("{decimals:0<3}").parse().map_err(|_| bad())?;
        Ok(Self::from_bps(whole * factor + thousandths * factor / 1_000))
    }
}

impl TryFrom<String> for BitRate {
    type Error = BadBitRate;
    fn try_from(text: String) -> Result<Self, BadBitRate> {
        text.parse()
    }
}

impl From<BitRate> for String {
    fn from(rate: BitRate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for BitRate {
    /// The same text that [`FromStr`] reads, in the largest unit that three decimals are enough for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&(_, factor): &(&str, u64)| {
            self.0 >= factor && (self.0 % factor).is_multiple_of(factor.div_ceil(1_000))
        };
        let (unit, factor) = MULTIPLES.into_iter().find(fits).unwrap_or(("", 1));
        write!(f, "{}", self.0 / factor)?;
        let thousandths = self.0 % factor * 1_000 / factor;
        if thousandths > 0 {
            write!(f, ".{}", format!("{thousandths:03}").trim_end_matches('0'))?;
        }
        f.write_str(unit)
    }
}

impl JsonSchema for BitRate {
    fn schema_name() -> Cow<'static, str> {
        "BitRate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 14, "pattern": "^[0-9]{1,9}(\\.[0-9]{1,3})?[kMG]?$" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_units() {
        for (text, bps, said) in [
            ("4M", 4_000_000, "4M"),
            ("500k", 500_000, "500k"),
            ("0.5M", 500_000, "500k"),
            ("2.125G", 2_125_000_000, "2.125G"),
            ("812345", 812_345, "812.345k"),
            ("0", 0, "0"),
        ] {
            let rate: BitRate = text.parse().unwrap();
            assert_eq!((rate.bps(), rate.to_string().as_str()), (bps, said), "{text}");
        }
        for bad in ["", "k", "4m", "-4M", "1.2345M", "4 M", ".5M", "1.M", "1e6", "9999999999"] {
            assert!(bad.parse::<BitRate>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn people_see_three_digits() {
        let said = |bps| BitRate::from_bps(bps).rounded().to_string();
        assert_eq!([7, 999, 812_345, 3_996_000, 999_950].map(said), ["7", "999", "812k", "4M", "1M"]);
    }

    proptest! {
        #[test]
        fn text_round_trips(bps in 0..1_000_000_000_u64) {
            let rate = BitRate::from_bps(bps);
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = str::from_utf8(bytes) {
                let _ = text.parse::<BitRate>();
            }
        });
    }
}

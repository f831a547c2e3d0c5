//! Quantities that cannot hold an invalid value.

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Darknet number of a layer, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerIndex(pub u16);

impl fmt::Display for LayerIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nominal compression ratio: values of the feature map per value of the tiled plane (paper, section 3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompressionRatio(NonZeroU16);

/// Why a number is no compression ratio or no bit target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuantity {
    /// Zero, negative, too large, or no number.
    #[error("compression ratio {0:?} must be a whole number from 1 to 65535")]
    CompressionRatio(String),
    /// Zero, too large, or no number.
    #[error("bits per frame {0:?} must be a whole number above 0, like 20000, 20k or 0.5M")]
    TargetBits(String),
}

impl CompressionRatio {
    /// No compression: one plane value for each feature value.
    pub const ONE: Self = Self(NonZeroU16::MIN);

    /// # Errors
    /// [`BadQuantity`] for 0.
    pub fn try_new(ratio: u16) -> Result<Self, BadQuantity> {
        NonZeroU16::new(ratio).map(Self).ok_or_else(|| BadQuantity::CompressionRatio(ratio.to_string()))
    }

    /// The ratio as a number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl FromStr for CompressionRatio {
    type Err = BadQuantity;
    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let ratio = text.parse().map_err(|_| BadQuantity::CompressionRatio(text.to_owned()))?;
        Self::try_new(ratio)
    }
}

impl fmt::Display for CompressionRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Mean size of a coded frame that the rate control steers to, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetBits(NonZeroU32);

impl TargetBits {
    /// # Errors
    /// [`BadQuantity`] for 0.
    pub fn try_new(bits: u32) -> Result<Self, BadQuantity> {
        NonZeroU32::new(bits).map(Self).ok_or_else(|| BadQuantity::TargetBits(bits.to_string()))
    }

    /// The target in bits.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl FromStr for TargetBits {
    type Err = BadQuantity;
    /// Reads `20000`, `20k` or `0.5M` (decimal multiples).
    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity::TargetBits(text.to_owned());
        let (digits, unit) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1e3),
            None => match text.strip_suffix('M') {
                Some(digits) => (digits, 1e6),
                None => (text, 1.0),
            },
        };
        let bits = digits.parse::<f64>().map_err(|_| bad())? * unit;
        if !(1.0..=f64::from(u32::MAX)).contains(&bits) {
            return Err(bad());
        }
        Self::try_new(bits.round() as u32)
    }
}

impl fmt::Display for TargetBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.get();
        if bits.is_multiple_of(1000) { write!(f, "{}k", bits / 1000) } else { write!(f, "{bits}") }
    }
}

/// Factor by which a plane is scaled about its middle (128) before coding at a fixed QP, in the one byte
/// that the header carries: `factor = 2^(-step / 24)`, from 1 down to 2^-10.6.
///
/// Scaling by half has the rate and distortion of a QP 6 higher, and needs no second encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gain(pub u8);

impl Gain {
    /// No scaling: the most bits.
    pub const UNITY: Self = Self(0);
    /// Steps for a halving of the factor.
    pub const STEPS_PER_HALVING: f32 = 24.0;

    /// The factor, in (0, 1].
    pub fn factor(self) -> f32 {
        (-f32::from(self.0) / Self::STEPS_PER_HALVING).exp2()
    }

    /// The gain whose factor is nearest to `factor`, clamped to what a byte can say.
    pub fn nearest(factor: f32) -> Self {
        let step = -factor.max(f32::MIN_POSITIVE).log2() * Self::STEPS_PER_HALVING;
        Self(step.round().clamp(0.0, 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_bits_read_units() {
        let bits = |text: &str| text.parse::<TargetBits>().map(TargetBits::get);
        assert_eq!(bits("20k"), Ok(20_000));
        assert_eq!(bits("0.5M"), Ok(500_000));
        assert_eq!(bits("812"), Ok(812));
        for bad in ["", "k", "0", "-4k", "nan", "99999M"] {
            assert!(bits(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_gain_is_nearest_to_its_own_factor() {
        for step in 0..=255 {
            assert_eq!(Gain::nearest(Gain(step).factor()), Gain(step));
        }
    }
}

//! The device sizes each frame from its own queue, inside the range of its assigned point.

use std::time::Duration;

use crate::quantity::TargetBits;

/// A frame with less than this share of the point's bits is a *cut*: it costs accuracy.
pub const CUT_SHARE: f64 = 0.75;
/// Share of what the link carries in a frame's slot that a frame may fill.
const FILL: f64 = 0.5;
/// How much of the newest rate goes into the mean.
const NEWEST: f64 = 0.3;
/// Cuts that may be saved up in calm times.
const SAVED_CUTS: f64 = 20.0;

/// The range, and how often its lower part may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsSettings {
    /// Fewest bits.
    pub min: TargetBits,
    /// The point's own bits.
    pub max: TargetBits,
    /// Largest share of cuts, in thousandths.
    pub max_cut_permille: u16,
}

/// Sizes frames: half of what the device's own rate carries in a slot, less what still waits.
#[derive(Debug, Clone)]
pub struct BitsControl {
    settings: BitsSettings,
    /// Bits per second of the time in which something was being sent.
    rate_bps: Option<f64>,
    /// Cuts that may still be made.
    credit: f64,
    cuts: u64,
    frames: u64,
}

impl BitsControl {
    /// A control that knows no rate yet: frames start at the point's own bits.
    pub fn new(settings: BitsSettings) -> Self {
        Self { settings, rate_bps: None, credit: 0.0, cuts: 0, frames: 0 }
    }

    /// Takes another range. The rate is the link's, so it stays.
    pub fn set(&mut self, settings: BitsSettings) {
        self.settings = settings;
    }

    /// The link took `bits` in `busy`, the time in which it had something to send.
    pub fn carried(&mut self, bits: u64, busy: Duration) {
        let seconds = busy.as_secs_f64();
        if seconds > 0.0 {
            let newest = bits as f64 / seconds;
            self.rate_bps = Some(self.rate_bps.map_or(newest, |mean| mean + NEWEST * (newest - mean)));
        }
    }

    /// The bits of the next frame, while `backlog_bits` wait and a frame comes each `slot`.
    pub fn next(&mut self, backlog_bits: u64, slot: Duration) -> TargetBits {
        let [min, max] = [self.settings.min, self.settings.max].map(|bits| f64::from(bits.get()));
        let fits = self.rate_bps.map_or(max, |rate| rate * slot.as_secs_f64() * FILL - backlog_bits as f64);
        let allowance = f64::from(self.settings.max_cut_permille) / 1000.0;
        self.credit = (self.credit + allowance).min(SAVED_CUTS);
        self.frames += 1;
        let uncut = (CUT_SHARE * max).ceil();
        let mut bits = fits.clamp(min.min(max), max);
        if bits < uncut {
            if self.credit >= 1.0 {
                self.credit -= 1.0;
                self.cuts += 1;
            } else {
                bits = uncut;
            }
        }
        TargetBits::try_new(bits.round() as u32).unwrap_or(self.settings.max)
    }

    /// Share of cuts so far, in thousandths.
    pub fn cut_permille(&self) -> u16 {
        (self.cuts * 1000 / self.frames.max(1)) as u16
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOT: Duration = Duration::from_millis(100);

    fn settings(min: u32, max: u32, max_cut_permille: u16) -> BitsSettings {
        let [min, max] = [min, max].map(|bits| TargetBits::try_new(bits).unwrap());
        BitsSettings { min, max, max_cut_permille }
    }

    #[test]
    fn a_wide_link_takes_the_points_own_bits_and_a_thin_one_half_of_what_it_carries() {
        let mut control = BitsControl::new(settings(1_000, 10_000, 1_000));
        assert_eq!(control.next(0, SLOT).get(), 10_000, "nothing is known yet");
        control.carried(1_000_000, Duration::from_secs(1));
        assert_eq!(control.next(0, SLOT).get(), 10_000);
        (0..50).for_each(|_| control.carried(100_000, Duration::from_secs(1)));
        assert!(control.next(0, SLOT).get().abs_diff(5_000) <= 1);
        assert!(control.next(2_000, SLOT).get().abs_diff(3_000) <= 1, "less what still waits");
        assert_eq!(control.next(100_000, SLOT).get(), 1_000);
    }

    proptest! {
        #[test]
        fn bits_stay_in_range_and_cuts_within_their_share(
            cut in 0_u16..=1_000,
            steps in proptest::collection::vec((0_u64..50_000, 1_u64..500_000), 1..400),
        ) {
            let mut control = BitsControl::new(settings(2_000, 20_000, cut));
            for (backlog, rate) in steps {
                control.carried(rate, Duration::from_secs(1));
                let bits = control.next(backlog, SLOT).get();
                prop_assert!((2_000..=20_000).contains(&bits));
                prop_assert!(control.cut_permille() <= cut);
            }
        }
    }
}

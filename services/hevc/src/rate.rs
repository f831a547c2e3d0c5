//! Rate control: the gain of each frame, so that the mean of their bits meets a target.
//!
//! Pure. A gain is held nearly still while pictures differ in bits, because forcing each to the same size costs
//! 2 to 10 % of the bits at equal accuracy. Two slow corrections act on it: a model of the bits (its level
//! follows the pictures, its slope is learned from planes that were coded twice), and the debt in bits, which is
//! paid back over some ten frames. Only the first frame, and frames above a cap, are coded more than once.

use std::ops::RangeInclusive;

use autotiler_core::{Gain, TargetBits};

/// Frames over which a debt is paid back.
const PAYBACK_FRAMES: f64 = 10.0;
/// Share of the level that one picture may move, once the model has settled.
const LEVEL_SHARE: f64 = 1.0 / 16.0;
/// The same after several surprises in a row: the scene has changed.
const LEVEL_SHARE_AFTER_CHANGE: f64 = 1.0 / 3.0;
/// A picture is a surprise when its bits are off the model by more than this factor.
const SURPRISE: f64 = 1.6;
/// Surprises in a row, all of one sign, that make a change of scene.
const SURPRISES_OF_A_CHANGE: i32 = 3;
/// Debt beyond which no more is remembered, in frames: what cannot be paid back must not overshoot later.
const DEBT_LIMIT_FRAMES: f64 = 10.0;
/// Trial encodes of the first frame, and how near the last one should be.
const FIRST_FRAME_TRIALS: usize = 5;
const FIRST_FRAME_TOLERANCE: f64 = 0.1;
/// Slope of ln(bits) per gain step at the start: 24 steps (6 QP) take 44 % of the bits off.
const INITIAL_SLOPE: f64 = -0.024;
/// Slopes outside are accidents of a picture at the end of its range.
const SLOPES: (f64, f64) = (-0.07, -0.005);
/// Bits per sample at gain 1 that the first guess supposes (natural pictures at QP 20).
const INITIAL_BITS_PER_SAMPLE: f64 = 2.0;
/// Frames in a row at the end of the gain's range before a target is called out of reach.
const PINNED_FRAMES: u32 = 8;
/// Miss of the mean over those frames that is still called a hit.
const TOLERANCE: f64 = 0.05;
/// A frame that is coded again is aimed this far below its cap.
const CAP_AIM: f64 = 0.97;
const LAST_STEP: f64 = 255.0;

/// What to do with a coded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// Code the same plane again with this gain, and ask again.
    Again(Gain),
}

/// A target that the planes of a stream cannot meet with any gain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{target} bits per frame are out of reach: these planes take {} to {}",
    reachable_bits.start(),
    reachable_bits.end()
)]
pub struct OutOfReach {
    /// What was asked for.
    pub target: TargetBits,
    /// Mean bits per frame from a flat plane to gain 1.
    pub reachable_bits: RangeInclusive<u32>,
}

/// Steers the mean of a stream's bits per frame.
#[derive(Debug, Clone)]
pub struct RateControl {
    target: TargetBits,
    cap: Option<u32>,
    floor_bits: u32,
    samples: usize,
    /// Change of ln(bits) per gain step.
    slope: f64,
    /// Mean bits that the pictures would take at gain 1, by the model; none before the first frame was sent.
    level: Option<f64>,
    sent: u32,
    /// Bits sent above the target, less those below it.
    debt: f64,
    /// Surprises in a row, negative when the pictures were smaller than thought.
    surprises: i32,
    /// Gain steps and bits of the current frame's encodes.
    trials: Vec<(f64, f64)>,
    /// Frames in a row at gain 1 and their bits.
    pinned: (u32, f64),
}

impl RateControl {
    /// Control for frames of `samples` samples whose flat plane takes `floor_bits`
    /// ([`crate::Encoder::floor_bits`]), with a mean of `target` bits and none above `cap` bits.
    ///
    /// # Errors
    /// [`OutOfReach`] when even a flat plane takes more than the target or the cap.
    pub fn try_new(
        target: TargetBits,
        cap: Option<u32>,
        floor_bits: u32,
        samples: usize,
    ) -> Result<Self, OutOfReach> {
        let most = (samples as f64 * INITIAL_BITS_PER_SAMPLE) as u32;
        if target.get() < floor_bits || cap.is_some_and(|cap| cap < floor_bits) {
            return Err(OutOfReach { target, reachable_bits: floor_bits..=most.max(floor_bits) });
        }
        Ok(Self {
            target,
            cap,
            floor_bits,
            samples,
            slope: INITIAL_SLOPE,
            level: None,
            sent: 0,
            debt: 0.0,
            surprises: 0,
            trials: Vec::new(),
            pinned: (0, 0.0),
        })
    }

    /// Mean that is steered to.
    pub fn target(&self) -> TargetBits {
        self.target
    }

    /// Takes a new target and cap at a frame boundary; what was learned of the pictures stays.
    pub fn retarget(&mut self, target: TargetBits, cap: Option<u32>) {
        (self.target, self.cap) = (target, cap);
        self.debt = 0.0;
        self.pinned = (0, 0.0);
        self.abandon();
    }

    /// Takes another target for the next frames, as a queue may ask for with each of them: unlike with
    /// [`RateControl::retarget`], what was spent too much stays owed.
    pub fn aim(&mut self, target: TargetBits) {
        if target != self.target {
            self.target = target;
            self.pinned = (0, 0.0);
        }
    }

    /// Gain for the next plane.
    pub fn next_gain(&self) -> Gain {
        let level = self.level.unwrap_or(self.samples as f64 * INITIAL_BITS_PER_SAMPLE);
        let target = f64::from(self.target.get());
        let goal = target * (1.0 - self.debt / (PAYBACK_FRAMES * target)).clamp(0.5, 2.0);
        gain((goal / level).ln() / self.slope)
    }

    /// Takes the bits of the plane coded with `used`, and says whether to send it.
    pub fn observe(&mut self, used: Gain, bits: u32) -> Verdict {
        let (step, bits) = (f64::from(used.0), f64::from(bits.max(1)));
        self.learn_slope(step, bits);
        self.trials.push((step, bits));
        let again = if self.level.is_none() { self.next_trial(step, bits) } else { None };
        match again.or_else(|| self.below_cap(step, bits)) {
            Some(again) if again != used => Verdict::Again(again),
            _ => {
                self.settle(step, bits);
                Verdict::Send
            }
        }
    }

    /// Forgets the current frame, when it could not be coded.
    pub fn abandon(&mut self) {
        self.trials.clear();
    }

    /// The target's refusal, once the gain has been at its end for some frames and their mean misses still.
    /// The control goes on at that end.
    pub fn out_of_reach(&self) -> Option<OutOfReach> {
        let (frames, bits) = self.pinned;
        let mean = bits / f64::from(frames.max(1));
        let missed = mean < f64::from(self.target.get()) * (1.0 - TOLERANCE);
        (frames >= PINNED_FRAMES && missed).then(|| OutOfReach {
            target: self.target,
            reachable_bits: self.floor_bits..=(mean as u32).max(self.floor_bits),
        })
    }

    /// Two encodes of one plane tell the slope, as the picture is the same.
    fn learn_slope(&mut self, step: f64, bits: f64) {
        let Some(&(other_step, other_bits)) = self.trials.last() else { return };
        if (step - other_step).abs() < 3.0 {
            return;
        }
        let seen = ((bits / other_bits).ln() / (step - other_step)).clamp(SLOPES.0, SLOPES.1);
        let slope = if self.level.is_none() { seen } else { self.slope + 0.25 * (seen - self.slope) };
        // The model turns about the point where it is used, not about gain 1.
        if let Some(level) = &mut self.level {
            *level *= ((self.slope - slope) * step).exp();
        }
        self.slope = slope;
    }

    /// Next gain for the first frame, until it is near the target or cannot come nearer: between the nearest
    /// trials above and below the target where there are both, else by the slope.
    fn next_trial(&self, step: f64, bits: f64) -> Option<Gain> {
        let target = f64::from(self.target.get());
        let near = (bits / target - 1.0).abs() <= FIRST_FRAME_TOLERANCE;
        if near || self.trials.len() >= FIRST_FRAME_TRIALS {
            return None;
        }
        let above = self.trials.iter().filter(|(_, bits)| *bits > target).max_by(|a, b| a.0.total_cmp(&b.0));
        let below = self.trials.iter().filter(|(_, bits)| *bits <= target).min_by(|a, b| a.0.total_cmp(&b.0));
        let next = match (above, below) {
            (Some((from, more)), Some((to, less))) if from < to => {
                gain(from + (to - from) * (more / target).ln() / (more / less).ln())
            }
            _ => gain(step + (target / bits).ln() / self.slope),
        };
        let tried = self.trials.iter().any(|(step, _)| gain(*step) == next);
        (!tried).then_some(next)
    }

    /// A gain that takes a frame below the cap. The last step is a flat plane, which is.
    fn below_cap(&self, step: f64, bits: f64) -> Option<Gain> {
        let cap = f64::from(self.cap?);
        if bits <= cap {
            return None;
        }
        // Wider strides when the model proves wrong again and again.
        let stride = ((cap * CAP_AIM / bits).ln() / self.slope).max(1.0) * self.trials.len().max(1) as f64;
        Some(gain((step + stride).ceil()))
    }

    /// Books a frame that is sent.
    fn settle(&mut self, step: f64, bits: f64) {
        let target = f64::from(self.target.get());
        // A frame that was made smaller for the cap still tells by its first encode how large pictures are.
        let (seen_step, seen_bits) = match self.level {
            Some(_) => self.trials.first().copied().unwrap_or((step, bits)),
            None => (step, bits),
        };
        let seen = seen_bits * (-self.slope * seen_step).exp();
        let level = self.level.unwrap_or(seen);
        let share = self.level_share(seen / level);
        self.level = Some(level + share * (seen - level));
        self.sent = self.sent.saturating_add(1);
        let limit = DEBT_LIMIT_FRAMES * target;
        self.debt = (self.debt + bits - target).clamp(-limit, limit);
        self.pinned = match self.pinned {
            (frames, sum) if step == 0.0 => (frames.saturating_add(1), sum + bits),
            _ => (0, 0.0),
        };
        self.trials.clear();
    }

    /// How far the level follows a picture whose bits are `ratio` times what was expected.
    fn level_share(&mut self, ratio: f64) -> f64 {
        self.surprises = match () {
            () if ratio > SURPRISE => self.surprises.max(0) + 1,
            () if ratio < 1.0 / SURPRISE => self.surprises.min(0) - 1,
            () => 0,
        };
        if self.surprises.abs() >= SURPRISES_OF_A_CHANGE {
            return LEVEL_SHARE_AFTER_CHANGE;
        }
        (1.0 / (f64::from(self.sent) + 1.0)).max(LEVEL_SHARE)
    }
}

fn gain(step: f64) -> Gain {
    Gain(step.round().clamp(0.0, LAST_STEP) as u8)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Bits of a picture of some complexity at a gain: a bent curve above a floor, as libx265 gives.
    fn bits(complexity: f64, gain: Gain) -> u32 {
        if gain == Gain(255) {
            return 240;
        }
        let halvings = f64::from(gain.0) / 24.0;
        (240.0 + complexity * (-0.55 * halvings - 0.03 * halvings * halvings).exp()) as u32
    }

    fn control(target: u32, cap: Option<u32>) -> RateControl {
        RateControl::try_new(TargetBits::try_new(target).unwrap(), cap, 240, 25_600).unwrap()
    }

    /// Bits of each frame sent, and encodes spent.
    fn run(rate: &mut RateControl, complexities: impl Iterator<Item = f64>) -> (Vec<u32>, usize) {
        let mut encodes = 0;
        let sent = complexities
            .map(|complexity| {
                let mut gain = rate.next_gain();
                loop {
                    encodes += 1;
                    let bits = bits(complexity, gain);
                    match rate.observe(gain, bits) {
                        Verdict::Send => return bits,
                        Verdict::Again(other) => gain = other,
                    }
                }
            })
            .collect();
        (sent, encodes)
    }

    /// Pictures whose complexity varies by a factor of about 1.5 about 60 kbit at gain 1.
    fn pictures(seed: u64) -> impl Iterator<Item = f64> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        std::iter::repeat_with(move || {
            let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            60_000.0 * (0.4 * normal).exp()
        })
    }

    fn mean(bits: &[u32]) -> f64 {
        bits.iter().copied().map(f64::from).sum::<f64>() / bits.len() as f64
    }

    #[test]
    fn mean_over_100_frames_is_within_5_percent_from_the_first_frame_on() {
        for target in [1_000, 4_000, 8_000, 20_000, 45_000] {
            for seed in 0..20 {
                let (sent, encodes) = run(&mut control(target, None), pictures(seed).take(300));
                for window in sent.chunks(100) {
                    let error = mean(window) / f64::from(target) - 1.0;
                    assert!(error.abs() <= 0.05, "target {target}, seed {seed}: {error:+.3}");
                }
                assert!(encodes <= 304, "{encodes} encodes of 300 frames");
            }
        }
    }

    #[test]
    fn a_mean_is_met_over_targets_that_change_with_each_frame() {
        let mut rate = control(8_000, None);
        let (mut asked, mut spent) = (0.0, 0.0);
        for (number, picture) in pictures(9).take(300).enumerate() {
            let target = [8_000, 5_000, 6_500][number % 3];
            rate.aim(TargetBits::try_new(target).unwrap());
            let (sent, _) = run(&mut rate, std::iter::once(picture));
            (asked, spent) = (asked + f64::from(target), spent + mean(&sent));
        }
        assert!((spent / asked - 1.0).abs() <= 0.05, "{}", spent / asked);
    }

    #[test]
    fn pictures_keep_their_differences_in_bits() {
        let (sent, _) = run(&mut control(8_000, None), pictures(1).take(300));
        let (mean, tail) = (mean(&sent[100..]), &sent[100..]);
        let variance = tail.iter().map(|b| (f64::from(*b) - mean).powi(2)).sum::<f64>() / tail.len() as f64;
        assert!(variance.sqrt() / mean > 0.25, "{}", variance.sqrt() / mean);
    }

    #[test]
    fn a_change_of_scene_is_followed_within_100_frames() {
        let (sent, _) = run(
            &mut control(8_000, None),
            pictures(2).take(100).chain(pictures(3).map(|c| 4.0 * c).take(150)),
        );
        let error = mean(&sent[150..250]) / 8_000.0 - 1.0;
        assert!(error.abs() <= 0.15, "{error:+.3}");
    }

    #[test]
    fn no_frame_is_above_its_cap_and_the_mean_holds() {
        let (sent, encodes) = run(&mut control(8_000, Some(10_000)), pictures(4).take(300));
        assert!(sent.iter().all(|bits| *bits <= 10_000));
        assert!((mean(&sent[100..]) / 8_000.0 - 1.0).abs() <= 0.05, "{}", mean(&sent));
        assert!(encodes < 450, "{encodes}");
    }

    #[test]
    fn a_cap_at_the_floor_ends_with_a_flat_plane() {
        let (sent, _) = run(&mut control(1_000, Some(241)), pictures(5).take(10));
        assert!(sent.iter().all(|bits| *bits <= 241));
    }

    #[test]
    fn targets_out_of_reach_are_refused_with_the_range() {
        let mut rate = control(200_000, None);
        let (sent, _) = run(&mut rate, pictures(6).take(20));
        let refusal = rate.out_of_reach().unwrap();
        assert_eq!(*refusal.reachable_bits.start(), 240);
        assert!((f64::from(*refusal.reachable_bits.end()) / mean(&sent) - 1.0).abs() < 0.01);
        assert!(refusal.to_string().contains("200k bits per frame are out of reach"), "{refusal}");
        assert!(RateControl::try_new(TargetBits::try_new(100).unwrap(), None, 240, 400).is_err());

        let mut rate = control(45_000, None);
        run(&mut rate, pictures(6).take(50));
        assert_eq!(rate.out_of_reach(), None);
    }

    #[test]
    fn a_new_target_is_met_without_trials() {
        let mut rate = control(8_000, None);
        run(&mut rate, pictures(7).take(50));
        rate.retarget(TargetBits::try_new(20_000).unwrap(), None);
        let (sent, encodes) = run(&mut rate, pictures(8).take(100));
        assert!((mean(&sent) / 20_000.0 - 1.0).abs() <= 0.05, "{}", mean(&sent));
        assert_eq!(encodes, 100);
    }
}

//! How sure a number is that was measured on a few hundred pictures: the bootstrap.
//!
//! Pictures are drawn with replacement, as many as there are, and the number is computed again; its spread
//! over many draws is its uncertainty (Efron, "Bootstrap methods", 1979; the percentile interval). Two methods
//! are compared on the same draws, so that what both find hard cancels out.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An interval around a measured value.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConfidenceInterval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How often each picture was drawn, for one draw after another; equal seeds give equal draws.
#[derive(Debug, Clone)]
pub struct Resampler {
    pictures: usize,
    random: ChaCha8Rng,
}

impl Resampler {
    /// Draws from a number of pictures.
    pub fn new(pictures: usize, seed: u64) -> Self {
        Self { pictures, random: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Iterator for Resampler {
    type Item = Vec<u32>;

    /// Times that each picture was drawn; their sum is the number of pictures. Never ends.
    fn next(&mut self) -> Option<Vec<u32>> {
        let mut times = vec![0; self.pictures];
        for _ in 0..self.pictures {
            let drawn = self.random.random_range(0..self.pictures);
            if let Some(times) = times.get_mut(drawn) {
                *times += 1;
            }
        }
        Some(times)
    }
}

/// The interval that holds the middle `share` (0 to 1) of `values`, interpolated between them; `None` when
/// there are none, one is not finite, or the share is none.
pub fn interval(values: &[f64], share: f64) -> Option<ConfidenceInterval> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) || !(0.0..=1.0).contains(&share) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let tail = (1.0 - share) / 2.0;
    Some(ConfidenceInterval { low: quantile(&sorted, tail)?, high: quantile(&sorted, 1.0 - tail)? })
}

/// Linear between order statistics (type 7 of Hyndman and Fan, 1996).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// The interval of a weighted mean of values that belong to one picture each, such as bits or divergence.
pub fn mean_interval(per_picture: &[f64], draws: usize, seed: u64, share: f64) -> Option<ConfidenceInterval> {
    let means: Vec<f64> = Resampler::new(per_picture.len(), seed)
        .take(if per_picture.is_empty() { 0 } else { draws })
        .map(|times| weighted_mean(per_picture, &times))
        .collect();
    interval(&means, share)
}

/// The interval of the mean difference `test - anchor` of values of the same pictures.
/// `None` also when the two are not equally many.
pub fn paired_interval(
    test: &[f64],
    anchor: &[f64],
    draws: usize,
    seed: u64,
    share: f64,
) -> Option<ConfidenceInterval> {
    if test.len() != anchor.len() {
        return None;
    }
    let differences: Vec<f64> = test.iter().zip(anchor).map(|(test, anchor)| test - anchor).collect();
    mean_interval(&differences, draws, seed, share)
}

/// The interval of the difference of a statistic that is no mean, such as mean average precision: `statistic`
/// gets the times that each picture counts and is asked for test and anchor on the same draws.
pub fn paired_statistic_interval(
    pictures: usize,
    draws: usize,
    seed: u64,
    share: f64,
    mut test: impl FnMut(&[u32]) -> f64,
    mut anchor: impl FnMut(&[u32]) -> f64,
) -> Option<ConfidenceInterval> {
    if pictures == 0 {
        return None;
    }
    let draws = Resampler::new(pictures, seed).take(draws);
    let differences: Vec<f64> = draws.map(|times| test(&times) - anchor(&times)).collect();
    interval(&differences, share)
}

fn weighted_mean(values: &[f64], times: &[u32]) -> f64 {
    let sum: f64 = values.iter().zip(times).map(|(value, &times)| value * f64::from(times)).sum();
    sum / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_has_as_many_pictures() {
        for times in Resampler::new(17, 3).take(50) {
            assert_eq!(times.iter().sum::<u32>(), 17);
        }
    }

    #[test]
    fn equal_seeds_give_equal_draws() {
        let draws = |seed| Resampler::new(40, seed).take(3).collect::<Vec<_>>();
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn an_interval_by_hand() {
        // 0, 1, .., 100: the middle 90 % is 5 to 95.
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let found = interval(&values, 0.9).unwrap();
        assert!((found.low - 5.0).abs() < 1e-9 && (found.high - 95.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn nothing_has_no_interval() {
        assert_eq!(interval(&[], 0.95), None);
        assert_eq!(interval(&[f64::NAN], 0.95), None);
        assert_eq!(mean_interval(&[], 100, 0, 0.95), None);
        assert_eq!(paired_interval(&[1.0], &[], 100, 0, 0.95), None);
    }

    #[test]
    fn one_value_is_its_own_interval() {
        assert_eq!(interval(&[3.0], 0.95), Some(ConfidenceInterval { low: 3.0, high: 3.0 }));
    }

    /// Standard error of the mean of n values of deviation s is s / sqrt(n); 95 % are 1.96 of them.
    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_law() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let found = mean_interval(&values, 4000, 7, 0.95).unwrap();
        let half = 1.96 * 0.5 / 20.0;
        // 4000 draws know the ends to some percent.
        assert!((found.low - (0.5 - half)).abs() < 0.005, "{found:?}");
        assert!((found.high - (0.5 + half)).abs() < 0.005, "{found:?}");
    }

    #[test]
    fn what_both_find_hard_cancels_out() {
        let anchor: Vec<f64> = (0..50).map(|i| f64::from(i * i)).collect();
        let test: Vec<f64> = anchor.iter().map(|value| value - 1.0).collect();
        let found = paired_interval(&test, &anchor, 200, 1, 0.95).unwrap();
        assert_eq!((found.low, found.high), (-1.0, -1.0));
        let mean = |values: Vec<f64>| move |times: &[u32]| weighted_mean(&values, times);
        let found = paired_statistic_interval(50, 200, 1, 0.95, mean(test), mean(anchor)).unwrap();
        assert!((found.low + 1.0).abs() < 1e-9 && (found.high + 1.0).abs() < 1e-9, "{found:?}");
    }
}

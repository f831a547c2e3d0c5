//! Bits against accuracy, made monotone.

use autotiler_core::average_precision::{Ranking, UNCUT};
use serde::{Deserialize, Serialize};

use crate::workbench::Trial;

/// What a number of bits per frame costs in accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Mean bits of an access unit.
    pub bits: u32,
    /// Mean average precision lost against the uncut network, in thousandths of it.
    pub accuracy_drop_permille: u16,
}

/// The rates of `trials`, by rising bits, against an uncut network of `uncut` mAP.
pub fn of_trials(trials: &[Trial], classes: usize, uncut: f64) -> Vec<Rate> {
    let point = |trial: &Trial| {
        let map50 = Ranking::new(trial.outcomes.iter().map(|outcome| &outcome.matched), classes);
        let map50 = map50.score_once(UNCUT).map50;
        let bits: f64 = trial.outcomes.iter().map(|outcome| f64::from(outcome.bits)).sum();
        (bits / trial.outcomes.len().max(1) as f64, 1.0 - map50 / uncut)
    };
    falling(trials.iter().map(point))
}

/// Points of bits and loss (a share of the uncut mAP), in any order, as a curve whose loss never rises with the
/// bits and is never negative.
///
/// Accuracy on some hundred pictures is noisy, so neighbours out of order are pooled to their mean (isotonic
/// regression, Ayer et al. 1955, doi:10.1214/aoms/1177728423): taking the best of them would promise what only luck
/// gave.
pub fn falling(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<Rate> {
    let is_point = |&(bits, loss): &(f64, f64)| bits >= 0.5 && bits.is_finite() && loss.is_finite();
    let mut points: Vec<(f64, f64)> = points.into_iter().filter(is_point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pools: Vec<Pool> = Vec::new();
    for (bits, loss) in points {
        let mut pool = Pool { sum: loss, bits: vec![bits] };
        while let Some(before) = pools.pop_if(|before| before.mean() < pool.mean()) {
            pool = before.join(pool);
        }
        pools.push(pool);
    }
    let rate = |bits: f64, loss: f64| Rate {
        bits: bits.round() as u32,
        accuracy_drop_permille: (1e3 * loss).round().clamp(0.0, 1e3) as u16,
    };
    let mut rates: Vec<Rate> =
        pools.iter().flat_map(|pool| pool.bits.iter().map(|&bits| rate(bits, pool.mean()))).collect();
    // Two settings of the same bits: the later one loses no more.
    rates.reverse();
    rates.dedup_by_key(|rate| rate.bits);
    rates.reverse();
    rates
}

/// Neighbours of one loss.
struct Pool {
    sum: f64,
    bits: Vec<f64>,
}

impl Pool {
    fn mean(&self) -> f64 {
        self.sum / self.bits.len().max(1) as f64
    }

    fn join(mut self, after: Self) -> Self {
        self.sum += after.sum;
        self.bits.extend(after.bits);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(points: &[(f64, f64)]) -> Vec<(u32, u16)> {
        falling(points.iter().copied()).iter().map(|rate| (rate.bits, rate.accuracy_drop_permille)).collect()
    }

    #[test]
    fn neighbours_out_of_order_share_their_mean() {
        let noisy = [(9e3, 0.012), (2e3, 0.1), (5e3, 0.01), (12e3, -0.004)];
        assert_eq!(pairs(&noisy), [(2_000, 100), (5_000, 11), (9_000, 11), (12_000, 0)]);
    }

    #[test]
    fn a_better_score_than_the_uncut_one_is_no_loss() {
        assert_eq!(pairs(&[(10.0, -0.02), (20.0, f64::NAN), (0.0, 0.1)]), [(10, 0)]);
    }

    proptest! {
        #[test]
        fn bits_rise_and_losses_fall(points in prop::collection::vec((0.0..1e5_f64, -0.5..1.5_f64), 0..16)) {
            let rates = falling(points.iter().copied());
            prop_assert!(rates.is_sorted_by(|a, b| a.bits < b.bits));
            prop_assert!(rates.is_sorted_by(|a, b| a.accuracy_drop_permille >= b.accuracy_drop_permille));
            prop_assert!(rates.len() <= points.len());
        }

        #[test]
        fn what_is_in_order_stays_as_it_is(bits in prop::collection::btree_set(1..100_000_u32, 1..12)) {
            let points: Vec<(f64, f64)> =
                (0..).zip(&bits).map(|(at, &bits)| (f64::from(bits), 0.2 - 0.01 * f64::from(at))).collect();
            let expected: Vec<(u32, u16)> = (0..).zip(&bits).map(|(at, &bits)| (bits, 200 - 10 * at)).collect();
            prop_assert_eq!(pairs(&points), expected);
        }
    }
}

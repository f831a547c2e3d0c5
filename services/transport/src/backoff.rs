//! Waits between tries that grow, with jitter, so that many devices do not come back in one instant.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Exponential back-off: the n-th wait is drawn from the upper half of `min(first * 2^(n-1), longest)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub first: Duration,
    /// Upper end of every later wait.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 50 ms growing to 2 s: a broker that is back is found within 2 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The wait before try `attempt`, counted from 1.
    pub fn delay(&self, attempt: usize) -> Duration {
        self.delay_with(attempt, random_share())
    }

    fn delay_with(&self, attempt: usize, share: f64) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let upper = self.first.saturating_mul(1 << doublings).min(self.longest);
        upper.mul_f64(0.5 + 0.5 * share)
    }
}

/// A number in [0, 1). The standard library seeds each `RandomState` anew; spreading retries needs no more.
fn random_share() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        let upper = |attempt| backoff.delay_with(attempt, 1.0).as_millis();
        assert_eq!([1, 2, 3, 4, 5, 500].map(upper), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay_with(0, 0.0).as_millis(), 50);
        assert_eq!(backoff.delay_with(usize::MAX, 0.0).as_millis(), 500);
    }

    #[test]
    fn jitter_stays_in_the_upper_half() {
        let backoff = Backoff::default();
        for attempt in 1..50 {
            let delay = backoff.delay(attempt);
            let upper = backoff.delay_with(attempt, 1.0);
            assert!(delay >= upper / 2 && delay <= upper, "{delay:?} of {upper:?}");
        }
    }
}

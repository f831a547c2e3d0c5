//! A slow mean of an uplink's measured capacity.
//!
//! Slow on purpose: the device's guard and its bits answer to what is quick. Low quantiles and short windows keep a
//! pessimistic choice after a fade is over, so there are none.

use std::time::Duration;

/// Mean whose weights halve with each half-life. Times are since any fixed moment, on one clock.
#[derive(Debug, Clone)]
pub struct CapacityMean {
    half_life: Duration,
    mean_bps: Option<f64>,
    at: Duration,
}

impl CapacityMean {
    /// A mean of nothing yet.
    pub fn new(half_life: Duration) -> Self {
        Self { half_life, mean_bps: None, at: Duration::ZERO }
    }

    /// Takes a measurement of `bps` bits per second made at `at`. Give none while the device guards: what a dead
    /// link measures says nothing of the link after it.
    pub fn observe(&mut self, at: Duration, bps: f64) {
        if !bps.is_finite() || bps < 0.0 {
            return;
        }
        self.mean_bps = Some(match self.mean_bps {
            None => bps,
            Some(mean) => {
                let elapsed = at.saturating_sub(self.at).as_secs_f64();
                let kept = (-elapsed / self.half_life.as_secs_f64().max(1e-3)).exp2();
                mean * kept + bps * (1.0 - kept)
            }
        });
        self.at = self.at.max(at);
    }

    /// The mean in bits per second; none before the first measurement.
    pub fn bps(&self) -> Option<f64> {
        self.mean_bps
    }

    /// Time in which nothing was measured on purpose is not time that has passed: the next measurement weighs as
    /// if it came right after the last.
    pub fn skip_to(&mut self, now: Duration) {
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_way_is_made_in_a_half_life_however_often_it_is_measured() {
        for steps in [1_u32, 4, 100] {
            let mut mean = CapacityMean::new(Duration::from_secs(2));
            mean.observe(Duration::ZERO, 8e6);
            (1..=steps).for_each(|step| mean.observe(Duration::from_secs(2) * step / steps, 0.0));
            assert!((mean.bps().unwrap() - 4e6).abs() < 1.0, "{steps}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_measurement() {
        let mut mean = CapacityMean::new(Duration::from_secs(2));
        [f64::NAN, f64::INFINITY, -1.0].iter().for_each(|bps| mean.observe(Duration::ZERO, *bps));
        assert_eq!(mean.bps(), None);
    }

    #[test]
    fn skipped_time_does_not_count() {
        let mut mean = CapacityMean::new(Duration::from_secs(2));
        mean.observe(Duration::ZERO, 8e6);
        mean.skip_to(Duration::from_secs(60));
        mean.observe(Duration::from_secs(60), 0.0);
        assert!((mean.bps().unwrap() - 8e6).abs() < 1.0);
    }
}

//! A slow mean of an uplink's measured capacity.
//!
//! Slow on purpose: the device's guard and its bits answer to what is quick. Low quantiles and short windows keep a
//! pessimistic choice after a fade is over, so there are none. Only a link that is much thinner than its mean, and
//! carries frames meanwhile, is shown as it is: whoever decides has windows of its own against fades, and would else
//! wait for both. After a while it is another link, and the mean begins anew: else it would need several half-lives.

use std::time::Duration;

/// Below this share of the mean a link is much thinner.
const THINNER: f64 = 0.25;
/// Fades are shorter, or the device guards in them.
const LONG: Duration = Duration::from_millis(500);

/// Mean whose weights halve with each half-life. Times are since any fixed moment, on one clock.
#[derive(Debug, Clone)]
pub struct CapacityMean {
    half_life: Duration,
    mean_bps: Option<f64>,
    at: Duration,
    thinner: Option<Thinner>,
}

/// Measurements much below the mean, without one that is not.
#[derive(Debug, Clone, Copy)]
struct Thinner {
    since: Duration,
    most_bps: f64,
}

impl CapacityMean {
    /// A mean of nothing yet.
    pub fn new(half_life: Duration) -> Self {
        Self { half_life, mean_bps: None, at: Duration::ZERO, thinner: None }
    }

    /// Takes a measurement of `bps` bits per second made at `at`. Give none while the device guards: what a dead
    /// link measures says nothing of the link after it.
    pub fn observe(&mut self, at: Duration, bps: f64) {
        if !bps.is_finite() || bps < 0.0 {
            return;
        }
        let mean = self.mean_bps.unwrap_or(bps);
        self.mean_bps = Some(match self.dropped(at, bps, mean) {
            Some(level) => level,
            None => {
                let elapsed = at.saturating_sub(self.at).as_secs_f64();
                let kept = (-elapsed / self.half_life.as_secs_f64().max(1e-3)).exp2();
                mean * kept + bps * (1.0 - kept)
            }
        });
        self.at = self.at.max(at);
    }

    /// The level of a link that has long been much thinner than `mean`: the best that it has shown meanwhile.
    fn dropped(&mut self, at: Duration, bps: f64, mean: f64) -> Option<f64> {
        if bps >= THINNER * mean {
            self.thinner = None;
            return None;
        }
        let thinner = self.thinner.get_or_insert(Thinner { since: at, most_bps: bps });
        thinner.most_bps = thinner.most_bps.max(bps);
        if at.saturating_sub(thinner.since) < LONG {
            return None;
        }
        self.thinner.take().map(|thinner| thinner.most_bps)
    }

    /// The mean in bits per second, or the most that a link has shown that is much thinner now; none before the first
    /// measurement.
    pub fn bps(&self) -> Option<f64> {
        self.thinner.map(|thinner| thinner.most_bps).or(self.mean_bps)
    }

    /// Time in which nothing was measured on purpose is not time that has passed: the next measurement weighs as
    /// if it came right after the last.
    pub fn skip_to(&mut self, now: Duration) {
        let skipped = now.saturating_sub(self.at);
        self.thinner.iter_mut().for_each(|thinner| thinner.since += skipped);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn half_of_the_way_is_made_in_a_half_life_however_often_it_is_measured() {
        for steps in [1_u32, 4, 100] {
            let mut mean = CapacityMean::new(Duration::from_secs(2));
            mean.observe(Duration::ZERO, 8e6);
            (1..=steps).for_each(|step| mean.observe(Duration::from_secs(2) * step / steps, 4e6));
            assert!((mean.bps().unwrap() - 6e6).abs() < 1.0, "{steps}");
        }
    }

    #[test]
    fn a_link_that_stays_much_thinner_is_another_one_after_half_a_second_that_counts() {
        let mut mean = CapacityMean::new(Duration::from_secs(2));
        mean.observe(at(0.0), 8e6);
        mean.observe(at(1.0), 0.5e6);
        mean.skip_to(at(9.0));
        mean.observe(at(9.2), 0.6e6);
        let mut fade = mean.clone();
        fade.observe(at(9.3), 7e6);
        assert!(fade.bps().unwrap() > 5e6, "the time in between was skipped: {fade:?}");
        mean.observe(at(9.5), 0.5e6);
        mean.observe(at(9.6), 0.7e6);
        assert!((0.6e6..0.61e6).contains(&mean.bps().unwrap()), "a mean again, from its level on: {mean:?}");
    }

    #[test]
    fn a_drop_shows_at_once_and_one_good_measurement_makes_it_a_fade() {
        let mut mean = CapacityMean::new(Duration::from_secs(200));
        mean.observe(at(0.0), 8e6);
        for second in 1..20 {
            let thin = second % 2 == 1;
            mean.observe(at(f64::from(second)), if thin { 0.5e6 } else { 6e6 });
            let shown = mean.bps().unwrap();
            assert!(if thin { shown < 0.6e6 } else { shown > 6e6 }, "{mean:?}");
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
        mean.observe(Duration::from_secs(60), 4e6);
        assert!((mean.bps().unwrap() - 8e6).abs() < 1.0);
    }
}

//! Effective time: how long after its capture the world of a frame is known.

use crate::{
    oracle::suffix_min,
    world::{CAP_S, World},
};

/// Effective times of the frames that count, in seconds.
///
/// A frame's effective time ends when its own result arrives or that of a newer frame, whichever is first, and is
/// [`CAP_S`] at most. So a dropped frame costs the wait for the next newer result, and dropping pays nothing. A live
/// camera captures evenly, so each frame stands for the same time and weighs the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effective {
    /// One for each frame.
    pub times_s: Vec<f64>,
    /// Whether the link was calm around it.
    pub calm: Vec<bool>,
}

/// Figures of many effective times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// Mean in seconds.
    pub mean_s: f64,
    /// Mean over calm frames; that of all if none is.
    pub calm_mean_s: f64,
    /// Median in seconds.
    pub p50_s: f64,
    /// 95th percentile in seconds.
    pub p95_s: f64,
    /// Share that reached the cap.
    pub late_share: f64,
}

impl Effective {
    /// Of results that arrive at these times, in seconds; infinite for none.
    pub fn of(world: &World<'_>, arrivals_s: &[f64]) -> Self {
        let known = suffix_min(arrivals_s);
        let scored = 0..world.scored();
        let time = |frame: usize| {
            let known = known.get(frame).copied().unwrap_or(f64::INFINITY);
            (known - world.captured_s(frame)).min(CAP_S)
        };
        let calm = scored.clone().map(|frame| world.trace.is_calm(world.captured_s(frame))).collect();
        Self { times_s: scored.map(time).collect(), calm }
    }

    /// Takes the frames of another run in.
    pub fn extend(&mut self, other: Self) {
        self.times_s.extend(other.times_s);
        self.calm.extend(other.calm);
    }

    /// Its figures.
    pub fn spread(&self) -> Spread {
        let mut sorted = self.times_s.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        let mean = |times: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = times.fold((0.0, 0.0), |(sum, count), time| (sum + time, count + 1.0));
            (count > 0.0).then(|| sum / count)
        };
        let mean_s = mean(&mut self.times_s.iter().copied()).unwrap_or(0.0);
        let calm = self.times_s.iter().zip(&self.calm).filter(|(_, calm)| **calm);
        let late = self.times_s.iter().filter(|time| **time >= CAP_S).count();
        Spread {
            mean_s,
            calm_mean_s: mean(&mut calm.map(|(time, _)| *time)).unwrap_or(mean_s),
            p50_s: quantile(0.5),
            p95_s: quantile(0.95),
            late_share: late as f64 / sorted.len().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{trace::Trace, world::Settings};

    #[test]
    fn a_dropped_frame_costs_the_wait_for_the_next_newer_result() {
        let trace = Trace::new("t", vec![1e6; 30]);
        let world = World::new(&trace, Settings::default(), 0);
        let mut arrivals = vec![f64::INFINITY; 30];
        arrivals[0] = 0.25;
        arrivals[4] = 0.65;
        let times = Effective::of(&world, &arrivals).times_s;
        let rounded: Vec<i32> = times.iter().take(6).map(|time| (time * 1000.0).round() as i32).collect();
        assert_eq!(rounded, [250, 550, 450, 350, 250, 1000]);
        assert_eq!(times.len(), 20, "the last second is not scored");
    }

    #[test]
    fn an_older_result_after_a_newer_one_counts_for_nothing() {
        let trace = Trace::new("t", vec![1e6; 30]);
        let world = World::new(&trace, Settings::default(), 0);
        let mut arrivals = vec![0.2; 30];
        arrivals[0] = 0.9;
        assert!((Effective::of(&world, &arrivals).times_s[0] - 0.2).abs() < 1e-9);
    }
}

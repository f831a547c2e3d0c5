//! Shapes of metrics that all components share.
//!
//! Names are `autotiler_<component>_<what>_<unit>[_total]`, units are base units, labels come from fixed sets.

mod component;

use std::time::{Duration, Instant};

use prometheus::{HistogramOpts, HistogramVec, Registry};

pub use component::Component;

/// Upper bounds for durations of stages and of whole frames, in seconds: 0.25 ms to 8 s.
pub const SECONDS_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15,
    0.25, 0.5, 1.0, 2.0, 4.0, 8.0,
];

/// Upper bounds for sizes of messages, in bytes: 64 B to 1 MiB, by doubling.
pub fn bytes_buckets() -> Vec<f64> {
    (6..=20).map(|power| f64::from(1u32 << power)).collect()
}

/// `autotiler_<component>_stage_seconds{stage}`: how long each stage of a frame takes.
#[derive(Debug, Clone)]
pub struct StageTimes {
    histograms: HistogramVec,
}

impl StageTimes {
    /// Registers the histogram of `component`, with a series for each of `stages` from the start.
    ///
    /// # Errors
    /// When the name is registered already or is no metric name.
    pub fn register(
        registry: &Registry,
        component: &str,
        stages: &[&'static str],
    ) -> Result<Self, prometheus::Error> {
        let name = format!("autotiler_{component}_stage_seconds");
        let options = HistogramOpts::new(name, "Time that a frame spends in each stage.")
            .buckets(SECONDS_BUCKETS.to_vec());
        let histograms = HistogramVec::new(options, &["stage"])?;
        registry.register(Box::new(histograms.clone()))?;
        for stage in stages {
            histograms.with_label_values(&[stage]);
        }
        Ok(Self { histograms })
    }

    /// Records that `stage` took `duration`.
    pub fn observe(&self, stage: &'static str, duration: Duration) {
        self.histograms.with_label_values(&[stage]).observe(duration.as_secs_f64());
    }

    /// Does `work` as `stage`; yields its result and how long it took.
    pub fn time<T>(&self, stage: &'static str, work: impl FnOnce() -> T) -> (T, Duration) {
        let start = Instant::now();
        let result = work();
        let duration = start.elapsed();
        self.observe(stage, duration);
        (result, duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise() {
        for buckets in [SECONDS_BUCKETS.to_vec(), bytes_buckets()] {
            assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]), "{buckets:?}");
        }
    }

    #[test]
    fn stages_are_there_before_their_first_frame() {
        let registry = Registry::new();
        let stages = StageTimes::register(&registry, "edge", &["head", "codec"]).unwrap();
        let (answer, _) = stages.time("head", || 42);
        assert_eq!(answer, 42);
        let families = registry.gather();
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].name(), "autotiler_edge_stage_seconds");
        let counts: Vec<_> =
            families[0].get_metric().iter().map(|m| m.get_histogram().get_sample_count()).collect();
        assert_eq!(counts, [0, 1]);
    }

    #[test]
    fn a_second_registration_is_an_error() {
        let registry = Registry::new();
        StageTimes::register(&registry, "edge", &[]).unwrap();
        assert!(StageTimes::register(&registry, "edge", &[]).is_err());
    }
}

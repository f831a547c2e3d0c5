//! Makes and registers the metrics of one component, so that a name has one form.

use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};

/// Where a component's metrics go: each is called `autotiler_<component>_<what>`.
#[derive(Debug, Clone, Copy)]
pub struct Component<'r> {
    registry: &'r Registry,
    name: &'static str,
}

/// Each is registered as it is made.
///
/// # Errors
/// All of them: when the name is registered already, or is no metric name.
impl<'r> Component<'r> {
    /// The component called `name`.
    pub fn new(registry: &'r Registry, name: &'static str) -> Self {
        Self { registry, name }
    }

    /// Something that only grows; `what` ends in `_total`.
    pub fn counter(&self, what: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::with_opts(self.options(what, help))?)
    }

    /// Counters told apart by `labels`.
    pub fn counters(&self, what: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(self.options(what, help), labels)?)
    }

    /// A value that rises and falls.
    pub fn gauge(&self, what: &str, help: &str) -> Result<Gauge, Error> {
        self.add(Gauge::with_opts(self.options(what, help))?)
    }

    /// Gauges told apart by `labels`.
    pub fn gauges(&self, what: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        self.add(GaugeVec::new(self.options(what, help), labels)?)
    }

    /// A number of things that rises and falls.
    pub fn whole_gauge(&self, what: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::with_opts(self.options(what, help))?)
    }

    /// A distribution, by the upper bounds of its buckets.
    pub fn histogram(&self, what: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let options = HistogramOpts::from(self.options(what, help)).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(options)?)
    }

    fn options(&self, what: &str, help: &str) -> Opts {
        Opts::new(format!("autotiler_{}_{what}", self.name), help)
    }

    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_registered_under_the_components_name() {
        let registry = Registry::new();
        let component = Component::new(&registry, "test");
        component.counter("frames_total", "Frames.").unwrap().inc();
        component.counters("drops_total", "Drops.", &["reason"]).unwrap().with_label_values(&["old"]).inc();
        component.gauge("share", "A share.").unwrap().set(0.5);
        component.gauges("level", "Levels.", &["queue"]).unwrap().with_label_values(&["in"]).set(1.0);
        component.whole_gauge("queued", "Queued.").unwrap().set(3);
        component.histogram("seconds", "Times.", &[0.1, 1.0]).unwrap().observe(0.2);
        let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        let all = ["drops_total", "frames_total", "level", "queued", "seconds", "share"];
        assert_eq!(names, all.map(|what| format!("autotiler_test_{what}")));
        assert!(component.gauge("share", "Twice.").is_err());
    }
}

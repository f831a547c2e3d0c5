//! What the board shows, as series: made anew at each scrape, so that those of a device that is gone are gone too.

use std::time::SystemTime;

use prometheus::{
    GaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Board, Explained, PolicyState, Tally};
use crate::control::unix_ms;

/// The board, for a registry.
#[derive(Debug)]
pub struct BoardSeries {
    board: Board,
    descs: Vec<Desc>,
}

/// The series of one scrape.
#[derive(Debug)]
struct Series {
    predicted: GaugeVec,
    measured: GaugeVec,
    drift: GaugeVec,
    devices: GaugeVec,
}

impl BoardSeries {
    /// # Errors
    /// Never in practice: the names of the series are fixed and right.
    pub(super) fn new(board: Board) -> Result<Self, prometheus::Error> {
        let descs = Series::new()?.all().iter().flat_map(|series| series.desc()).cloned().collect();
        Ok(Self { board, descs })
    }

    fn series(&self) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let (series, now_ms) = (Series::new()?, unix_ms(SystemTime::now()));
        let devices = self.board.devices();
        devices.iter().filter(|one| !one.is_silent(now_ms)).for_each(|one| series.show(one));
        for state in self.board.policies() {
            let own = devices.iter().filter(|one| one.policy == state.name);
            series.show_policy(&state, Tally::of(own.map(|one| &**one)));
        }
        let families = series.all().into_iter().flat_map(Collector::collect);
        Ok(families.filter(|family| !family.get_metric().is_empty()).collect())
    }
}

impl Collector for BoardSeries {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.series().unwrap_or_else(|error| {
            tracing::error!(%error, "making the board's series");
            Vec::new()
        })
    }
}

impl Series {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            predicted: gauges(
                "predicted_seconds",
                "From capture to detections at the point in force, as predicted.",
                &["device"],
            )?,
            measured: gauges(
                "measured_seconds",
                "From capture to detections at the point in force, as the device measures it (median).",
                &["device"],
            )?,
            drift: gauges(
                "profile_drift_ratio",
                "Measured stage times of a device, or of its server, against its profile's.",
                &["device", "part"],
            )?,
            devices: gauges("policy_devices", "Devices of a policy, by state.", &["policy", "state"])?,
        })
    }

    /// Shows one device; what is not known is not shown.
    fn show(&self, explained: &Explained) {
        let set = |series: &GaugeVec, us: Option<u64>| {
            if let Some(us) = us {
                series.with_label_values(&[explained.device.as_str()]).set(us as f64 / 1e6);
            }
        };
        set(&self.predicted, explained.predicted_us());
        set(&self.measured, explained.telemetry.total_us.p50);
        if let Some(inputs) = &explained.decided.seen.inputs {
            let device = inputs.drift.of(explained.telemetry.point.route);
            for (part, drift) in [("device", device), ("server", inputs.server_drift)] {
                let labels = [explained.device.as_str(), part];
                self.drift.with_label_values(&labels).set(drift.factor());
            }
        }
    }

    fn show_policy(&self, state: &PolicyState, tally: Tally) {
        let matched = ("matched", u32::try_from(state.matched).unwrap_or(u32::MAX));
        for (label, count) in std::iter::once(matched).chain(tally.named()) {
            self.devices.with_label_values(&[state.name.0.as_str(), label]).set(count.into());
        }
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.predicted, &self.measured, &self.drift, &self.devices]
    }
}

fn gauges(what: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    GaugeVec::new(Opts::new(format!("autotiler_controller_{what}"), help), labels)
}

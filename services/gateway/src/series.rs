//! The series of one scrape: made anew each time, so that what is not known is not there.

use autotiler_core::telemetry::Telemetry;
use prometheus::{
    GaugeVec, IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

const DEVICE: &str = "device";

/// All series of all devices. Names and labels are what policies and dashboards ask for: they stay.
#[derive(Debug)]
pub(crate) struct Series {
    uplink: GaugeVec,
    rtt: GaugeVec,
    server_queue: GaugeVec,
    queue_age: GaugeVec,
    backlog: GaugeVec,
    rate: GaugeVec,
    stage: GaugeVec,
    total: GaugeVec,
    epoch: GaugeVec,
    guarded: GaugeVec,
    guard_moves: IntCounterVec,
    switches: IntCounterVec,
    switch_gap: GaugeVec,
    cut: GaugeVec,
    refused: GaugeVec,
    frames: IntCounterVec,
    info: GaugeVec,
}

impl Series {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            uplink: gauge("uplink_bits_per_second", "Capacity of the uplink, as measured lately.", &[])?,
            rtt: gauge("rtt_seconds", "Smallest round trip to the broker lately.", &[])?,
            server_queue: gauge("server_queue_seconds", "Waiting in the decoder, 95th percentile.", &[])?,
            queue_age: gauge("send_queue_age_seconds", "Age of the oldest frame not got through.", &[])?,
            backlog: gauge("backlog_bits", "Bits of frames not got through.", &[])?,
            rate: gauge("frames_per_second", "Frames whose detections came.", &[])?,
            stage: gauge("stage_seconds", "Median time of a stage at the point in force.", &["stage"])?,
            total: gauge("total_seconds", "From capture to detections.", &["quantile"])?,
            epoch: gauge("epoch", "Epoch of the order that is obeyed.", &[])?,
            guarded: gauge("guarded", "Whether the safe point is in force, 0 or 1.", &[])?,
            guard_moves: counter("guard_moves_total", "Moves of the guard, both ways.", &[])?,
            switches: counter("switches_total", "Orders that changed the point.", &[])?,
            switch_gap: gauge("switch_gap_seconds", "Between the captures about the last switch.", &[])?,
            cut: gauge("cut_share", "Share of frames cut below the point's bits.", &[])?,
            refused: gauge("refused", "1 while the newest order cannot be obeyed.", &["reason"])?,
            frames: counter("frames_total", "Frames by what became of them.", &["outcome"])?,
            info: gauge(
                "info",
                "What the device is and does: always 1.",
                &["point", "device_class", "network"],
            )?,
        })
    }

    /// Shows one device.
    pub(crate) fn show(&self, telemetry: &Telemetry) {
        let device = telemetry.device.as_str();
        let show = |series: &GaugeVec, value: Option<f64>| {
            if let Some(value) = value {
                series.with_label_values(&[device]).set(value);
            }
        };
        let show_as = |series: &GaugeVec, label: &str, us: Option<u64>| {
            if let Some(us) = us {
                series.with_label_values(&[device, label]).set(seconds(us));
            }
        };
        show(&self.uplink, telemetry.uplink_bps.map(|bps| bps as f64));
        show(&self.rtt, telemetry.rtt_us.map(seconds));
        show(&self.server_queue, telemetry.server_us.queue_p95.map(seconds));
        show(&self.queue_age, Some(seconds(telemetry.queue_age_us)));
        show(&self.backlog, Some(telemetry.backlog_bits as f64));
        show(&self.rate, Some(telemetry.frames_per_second));
        for (stage, us) in [
            ("head", telemetry.stage_us.head),
            ("codec", telemetry.stage_us.codec),
            ("boxes", telemetry.stage_us.boxes),
            ("server_decode", telemetry.server_us.decode),
            ("server_tail", telemetry.server_us.tail),
        ] {
            show_as(&self.stage, stage, us);
        }
        show_as(&self.total, "0.5", telemetry.total_us.p50);
        show_as(&self.total, "0.95", telemetry.total_us.p95);
        show(&self.epoch, Some(f64::from(telemetry.epoch.0)));
        show(&self.guarded, Some(if telemetry.guarded_for_ms.is_some() { 1.0 } else { 0.0 }));
        self.guard_moves.with_label_values(&[device]).inc_by(telemetry.guard_moves);
        self.switches.with_label_values(&[device]).inc_by(telemetry.switches);
        show(&self.switch_gap, telemetry.last_switch_gap_us.map(seconds));
        show(&self.cut, Some(f64::from(telemetry.cut_permille) / 1e3));
        if let Some(refused) = &telemetry.refused {
            self.refused.with_label_values(&[device, refused.reason.label()]).set(1.0);
        }
        for (outcome, count) in [
            ("captured", telemetry.captured),
            ("sent", telemetry.sent),
            ("received", telemetry.received),
            ("dropped", telemetry.dropped.values().fold(0, |sum, n| sum.saturating_add(*n))),
            ("lost", telemetry.lost.values().fold(0, |sum, n| sum.saturating_add(*n))),
        ] {
            self.frames.with_label_values(&[device, outcome]).inc_by(count);
        }
        let (point, network) = (telemetry.point.to_string(), telemetry.network.to_string());
        let labels = [device, point.as_str(), telemetry.device_class.as_str(), network.as_str()];
        self.info.with_label_values(&labels).set(1.0);
    }

    pub(crate) fn descs(&self) -> Vec<Desc> {
        self.all().iter().flat_map(|series| series.desc()).cloned().collect()
    }

    /// What was shown; families without a series are left out.
    pub(crate) fn collect(&self) -> Vec<MetricFamily> {
        let families = self.all().into_iter().flat_map(Collector::collect);
        families.filter(|family| !family.get_metric().is_empty()).collect()
    }

    fn all(&self) -> [&dyn Collector; 17] {
        [
            &self.uplink,
            &self.rtt,
            &self.server_queue,
            &self.queue_age,
            &self.backlog,
            &self.rate,
            &self.stage,
            &self.total,
            &self.epoch,
            &self.guarded,
            &self.guard_moves,
            &self.switches,
            &self.switch_gap,
            &self.cut,
            &self.refused,
            &self.frames,
            &self.info,
        ]
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn gauge(what: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    GaugeVec::new(Opts::new(format!("autotiler_device_{what}"), help), &[&[DEVICE], labels].concat())
}

fn counter(what: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(format!("autotiler_device_{what}"), help), &[&[DEVICE], labels].concat())
}

//! What the device shows on `/metrics`.

use autotiler_core::wire::LossReason;
use autotiler_runtime::{SECONDS_BUCKETS, StageTimes, bytes_buckets};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, core::Collector,
};

use crate::fate::DropReason;

const COMPONENT: &str = "edge";
/// Names of the stages, as labels.
pub mod stage {
    /// Resizing, head and tiler encoder.
    pub const HEAD: &str = "head";
    /// HEVC encoding.
    pub const CODEC: &str = "codec";
    /// Boxes on the device.
    pub const BOXES: &str = "boxes";
    /// Waiting between the stages of the device, from capture to sending.
    pub const WAIT: &str = "wait";
    /// From sending to the answer, less the server's own time.
    pub const TRANSFER: &str = "transfer";
    /// The server's own time.
    pub const SERVER: &str = "server";
    /// All of them.
    pub const ALL: [&str; 6] = [HEAD, CODEC, BOXES, WAIT, TRANSFER, SERVER];
}
/// Names of the hand-offs, as labels.
pub const QUEUES: [&str; 3] = ["inference", "codec", "publish"];

/// All metrics of the device. Clones share them.
#[derive(Debug, Clone)]
pub struct EdgeMetrics {
    /// Time of each stage.
    pub stages: StageTimes,
    /// From capture to the detections, in seconds.
    pub frame_seconds: Histogram,
    /// Sizes of the messages sent, in bytes.
    pub frame_bytes: Histogram,
    /// Frames that the source gave.
    pub captured: IntCounter,
    /// Frames handed to the broker, or done on the device.
    pub sent: IntCounter,
    /// Frames whose detections came.
    pub received: IntCounter,
    /// Frames not sent, by reason.
    pub dropped: IntCounterVec,
    /// Frames sent whose detections did not come, by reason.
    pub lost: IntCounterVec,
    /// Answers to frames that had been given up.
    pub late_answers: IntCounter,
    /// Lines that could not be written to the results file.
    pub results_lost: IntCounter,
    /// Frames that wait before a stage.
    pub queued: GaugeVec,
    /// Frames sent and not answered.
    pub in_flight: Gauge,
    /// Whether the broker is there, 0 or 1.
    pub link_up: Gauge,
    /// What the broker refused us for want of a right.
    pub broker_refusals: IntCounter,
    /// Assignment that frames are made under.
    pub epoch: Gauge,
}

impl EdgeMetrics {
    /// Registers all of them, every label from the start.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            stages: StageTimes::register(registry, COMPONENT, &stage::ALL)?,
            frame_seconds: add(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "autotiler_edge_frame_seconds",
                        "From capture to the frame's detections, on the device's own clock.",
                    )
                    .buckets(SECONDS_BUCKETS.to_vec()),
                ),
            )?,
            frame_bytes: add(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new("autotiler_edge_frame_bytes", "Sizes of frame messages sent.")
                        .buckets(bytes_buckets()),
                ),
            )?,
            captured: counter(registry, "frames_captured_total", "Frames that the source gave.")?,
            sent: counter(registry, "frames_sent_total", "Frames handed to the broker.")?,
            received: counter(registry, "frames_received_total", "Frames whose detections came.")?,
            dropped: counters(registry, "frames_dropped_total", "Frames not sent.")?,
            lost: counters(registry, "frames_lost_total", "Frames sent whose detections did not come.")?,
            late_answers: counter(registry, "late_answers_total", "Answers to frames given up before.")?,
            results_lost: counter(registry, "results_lost_total", "Result lines that were not written.")?,
            queued: add(
                registry,
                GaugeVec::new(Opts::new("autotiler_edge_queue_frames", "Frames that wait."), &["queue"]),
            )?,
            in_flight: gauge(registry, "in_flight_frames", "Frames sent and not answered.")?,
            link_up: gauge(registry, "link_up", "Whether the broker is there, 0 or 1.")?,
            broker_refusals: counter(
                registry,
                "broker_refusals_total",
                "Publications and subscriptions that the broker refused: the credentials do not allow them.",
            )?,
            epoch: gauge(registry, "epoch", "Assignment that frames are made under.")?,
        };
        for reason in DropReason::ALL {
            metrics.dropped.with_label_values(&[reason.label()]);
        }
        for reason in LossReason::ALL {
            metrics.lost.with_label_values(&[reason.label()]);
        }
        Ok(metrics)
    }

    /// Says how many frames wait before the stage of `queue` (one of [`QUEUES`]).
    pub fn set_queued(&self, queue: &'static str, frames: usize) {
        self.queued.with_label_values(&[queue]).set(frames as f64);
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, what: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    add(registry, IntCounter::new(format!("autotiler_{COMPONENT}_{what}"), help))
}

fn counters(registry: &Registry, what: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(Opts::new(format!("autotiler_{COMPONENT}_{what}"), help), &["reason"]))
}

fn gauge(registry: &Registry, what: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    add(registry, Gauge::new(format!("autotiler_{COMPONENT}_{what}"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_shown_before_it_happens() {
        let registry = Registry::new();
        EdgeMetrics::register(&registry).unwrap();
        let series = |name: &str| {
            registry.gather().iter().find(|family| family.name() == name).unwrap().get_metric().len()
        };
        assert_eq!(series("autotiler_edge_frames_dropped_total"), DropReason::ALL.len());
        assert_eq!(series("autotiler_edge_frames_lost_total"), LossReason::ALL.len());
    }
}

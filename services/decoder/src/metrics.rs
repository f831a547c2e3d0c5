//! What the decoder counts.

use autotiler_core::wire::LossReason;
use autotiler_runtime::{Component, StageTimes, bytes_buckets};
use autotiler_transport::DropReason;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

/// Stages of a frame, as in [`autotiler_core::wire::ServerTimes`].
pub(crate) const STAGES: [&str; 4] = ["queue", "decode", "tail", "boxes"];
/// Outcome of a frame that has detections (be they none).
const OK: &str = "ok";
/// How a request for parameter sets may end.
const REQUESTS: [&str; 4] = [OK, "no_answer", "unknown", "bad"];
/// Upper bounds for frames in one run.
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0];

/// All metrics of the decoder. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct DecoderMetrics {
    /// `autotiler_decoder_stage_seconds{stage}`.
    pub(crate) stages: StageTimes,
    /// `autotiler_decoder_frame_bytes`: messages as they came.
    pub(crate) frame_bytes: Histogram,
    /// `autotiler_decoder_batch_frames`: frames that shared a run of the tail.
    pub(crate) batch_frames: Histogram,
    /// `autotiler_decoder_queue_frames`: taken on and not yet answered.
    pub(crate) queue_frames: IntGauge,
    /// `autotiler_decoder_missed_frames_total`: lost by the NATS client before they were read, and not answered.
    pub(crate) missed_frames: IntCounter,
    /// `autotiler_decoder_broker_refusals_total`: what the broker refused us for want of a right.
    pub(crate) broker_refusals: IntCounter,
    /// `autotiler_decoder_ffmpeg_respawns_total`: sessions started again after a fault.
    pub(crate) ffmpeg_respawns: IntCounter,
    /// `autotiler_decoder_ffmpeg_sessions`: open HEVC sessions.
    pub(crate) ffmpeg_sessions: IntGauge,
    /// `autotiler_decoder_nats_up`: 1 while the link is up.
    pub(crate) nats_up: IntGauge,
    /// `autotiler_decoder_json_lines_dropped_total`: lines that nobody read in time.
    pub(crate) json_lines_dropped: IntCounter,
    frames: IntCounterVec,
    undelivered: IntCounterVec,
    parameter_requests: IntCounterVec,
}

impl DecoderMetrics {
    /// Registers all of them, each series from the start.
    ///
    /// # Errors
    /// When a name is registered already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let own = Component::new(registry, "decoder");
        let metrics = Self {
            stages: StageTimes::register(registry, "decoder", &STAGES)?,
            frame_bytes: own.histogram("frame_bytes", "Frame messages.", &bytes_buckets())?,
            batch_frames: own.histogram(
                "batch_frames",
                "Frames that shared a run of the tail.",
                &BATCH_BUCKETS,
            )?,
            queue_frames: own.whole_gauge("queue_frames", "Frames taken on and not yet answered.")?,
            missed_frames: own.counter(
                "missed_frames_total",
                "Frames that the NATS client lost before they were read; they get no answer.",
            )?,
            broker_refusals: own.counter(
                "broker_refusals_total",
                "Publications and subscriptions that the broker refused: the credentials do not allow them.",
            )?,
            ffmpeg_respawns: own
                .counter("ffmpeg_respawns_total", "HEVC sessions started again after a fault.")?,
            ffmpeg_sessions: own.whole_gauge("ffmpeg_sessions", "Open HEVC sessions.")?,
            nats_up: own.whole_gauge("nats_up", "1 while the link to nats-server is up.")?,
            json_lines_dropped: own.counter(
                "json_lines_dropped_total",
                "Lines of JSON that standard output did not take in time.",
            )?,
            frames: own.counters("frames_total", "Frames answered, by outcome.", &["outcome"])?,
            undelivered: own.counters(
                "undelivered_answers_total",
                "Answers that were not handed to nats-server, by reason.",
                &["reason"],
            )?,
            parameter_requests: own.counters(
                "parameter_requests_total",
                "Requests to devices for parameter sets, by outcome.",
                &["outcome"],
            )?,
        };
        metrics.show_all_series();
        Ok(metrics)
    }

    /// Counts an answered frame.
    pub(crate) fn answered<T>(&self, outcome: &Result<T, LossReason>) {
        let label = outcome.as_ref().map_or_else(|reason| reason.label(), |_| OK);
        self.frames.with_label_values(&[label]).inc();
    }

    /// Counts an answer that the broker did not get.
    pub(crate) fn undelivered(&self, reason: DropReason) {
        self.undelivered.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a request for parameter sets; `fault` is a label of `FetchError`.
    pub(crate) fn parameters_requested(&self, fault: Option<&'static str>) {
        self.parameter_requests.with_label_values(&[fault.unwrap_or(OK)]).inc();
    }

    fn show_all_series(&self) {
        for outcome in std::iter::once(OK).chain(LossReason::ALL.map(LossReason::label)) {
            self.frames.with_label_values(&[outcome]);
        }
        for reason in [DropReason::Disconnected, DropReason::PayloadLimit] {
            self.undelivered.with_label_values(&[reason.label()]);
        }
        for outcome in REQUESTS {
            self.parameter_requests.with_label_values(&[outcome]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_there_before_the_first_frame_and_count_by_reason() {
        let registry = Registry::new();
        let metrics = DecoderMetrics::register(&registry).unwrap();
        metrics.answered::<()>(&Err(LossReason::Undecodable));
        metrics.answered(&Ok(()));
        let families = registry.gather();
        let frames = families.iter().find(|f| f.name() == "autotiler_decoder_frames_total").unwrap();
        assert_eq!(frames.get_metric().len(), 1 + LossReason::ALL.len());
        let total: f64 = frames.get_metric().iter().map(|m| m.get_counter().get_value()).sum();
        assert_eq!(total, 2.0);
        assert!(DecoderMetrics::register(&registry).is_err());
    }
}

//! The one thread that works frames off: HEVC, tail, boxes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use autotiler_core::{
    Detection, Gain,
    wire::{LossReason, ServerTimes},
};
use autotiler_hevc::{DecodeError, DecoderPool, FrameFormat, ParameterSets, ScaledPlane};
use autotiler_pipeline::{BoxFinder, CodedFrame, PipelineError, RawHeads};
use bytes::Bytes;

use crate::{
    args::WorkerOptions, backlog::Backlog, catalogue::Point, metrics::DecoderMetrics, stages::Stages,
    ticket::Ticket,
};

/// One frame, ready to be worked off.
#[derive(Debug)]
pub(crate) struct Job {
    /// The answer that it is owed.
    pub(crate) ticket: Ticket,
    /// What it needs run.
    pub(crate) point: Point,
    /// Scaling to undo after decoding.
    pub(crate) gain: Gain,
    /// What it was coded with.
    pub(crate) parameter_sets: ParameterSets,
    /// The coded frame.
    pub(crate) access_unit: Bytes,
}

/// What one thread owns.
pub(crate) struct Worker {
    jobs: Receiver<Job>,
    backlog: Backlog<Job>,
    stages: Stages,
    codec: DecoderPool,
    boxes: BoxFinder,
    max_batch: usize,
    batch_wait: Duration,
    metrics: DecoderMetrics,
}

/// Instants at which a batch went from one stage to the next.
#[derive(Debug, Clone, Copy)]
struct Marks {
    begun: Instant,
    decoded: Instant,
    tail_done: Instant,
}

impl Worker {
    /// A worker for `jobs`.
    pub(crate) fn new(
        jobs: Receiver<Job>,
        stages: Stages,
        boxes: BoxFinder,
        options: &WorkerOptions,
        metrics: DecoderMetrics,
    ) -> Self {
        Self {
            jobs,
            backlog: Backlog::new(),
            stages,
            codec: DecoderPool::new(options.codec.clone(), options.sessions),
            boxes,
            max_batch: options.max_batch.max(1),
            batch_wait: options.batch_wait,
            metrics,
        }
    }

    /// Works until nobody can send jobs any more and all are done.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            self.process(batch);
        }
    }

    /// The frames of the next run; `None` at the end.
    fn next_batch(&mut self) -> Option<Vec<Job>> {
        if self.backlog.oldest().is_none() {
            self.backlog.push(self.jobs.recv().ok()?);
        }
        self.take_waiting();
        self.wait_for_others();
        Some(self.backlog.take_batch(self.batch_limit()))
    }

    /// Takes what is there already.
    fn take_waiting(&mut self) {
        loop {
            match self.jobs.try_recv() {
                Ok(job) => self.backlog.push(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Lets the oldest frame wait for others of its operating point, if it is to wait at all.
    fn wait_for_others(&mut self) {
        let limit = self.batch_limit();
        while self.backlog.ready(limit) < limit {
            let waited = self.backlog.oldest().map_or(Duration::MAX, |job| job.ticket.arrived().elapsed());
            let Some(left) = self.batch_wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return;
            };
            match self.jobs.recv_timeout(left) {
                Ok(job) => self.backlog.push(job),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Most frames that may share a run with the oldest. Pictures share none: the whole network keeps the
    /// processor busy by itself, so a batch of them is as slow as one after the other (`examples/batching.rs`).
    fn batch_limit(&self) -> usize {
        match self.backlog.oldest().map(|job| job.point) {
            Some(Point::Picture) => 1,
            Some(Point::Plane(_)) | None => self.max_batch,
        }
    }

    /// Answers all of `jobs`, which are of one operating point.
    fn process(&mut self, jobs: Vec<Job>) {
        let begun = Instant::now();
        let Some(point) = jobs.first().map(|job| job.point) else { return };
        let format = match self.stages.get(point) {
            Ok(stage) => stage.format(),
            Err(error) => return self.fail(jobs, point, begun, &error),
        };
        let decoded = self.decode(jobs, format, begun);
        let decoded_at = Instant::now();
        if decoded.is_empty() {
            return;
        }
        let heads = self.run_tail(point, &decoded);
        let marks = Marks { begun, decoded: decoded_at, tail_done: Instant::now() };
        let batch = decoded.len();
        match heads {
            Ok(heads) => {
                self.metrics.batch_frames.observe(batch as f64);
                for ((job, _), heads) in decoded.into_iter().zip(heads) {
                    match self.boxes.find(&heads) {
                        Ok(detections) => self.answer(job.ticket, detections, marks, batch),
                        Err(error) => self.fail(vec![job], point, begun, &error),
                    }
                }
            }
            Err(error) => {
                self.stages.forget(point);
                self.fail(decoded.into_iter().map(|(job, _)| job), point, begun, &error);
            }
        }
    }

    /// The samples of all that can be decoded; the others are answered.
    fn decode(&mut self, jobs: Vec<Job>, format: FrameFormat, begun: Instant) -> Vec<(Job, ScaledPlane)> {
        let mut decoded = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.decode_one(&job, format) {
                Ok(samples) => decoded.push((job, samples)),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, point = ?job.point, "frame not decoded");
                    self.lose(job.ticket, begun, loss(&error));
                }
            }
        }
        self.metrics.ffmpeg_sessions.set(self.codec.len() as i64);
        decoded
    }

    fn decode_one(&mut self, job: &Job, format: FrameFormat) -> Result<ScaledPlane, DecodeError> {
        // Before a session is started for it: the size is the sender's word.
        job.parameter_sets.check(format)?;
        let session = self.codec.get(format, &job.parameter_sets)?;
        if session.process_id().is_none() {
            self.metrics.ffmpeg_respawns.inc();
        }
        session.decode_scaled(&job.access_unit)
    }

    fn run_tail(
        &mut self,
        point: Point,
        decoded: &[(Job, ScaledPlane)],
    ) -> Result<Vec<RawHeads>, PipelineError> {
        let frames: Vec<CodedFrame<'_>> = decoded
            .iter()
            .map(|(job, plane)| CodedFrame { bytes: &plane.samples, gain: job.gain, qp_gain: plane.qp_gain })
            .collect();
        self.stages.get(point)?.run(&frames)
    }

    fn answer(&self, ticket: Ticket, detections: Vec<Detection>, marks: Marks, batch: usize) {
        let durations = [
            marks.begun.saturating_duration_since(ticket.arrived()),
            marks.decoded - marks.begun,
            marks.tail_done - marks.decoded,
            marks.tail_done.elapsed(),
        ];
        for (stage, duration) in crate::metrics::STAGES.into_iter().zip(durations) {
            self.metrics.stages.observe(stage, duration);
        }
        let [queue_us, decode_us, tail_us, boxes_us] = durations.map(micros);
        let times = ServerTimes { queue_us, decode_us, tail_us, boxes_us };
        ticket.settle(Ok(detections), times, u16::try_from(batch).unwrap_or(u16::MAX));
    }

    /// Answers that the engine failed.
    fn fail(&self, jobs: impl IntoIterator<Item = Job>, point: Point, begun: Instant, error: &PipelineError) {
        tracing::error!(error = error as &dyn std::error::Error, ?point, "running an operating point");
        jobs.into_iter().for_each(|job| self.lose(job.ticket, begun, LossReason::EngineFailed));
    }

    fn lose(&self, ticket: Ticket, begun: Instant, reason: LossReason) {
        let queue_us = micros(begun.saturating_duration_since(ticket.arrived()));
        let times = ServerTimes { queue_us, decode_us: micros(begun.elapsed()), ..ServerTimes::default() };
        ticket.settle(Err(reason), times, 0);
    }
}

/// What the device is told when its frame gave no samples.
fn loss(error: &DecodeError) -> LossReason {
    match error {
        DecodeError::ParameterSets(_) | DecodeError::AccessUnit(_) | DecodeError::Undecodable(_) => {
            LossReason::Undecodable
        }
        DecodeError::Spawn(_) | DecodeError::Crashed(_) => LossReason::CodecCrashed,
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

//! The device's side of the broker: frames out, answers in, parameter sets for whoever asks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::{
    order::Order,
    wire::{Answer, HEADER_LEN, ServerTimes},
};
use autotiler_runtime::Latch;
use autotiler_transport::{
    AnswerSubject, AnswerSubscriber, ConnectError, ConnectOptions, Connection, Echoes, FramePublisher,
    FrameQueue, LinkState, ParameterServer, SubscribeError, UplinkMeter, connect,
};
use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};

use crate::{
    frame::{FrameRecord, Stream},
    guarding::Guarding,
    handoff::Giver,
    ledger::Ledger,
    metrics::EdgeMetrics,
    orders::follow,
    stages::{Detected, ParameterBook},
    telemetry::Speaker,
};

/// How often frames without an answer are looked for.
const SWEEP: Duration = Duration::from_millis(50);
/// How often what the broker refused is counted.
const COUNT: Duration = Duration::from_secs(1);

/// Why the device cannot use the broker.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection will come.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was closed under us.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

/// What the link needs of the rest of the device.
pub struct Link {
    /// How to reach the broker.
    pub options: ConnectOptions,
    /// Whose frames they are.
    pub stream: Stream,
    /// Frames to send.
    pub queue: FrameQueue,
    /// Most frames that are sent and not answered.
    pub window: usize,
    /// Largest payload of a frame, header not counted, in bytes.
    pub largest_payload: usize,
    /// Detections made on the device.
    pub detected: mpsc::Receiver<Detected>,
    /// Parameter sets.
    pub parameters: ParameterBook,
    /// The accounts.
    pub ledger: Arc<Ledger>,
    /// The metrics.
    pub metrics: EdgeMetrics,
    /// Released while the link is up.
    pub latch: Latch,
    /// Takes orders, where they are followed.
    pub orders: Option<Giver<Order>>,
    /// The guard's eyes.
    pub guarding: Guarding,
    /// Says how the device does.
    pub speaker: Speaker,
    /// Send trains where the frames alone do not tell the capacity.
    pub trains: bool,
}

impl Link {
    /// Connects and serves until the queue is closed and empty and every frame is accounted for.
    ///
    /// # Errors
    /// [`LinkError`], which no waiting mends.
    pub async fn run(self) -> Result<(), LinkError> {
        let Self { options, stream, queue, window, largest_payload, mut detected, .. } = self;
        let (ledger, metrics, latch, parameters) = (self.ledger, self.metrics, self.latch, self.parameters);
        let (orders, guarding, speaker) = (self.orders, self.guarding, self.speaker);
        // Without a broker the sweep goes on, and so does what needs none.
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(ledger.clone(), metrics.clone(), queue.clone()));
        tasks.spawn(guarding.clone().run());

        let connection = connect(&options).await?;
        let needed = HEADER_LEN + largest_payload;
        connection.check_payload(needed).map_err(ConnectError::from)?;
        let answers = AnswerSubscriber::subscribe(&connection, &stream.device, stream.id).await?;
        tasks.spawn(take_answers(answers, ledger.clone()));
        tasks.spawn(count_refusals(connection.clone(), metrics.clone()));
        let meter = guarding.meter.clone();
        tasks.spawn(watch_link(connection.clone(), needed, metrics, latch, meter));
        // Subscribed before the publisher starts: the first frame's decoder asks at once.
        let asked = ParameterServer::subscribe(&connection, &stream.device).await?;
        tasks.spawn(asked.serve(move |digest| parameters.find(digest)));
        let (echo, echoes) = Echoes::subscribe(&connection, &stream.device, stream.id).await?;
        tasks.spawn(guarding.clone().listen(echoes));
        if self.trains {
            let (helm, accounts) = (guarding.helm.clone(), ledger.clone());
            // What only waits for its answer is not in the way of a train. Where answers take longer than a frame's
            // slot there would never be room for one, and a link that got wider would never be noticed.
            let quiet = move || !helm.is_guarding() && accounts.backlog_bits().0 == 0;
            let meter = guarding.meter.clone();
            tasks.spawn(meter.send_trains(connection.clone(), echo.clone(), quiet));
        }
        let _ = guarding.link.set((connection.clone(), echo));
        tasks.spawn(speaker.run(connection.clone()));
        if let Some(orders) = orders {
            tasks.spawn(follow(connection.clone(), stream.device.clone(), orders));
        }
        let publishing = connection.clone();
        tasks.spawn(async move {
            while let Some(found) = detected.recv().await {
                publish_detections(&publishing, &stream, found).await;
            }
        });

        FramePublisher::new(connection.clone(), queue, window).run().await;
        ledger.settled().await;
        connection.close().await;
        Ok(())
    }
}

/// Gives up frames whose answer does not come, and shows what waits.
async fn sweep(ledger: Arc<Ledger>, metrics: EdgeMetrics, queue: FrameQueue) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ledger.expire(Instant::now());
        metrics.set_queued("publish", queue.len());
    }
}

async fn take_answers(mut answers: AnswerSubscriber, ledger: Arc<Ledger>) {
    while let Some((sequence, reply)) = answers.next().await {
        ledger.replied(sequence, reply);
    }
}

/// Follows the link: readiness, the gauge, the meter's socket, and the payload limit of a broker that came back.
async fn watch_link(
    connection: Connection,
    needed: usize,
    metrics: EdgeMetrics,
    latch: Latch,
    meter: Arc<UplinkMeter>,
) {
    let mut link = connection.link();
    loop {
        let state = *link.borrow_and_update();
        let up = state == LinkState::Up;
        meter.look();
        metrics.link_up.set(if up { 1.0 } else { 0.0 });
        let fits = connection.check_payload(needed);
        if let (true, Err(error)) = (up, &fits) {
            tracing::error!(%error, "large frames will be dropped");
        }
        latch.set(up && fits.is_ok());
        if link.changed().await.is_err() {
            return;
        }
    }
}

/// Shows what the broker refuses, for ever.
async fn count_refusals(connection: Connection, metrics: EdgeMetrics) {
    let mut ticks = tokio::time::interval(COUNT);
    loop {
        ticks.tick().await;
        metrics.broker_refusals.inc_by(connection.refusals().saturating_sub(metrics.broker_refusals.get()));
    }
}

/// Detections made on the device go the same way as a decoder's, for whoever listens. Nobody waits for them.
async fn publish_detections(connection: &Connection, stream: &Stream, found: Detected) {
    let Detected { record, detections } = found;
    let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    let FrameRecord { sequence, captured, assignment, times, .. } = record;
    let answer = Answer {
        device: stream.device.hash64(),
        stream: stream.id,
        sequence,
        epoch: assignment.epoch,
        captured_us: stream.clock_us(captured),
        times: ServerTimes {
            tail_us: micros(times.head),
            boxes_us: micros(times.boxes),
            ..ServerTimes::default()
        },
        batch: 1,
        outcome: Ok(detections),
    };
    let subject = AnswerSubject { device: stream.device.clone(), stream: stream.id, sequence };
    if let Err(reason) = connection.publish_now(subject.to_string(), Bytes::from(answer.encode())).await {
        tracing::debug!(%reason, sequence = sequence.0, "detections not published");
    }
}

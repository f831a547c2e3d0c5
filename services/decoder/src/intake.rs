//! Takes frames off the broker: checks each, gets the parameter sets of its stream, and takes it on if there
//! is room. Whatever is not taken on is answered here.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::Instant,
};

use autotiler_core::{DeviceId, Gain, wire::LossReason};
use autotiler_hevc::{ParameterDigest, ParameterSets};
use autotiler_transport::{Connection, FrameSubscriber, InboundFrame};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    args::IntakeOptions,
    catalogue::{Catalogue, Checked, Point, Refused},
    metrics::DecoderMetrics,
    parameters::{FetchError, ParameterCache, StreamKey, fetch},
    ticket::{Identity, Outgoing, Place, Ticket},
    worker::Job,
};

/// Faults that are logged once each; the metrics count them all.
const MOST_COMPLAINTS: usize = 1024;

/// Why no more frames are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The subscription ended by itself.
    #[error("the subscription to frames ended")]
    SubscriptionEnded,
    /// The worker's thread ended.
    #[error("the worker ended")]
    WorkerEnded,
}

/// The way in.
pub(crate) struct Intake {
    connection: Connection,
    catalogue: Catalogue,
    options: IntakeOptions,
    jobs: SyncSender<Job>,
    outbox: mpsc::Sender<Outgoing>,
    metrics: DecoderMetrics,
    places: Arc<Semaphore>,
    parameters: ParameterCache,
    fetches: FuturesUnordered<BoxFuture<'static, (StreamKey, Result<ParameterSets, FetchError>)>>,
    /// Frames that were taken on and wait for their parameter sets; bounded by the places.
    waiting: HashMap<StreamKey, Vec<Admitted>>,
    complaints: HashSet<(DeviceId, LossReason)>,
}

/// A frame that has a place, and lacks only its parameter sets.
#[derive(Debug)]
struct Admitted {
    ticket: Ticket,
    point: Point,
    gain: Gain,
    access_unit: Bytes,
}

impl Intake {
    /// An intake that hands frames to `jobs` and refusals to `outbox`.
    pub(crate) fn new(
        connection: Connection,
        catalogue: Catalogue,
        options: IntakeOptions,
        jobs: SyncSender<Job>,
        outbox: mpsc::Sender<Outgoing>,
        metrics: DecoderMetrics,
    ) -> Self {
        Self {
            connection,
            catalogue,
            options,
            jobs,
            outbox,
            metrics,
            places: Arc::new(Semaphore::new(options.queue)),
            parameters: ParameterCache::default(),
            fetches: FuturesUnordered::new(),
            waiting: HashMap::new(),
            complaints: HashSet::new(),
        }
    }

    /// Takes frames until `stop` is cancelled; then those that are on their way here, and no others.
    ///
    /// # Errors
    /// [`IntakeError`] when it ends before that.
    pub(crate) async fn run(
        mut self,
        mut frames: FrameSubscriber,
        stop: &CancellationToken,
    ) -> Result<(), IntakeError> {
        let connection = self.connection.clone();
        let (mut draining, mut drained) = (false, false);
        while !(drained && self.fetches.is_empty()) {
            tokio::select! {
                // In this order: room is made before more is taken.
                biased;
                () = stop.cancelled(), if !draining => {
                    draining = true;
                    frames.drain().await;
                }
                Some((key, fetched)) = self.fetches.next() => self.resume(key, fetched).await?,
                frame = frames.next(), if !drained => match frame {
                    Some(frame) => self.take(frame).await?,
                    None if draining => drained = true,
                    None => return Err(IntakeError::SubscriptionEnded),
                },
                // A broker that is gone sends nothing more, nor the end of the subscription.
                () = connection.wait_down(), if draining && !drained => drained = true,
            }
        }
        Ok(())
    }

    async fn take(&mut self, frame: InboundFrame) -> Result<(), IntakeError> {
        let arrived = Instant::now();
        self.metrics.frame_bytes.observe(frame.payload.len() as f64);
        let checked = match self.catalogue.check(&frame) {
            Ok(checked) => checked,
            Err(refused) => {
                self.refuse(frame, refused, arrived).await;
                return Ok(());
            }
        };
        let Checked { header, point, access_unit_len } = checked;
        let key = (frame.device.clone(), ParameterDigest(header.parameter_sets));
        let identity = Identity::of_header(&header);
        let ticket = Ticket::new(frame.device, identity, frame.reply, arrived, self.outbox.clone());
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            ticket.refuse(LossReason::Overloaded).await;
            return Ok(());
        };
        let ticket = ticket.holding(Place::new(permit, self.metrics.queue_frames.clone()));
        let access_unit = frame.payload.slice(frame.payload.len() - access_unit_len..);
        let admitted = Admitted { ticket, point, gain: header.gain, access_unit };
        match self.parameters.get(&key) {
            Some(sets) => self.hand_over(admitted, sets)?,
            None => self.wait_for_parameters(key, admitted),
        }
        Ok(())
    }

    async fn refuse(&mut self, frame: InboundFrame, refused: Refused, arrived: Instant) {
        let Refused { identity, refusal } = refused;
        let reason = refusal.reason();
        self.complain(&frame.device, reason, &refusal);
        match identity {
            Some(identity) => {
                let outbox = self.outbox.clone();
                Ticket::new(frame.device, identity, frame.reply, arrived, outbox).refuse(reason).await;
            }
            // Nothing says which frame it was, so an answer would tell nobody anything.
            None => self.metrics.answered::<()>(&Err(reason)),
        }
    }

    /// Asks for the sets of `key`, once for all frames that need them.
    fn wait_for_parameters(&mut self, key: StreamKey, admitted: Admitted) {
        let others = self.waiting.entry(key.clone()).or_default();
        others.push(admitted);
        if others.len() > 1 {
            return;
        }
        let (connection, timeout) = (self.connection.clone(), self.options.parameters_timeout);
        let fetch = async move {
            let fetched = fetch(&connection, &key, timeout).await;
            (key, fetched)
        };
        self.fetches.push(fetch.boxed());
    }

    /// Hands over the frames that waited for `key`, or answers them.
    async fn resume(
        &mut self,
        key: StreamKey,
        fetched: Result<ParameterSets, FetchError>,
    ) -> Result<(), IntakeError> {
        self.metrics.parameters_requested(fetched.as_ref().err().map(FetchError::label));
        let waiting = self.waiting.remove(&key).unwrap_or_default();
        match fetched {
            Ok(sets) => {
                self.parameters.insert(key, sets.clone());
                waiting.into_iter().try_for_each(|admitted| self.hand_over(admitted, sets.clone()))
            }
            Err(error) => {
                self.complain(&key.0, FetchError::REASON, &error);
                for admitted in waiting {
                    admitted.ticket.refuse(FetchError::REASON).await;
                }
                Ok(())
            }
        }
    }

    fn hand_over(&self, admitted: Admitted, parameter_sets: ParameterSets) -> Result<(), IntakeError> {
        let Admitted { ticket, point, gain, access_unit } = admitted;
        let job = Job { ticket, point, gain, parameter_sets, access_unit };
        match self.jobs.try_send(job) {
            Ok(()) => Ok(()),
            // The hand-off has room for every place, so a full one has no reader either.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(IntakeError::WorkerEnded),
        }
    }

    /// Says what is wrong with a device's frames once, with the field that is wrong.
    fn complain(&mut self, device: &DeviceId, reason: LossReason, error: &(dyn std::error::Error + 'static)) {
        let known =
            self.complaints.len() >= MOST_COMPLAINTS || !self.complaints.insert((device.clone(), reason));
        if known {
            tracing::debug!(%device, reason = reason.label(), error, "frame refused");
        } else {
            tracing::warn!(%device, reason = reason.label(), error, "frames refused; said once, counted always");
        }
    }
}

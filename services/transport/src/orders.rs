//! Orders: one key of a JetStream key-value bucket for each device, written by compare-and-set.
//!
//! The revision of a key is the fence: whoever did not see the newest order cannot replace it. Nothing here looks
//! at what an order says, apart from reading it.

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind, KeyValueError},
    kv, stream,
};
use autotiler_core::{
    DeviceId,
    order::{BadOrder, MAX_ORDER_LEN, Order},
};
use futures::StreamExt;

use crate::{backoff::Backoff, connection::Connection};

/// Name of the bucket.
pub const BUCKET: &str = "autotiler_orders";

/// The bucket of orders. Clones share it.
#[derive(Debug, Clone)]
pub struct OrderBook {
    connection: Connection,
    store: kv::Store,
}

/// What a device's key holds.
#[derive(Debug)]
pub struct Posted {
    /// Revision of the key, to be named by whoever replaces it; 0 where nothing was ever written.
    pub revision: u64,
    /// The order, or why the value is none; nothing where none was written or the last one was deleted.
    pub order: Option<Result<Order, BadOrder>>,
}

/// Why there is no bucket.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The broker runs without JetStream.
    #[error("nats-server has no JetStream: start it with -js for orders")]
    NoJetStream(#[source] CreateStreamError),
    /// The bucket is not there, and cannot be made now.
    #[error("making the bucket {BUCKET}")]
    Create(#[source] CreateStreamError),
    /// The bucket was made, and cannot be opened now.
    #[error("opening the bucket {BUCKET}")]
    Open(#[source] KeyValueError),
}

/// Why an order was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody else wrote since the expected revision.
    #[error("the order of {device} was replaced since revision {expected}")]
    Conflict {
        /// The device.
        device: DeviceId,
        /// The revision that was expected.
        expected: u64,
    },
    /// The broker did not take it, or did not say so.
    #[error("writing the order of {device}")]
    Write {
        /// The device.
        device: DeviceId,
        /// The client's own words.
        #[source]
        source: kv::UpdateError,
    },
}

/// An order could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the order of {device}")]
pub struct GetError {
    device: DeviceId,
    #[source]
    source: kv::EntryError,
}

impl OrderBook {
    /// Opens the bucket, and makes it if nobody has.
    ///
    /// # Errors
    /// [`OpenError`]; only [`OpenError::NoJetStream`] is not mended by trying again.
    pub async fn open(connection: &Connection) -> Result<Self, OpenError> {
        let context = async_nats::jetstream::new(connection.client().clone());
        let store = match context.get_key_value(BUCKET).await {
            Ok(store) => store,
            Err(_) => {
                make(&context).await?;
                context.get_key_value(BUCKET).await.map_err(OpenError::Open)?
            }
        };
        Ok(Self { connection: connection.clone(), store })
    }

    /// Writes `order`, if the key of `device` is still at `expected` (0: never written). Yields its new revision.
    ///
    /// # Errors
    /// [`PutError`].
    pub async fn put(&self, device: &DeviceId, order: &Order, expected: u64) -> Result<u64, PutError> {
        let written = self.store.update(device.as_str(), order.to_json().into(), expected).await;
        written.map_err(|source| match source.kind() {
            kv::UpdateErrorKind::WrongLastRevision => PutError::Conflict { device: device.clone(), expected },
            _ => PutError::Write { device: device.clone(), source },
        })
    }

    /// What the key of `device` holds.
    ///
    /// # Errors
    /// [`GetError`] when the broker does not answer.
    pub async fn get(&self, device: &DeviceId) -> Result<Posted, GetError> {
        let failed = |source| GetError { device: device.clone(), source };
        let entry = self.store.entry(device.as_str()).await.map_err(failed)?;
        Ok(entry.map_or(Posted { revision: 0, order: None }, |entry| Posted::of(&entry)))
    }

    /// Follows the key of `device`, from what it holds now.
    pub fn watch(&self, device: &DeviceId) -> OrderWatch {
        OrderWatch { book: self.clone(), device: device.clone(), watch: None, failures: 0 }
    }
}

/// Makes the bucket; nothing to do where it is there. The library's own way asks for what nats-server 2.9 does not
/// say yet.
async fn make(context: &jetstream::Context) -> Result<(), OpenError> {
    let config = stream::Config {
        name: format!("KV_{BUCKET}"),
        subjects: vec![format!("$KV.{BUCKET}.>")],
        max_messages_per_subject: 1,
        max_message_size: MAX_ORDER_LEN as i32,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    };
    context.create_stream(config).await.map(|_| ()).map_err(|error| match error.kind() {
        CreateStreamErrorKind::JetStreamUnavailable => OpenError::NoJetStream(error),
        CreateStreamErrorKind::JetStream(cause)
            if cause.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
        {
            OpenError::NoJetStream(error)
        }
        _ => OpenError::Create(error),
    })
}

/// The orders of one device as they come. A broken link only delays them.
pub struct OrderWatch {
    book: OrderBook,
    device: DeviceId,
    watch: Option<kv::Watch>,
    failures: usize,
}

impl OrderWatch {
    /// The next value; waits for one. After a broken link the newest comes again.
    pub async fn next(&mut self) -> Posted {
        loop {
            self.book.connection.wait_up().await;
            match &mut self.watch {
                None => self.open().await,
                Some(watch) => {
                    // A watch does not notice by itself that the broker has forgotten it.
                    let lost = self.book.connection.wait_down();
                    let next = tokio::select! { next = watch.next() => next, () = lost => None };
                    match next {
                        Some(Ok(entry)) => {
                            self.failures = 0;
                            return Posted::of(&entry);
                        }
                        Some(Err(error)) => {
                            tracing::debug!(%error, "watching orders");
                            self.give_up().await;
                        }
                        None => self.give_up().await,
                    }
                }
            }
        }
    }

    async fn open(&mut self) {
        match self.book.store.watch_with_history(self.device.as_str()).await {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                tracing::debug!(%error, "watching orders");
                // The bucket may be gone with the broker's memory.
                if let Ok(book) = OrderBook::open(&self.book.connection).await {
                    self.book = book;
                }
                self.give_up().await;
            }
        }
    }

    async fn give_up(&mut self) {
        self.watch = None;
        self.failures += 1;
        tokio::time::sleep(Backoff::default().delay(self.failures)).await;
    }
}

impl Posted {
    fn of(entry: &kv::Entry) -> Self {
        let order = match entry.operation {
            kv::Operation::Put => Some(Order::try_from_json(&entry.value)),
            kv::Operation::Delete | kv::Operation::Purge => None,
        };
        Self { revision: entry.revision, order }
    }
}

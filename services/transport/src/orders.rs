//! Orders: one key of a JetStream key-value bucket for each device, written by compare-and-set.
//!
//! The revision of a key is the fence: whoever did not see the newest order cannot replace it. Nothing here looks
//! at what an order says, apart from reading it.
//!
//! A device follows its key without a consumer: the store says an order that it has taken on a subject of the
//! device's own, and gives the kept one when asked. Both name the device in the subject, so that it needs no right
//! by which it could read another's; the right to make a consumer would let it read all. It is said in full: an order
//! is newest where the link has just been cut, and to ask for it would then wait behind the frames.

mod watch;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind, KeyValueError, UpdateStreamError},
    kv, stream,
};
use autotiler_core::{
    DeviceId,
    order::{BadOrder, MAX_ORDER_LEN, Order},
};

use crate::{connection::Connection, subject};

pub use watch::OrderWatch;

/// Name of the bucket.
pub const BUCKET: &str = "autotiler_orders";
/// Name of the stream behind it.
pub(crate) const STREAM: &str = "KV_autotiler_orders";

/// The bucket of orders. Clones share it.
#[derive(Debug, Clone)]
pub struct OrderBook {
    store: kv::Store,
    /// Kept open: the store alone would not.
    _connection: Connection,
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
    /// The bucket is of a version that did not say its orders, and cannot be changed now.
    #[error("letting the bucket {BUCKET} say its orders")]
    Update(#[source] UpdateStreamError),
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
        let context = jetstream::new(connection.client().clone());
        let store = match context.get_key_value(BUCKET).await {
            Ok(store) => store,
            Err(_) => {
                make(&context).await?;
                context.get_key_value(BUCKET).await.map_err(OpenError::Open)?
            }
        };
        if store.stream.cached_info().config.republish.is_none() {
            context.update_stream(&config()).await.map_err(OpenError::Update)?;
        }
        Ok(Self { store, _connection: connection.clone() })
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
}

/// Makes the bucket; nothing to do where it is there. The library's own way asks for what nats-server 2.9 does not
/// say yet.
async fn make(context: &jetstream::Context) -> Result<(), OpenError> {
    context.create_stream(config()).await.map(|_| ()).map_err(|error| match error.kind() {
        CreateStreamErrorKind::JetStreamUnavailable => OpenError::NoJetStream(error),
        CreateStreamErrorKind::JetStream(cause)
            if cause.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
        {
            OpenError::NoJetStream(error)
        }
        _ => OpenError::Create(error),
    })
}

/// What the bucket is like.
fn config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("$KV.{BUCKET}.>")],
        max_messages_per_subject: 1,
        max_message_size: MAX_ORDER_LEN as i32,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        num_replicas: 1,
        republish: Some(stream::Republish {
            source: format!("$KV.{BUCKET}.>"),
            destination: subject::order_prefix(),
            headers_only: false,
        }),
        ..stream::Config::default()
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

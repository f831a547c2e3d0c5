//! The orders of one device as they come.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderName, RequestErrorKind, StatusCode};
use autotiler_core::{DeviceId, order::Order};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{sync::watch, time};

use super::{Posted, STREAM};
use crate::{
    backoff::Backoff,
    connection::{Connection, LinkState},
    subject::{self, pattern},
};

/// How often the kept order is asked for while nothing comes: what the store says is not said twice, and a store
/// that was made anew begins to count again.
const REFRESH: Duration = Duration::from_secs(30);
/// Longest wait for the kept order.
const ANSWER: Duration = Duration::from_secs(2);

/// The orders of one device as they come. A broken link, or a store that is not there yet, only delays them.
pub struct OrderWatch {
    connection: Connection,
    device: DeviceId,
    live: Option<Live>,
    failures: usize,
}

/// One subscription, good for as long as the link has not changed.
struct Live {
    messages: async_nats::Subscriber,
    link: watch::Receiver<LinkState>,
    refresh: time::Interval,
    /// Whether the kept order is to be asked for.
    due: bool,
    /// Revision of what was given last.
    seen: Option<u64>,
}

/// Why the kept order is not known.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("asking for the kept order")]
    Request(#[from] async_nats::RequestError),
    #[error("the store answered {0} when asked for the kept order")]
    Status(StatusCode),
    #[error("the store's answer has no revision")]
    Revision,
}

impl OrderWatch {
    /// Follows the key of `device`, from what it holds now.
    pub fn new(connection: &Connection, device: &DeviceId) -> Self {
        Self { connection: connection.clone(), device: device.clone(), live: None, failures: 0 }
    }

    /// The next value; waits for one. After a broken link the newest comes again. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Posted {
        loop {
            self.connection.wait_up().await;
            let Some(live) = &mut self.live else {
                self.open().await;
                continue;
            };
            if live.due {
                match ask(&self.connection, &self.device).await {
                    Ok(kept) => {
                        live.due = false;
                        self.failures = 0;
                        if let Some(kept) = kept.filter(|kept| live.seen != Some(kept.revision)) {
                            live.seen = Some(kept.revision);
                            return kept;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "orders");
                        self.give_up().await;
                    }
                }
            } else {
                tokio::select! {
                    biased;
                    _ = live.link.changed() => self.live = None,
                    // The first tick is at once.
                    _ = live.refresh.tick() => live.due = true,
                    message = live.messages.next() => match message {
                        Some(message) => match said(&message, &self.device) {
                            Some(order) if live.seen.is_none_or(|seen| order.revision > seen) => {
                                live.seen = Some(order.revision);
                                return order;
                            }
                            _ => live.due = true,
                        },
                        None => self.give_up().await,
                    },
                }
            }
        }
    }

    async fn open(&mut self) {
        let mut link = self.connection.link();
        // From now on: what was before is of no interest.
        link.mark_unchanged();
        match self.connection.subscribe(subject::order(&self.device)).await {
            Ok(messages) => {
                // Or an order could be kept after we ask and said before we listen.
                self.connection.round_trip().await;
                let refresh = time::interval(REFRESH);
                self.live = Some(Live { messages, link, refresh, due: false, seen: None });
            }
            Err(error) => {
                tracing::debug!(%error, "orders");
                self.give_up().await;
            }
        }
    }

    async fn give_up(&mut self) {
        self.live = None;
        self.failures += 1;
        time::sleep(Backoff::default().delay(self.failures)).await;
    }
}

/// The order that is kept for `device`; none where there is none, or no store yet.
async fn ask(connection: &Connection, device: &DeviceId) -> Result<Option<Posted>, AskError> {
    let request = async_nats::Request::new().timeout(Some(ANSWER));
    let answer = match connection.client().send_request(pattern::kept_order(device), request).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            tracing::debug!("the broker keeps no orders");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match answer.status {
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(status) => Err(AskError::Status(status)),
        None => read(answer.headers.as_ref(), &answer.payload).map(Some).ok_or(AskError::Revision),
    }
}

/// What the store says of the key of `device`. Another device can have an answer of the store sent here, but only about
/// its own key, and the store names the key: anything else is only a hint to ask. So is what a bucket of an earlier version
/// says, which leaves the order itself out; a broker does not let that be changed.
fn said(message: &async_nats::Message, device: &DeviceId) -> Option<Posted> {
    let headers = message.headers.as_ref()?;
    let names = |name: HeaderName, value: &str| headers.get(name).is_some_and(|said| said.as_str() == value);
    let own = names(async_nats::header::NATS_STREAM, STREAM)
        && names(async_nats::header::NATS_SUBJECT, &pattern::order_key(device));
    let in_full = headers.get("Nats-Msg-Size").is_none();
    (own && in_full).then(|| read(Some(headers), &message.payload)).flatten()
}

/// A message of the store: its headers say the revision, and whether it is a mark of deletion.
fn read(headers: Option<&HeaderMap>, payload: &Bytes) -> Option<Posted> {
    let headers = headers?;
    let revision = headers.get(async_nats::header::NATS_SEQUENCE)?.as_str().parse().ok()?;
    let deleted = headers.get("KV-Operation").is_some_and(|operation| operation.as_str() != "PUT");
    let order = (!deleted).then(|| Order::try_from_json(payload));
    Some(Posted { revision, order })
}

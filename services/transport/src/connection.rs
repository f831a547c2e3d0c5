//! The connection to the broker: made with patience, watched, and given back by a drain.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectErrorKind, Event};
use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    credentials,
    driver::Driver,
    drop_reason::DropReason,
    options::{Auth, ConnectOptions},
    subject,
};

/// Commands that may wait in the client. Frames wait in our own queue, which knows their age.
const CLIENT_CAPACITY: usize = 64;
/// Longest wait for the broker's word that nobody listens; one that forbids the question never gives it.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// Whether the broker is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Connected.
    Up,
    /// Lost; the client tries to reconnect until the connection is closed.
    Down,
}

/// A live or reconnecting connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    link: watch::Receiver<LinkState>,
    troubles: Arc<Troubles>,
    driver: Arc<Driver>,
}

/// What went wrong while the link was up, counted.
#[derive(Debug, Default)]
struct Troubles {
    /// Messages lost because a subscription was full.
    slow_losses: AtomicU64,
    /// Publications and subscriptions that the broker refused.
    refusals: AtomicU64,
}

/// A client, still without its driver.
struct Made {
    client: Client,
    link: watch::Receiver<LinkState>,
    troubles: Arc<Troubles>,
}

/// Why no connection will come, however long one waits.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credentials file cannot be used.
    #[error("reading the NATS credentials file {path}")]
    Credentials {
        /// The file.
        path: std::path::PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The file of certificate authorities cannot be used.
    #[error("reading the certificate authorities of nats-server {path} (--nats-ca)")]
    Authorities {
        /// The file.
        path: std::path::PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread for the client.
    #[error("starting the client's thread")]
    Thread(#[source] io::Error),
    /// The broker knows us and says no.
    #[error("nats-server refuses our credentials")]
    Refused(#[source] async_nats::ConnectError),
    /// The broker takes smaller messages than we need.
    #[error(transparent)]
    PayloadLimit(#[from] PayloadLimit),
}

/// The broker's `max_payload` is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nats-server takes messages of at most {limit} bytes, {needed} are needed: raise max_payload")]
pub struct PayloadLimit {
    /// What the broker takes, in bytes.
    pub limit: usize,
    /// What we need, in bytes.
    pub needed: usize,
}

/// A subscription could not be made: the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("subscribing to {subject}")]
pub struct SubscribeError {
    subject: String,
    #[source]
    source: async_nats::SubscribeError,
}

/// Connects, and waits for an absent broker for as long as this future is polled. Drop it to give up.
///
/// # Errors
/// [`ConnectError::Credentials`] and [`ConnectError::Refused`], which no waiting mends.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    let driver = Driver::start().map_err(ConnectError::Thread)?;
    let options = options.clone();
    // The client's own tasks run where it is made.
    let made = driver.spawn(async move { try_until_made(&options).await });
    let made = made.await.map_err(|error| ConnectError::Thread(io::Error::other(error)))?;
    let Made { client, link, troubles } = made?;
    Ok(Connection { client, link, troubles, driver: Arc::new(driver) })
}

async fn try_until_made(options: &ConnectOptions) -> Result<Made, ConnectError> {
    let servers: Vec<_> = options.urls.iter().map(|url| url.address()).collect();
    let shown = options.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut attempt = 0;
    let mut said = None;
    loop {
        attempt += 1;
        let (link_sender, link) = watch::channel(LinkState::Down);
        let troubles = Arc::new(Troubles::default());
        let client_options = client_options(options, link_sender, troubles.clone()).await?;
        match client_options.connect(servers.clone()).await {
            Ok(client) => {
                wait_for(&link, LinkState::Up).await;
                return Ok(Made { client, link, troubles });
            }
            Err(error) => match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    return Err(ConnectError::Refused(error));
                }
                kind => {
                    // Said once for each kind of trouble, not at every try.
                    if said != Some(kind) {
                        tracing::warn!(%error, servers = shown, "no nats-server; trying again until it is there");
                        said = Some(kind);
                    }
                }
            },
        }
        tokio::time::sleep(options.backoff.delay(attempt)).await;
    }
}

/// Waits for `state`. A closed connection is down for ever.
async fn wait_for(link: &watch::Receiver<LinkState>, state: LinkState) {
    let gone = link.clone().wait_for(|now| *now == state).await.is_err();
    if gone && state == LinkState::Up {
        std::future::pending::<()>().await;
    }
}

async fn client_options(
    options: &ConnectOptions,
    link: watch::Sender<LinkState>,
    troubles: Arc<Troubles>,
) -> Result<async_nats::ConnectOptions, ConnectError> {
    let mut client = async_nats::ConnectOptions::new();
    if let Some(path) = &options.ca {
        // The library would try a file that is not there again and again.
        let failed = |source| ConnectError::Authorities { path: path.clone(), source };
        tokio::fs::metadata(path).await.map_err(failed)?;
        client = client.add_root_certificates(path.clone());
    }
    let client = match &options.auth {
        Auth::Anonymous => client,
        Auth::Token(token) => client.token(token.reveal().to_owned()),
        Auth::UserPassword { user, password } => {
            client.user_and_password(user.clone(), password.reveal().to_owned())
        }
        Auth::CredentialsFile(path) => {
            let failed = |source| ConnectError::Credentials { path: path.clone(), source };
            let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
            let client = client.credentials(&text).map_err(failed)?;
            // Everybody's own, so that nobody reads another's answers.
            match credentials::inbox_prefix(&text) {
                Some(prefix) => client.custom_inbox_prefix(prefix),
                None => client,
            }
        }
    };
    let backoff = options.backoff;
    // The library also waits before its very first try, which our own loop has already timed.
    let delay = move |attempt| if attempt <= 1 { Duration::ZERO } else { backoff.delay(attempt - 1) };
    Ok(client
        .name(&options.name)
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(options.subscription_capacity.max(1))
        .ping_interval(options.ping_interval)
        .connection_timeout(options.connect_timeout)
        .reconnect_delay_callback(delay)
        .event_callback(move |event| {
            take_event(&event, &link, &troubles);
            std::future::ready(())
        }))
}

fn take_event(event: &Event, link: &watch::Sender<LinkState>, troubles: &Troubles) {
    let to = |state| link.send_if_modified(|now| std::mem::replace(now, state) != state);
    match event {
        Event::Connected => {
            if to(LinkState::Up) {
                tracing::info!("nats link up");
            }
        }
        Event::Disconnected => {
            if to(LinkState::Down) {
                tracing::warn!("nats link down");
            }
        }
        Event::Closed => {
            to(LinkState::Down);
        }
        Event::SlowConsumer(_) => {
            troubles.slow_losses.fetch_add(1, Ordering::Relaxed);
        }
        Event::ServerError(error) if is_refusal(error) => {
            let refusals = troubles.refusals.fetch_add(1, Ordering::Relaxed) + 1;
            // Ever more seldom: whoever may not publish frames tries at their rate.
            if refusals.is_power_of_two() {
                tracing::error!(%error, refusals, "nats-server refuses: our credentials do not allow it");
            }
        }
        Event::ServerError(error) => tracing::warn!(%error, "nats-server"),
        other => tracing::debug!(event = %other, "nats"),
    }
}

/// Whether the broker says that we may not publish or subscribe somewhere.
fn is_refusal(error: &async_nats::ServerError) -> bool {
    // The library has no variant for it.
    error.to_string().to_lowercase().contains("permissions violation")
}

impl Connection {
    /// The link's state, and its changes.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.clone()
    }

    /// Whether the link is up now.
    pub fn is_up(&self) -> bool {
        *self.link.borrow() == LinkState::Up
    }

    /// Waits until the link is up; for ever once the connection is closed.
    pub async fn wait_up(&self) {
        wait_for(&self.link, LinkState::Up).await;
    }

    /// Waits until the link is down or closed.
    pub async fn wait_down(&self) {
        wait_for(&self.link, LinkState::Down).await;
    }

    /// Largest message that the broker takes, in bytes, as it said when the link last came up.
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Whether messages of `needed` bytes can be sent. Ask at start and whenever the link comes up.
    ///
    /// # Errors
    /// [`PayloadLimit`].
    pub fn check_payload(&self, needed: usize) -> Result<(), PayloadLimit> {
        let limit = self.max_payload();
        if needed > limit { Err(PayloadLimit { limit, needed }) } else { Ok(()) }
    }

    /// Messages lost so far because a subscription of this connection was full.
    pub fn slow_consumer_losses(&self) -> u64 {
        self.troubles.slow_losses.load(Ordering::Relaxed)
    }

    /// Publications and subscriptions that the broker has refused so far, for our credentials do not allow them.
    pub fn refusals(&self) -> u64 {
        self.troubles.refusals.load(Ordering::Relaxed)
    }

    /// Publishes a message that is of no use later: it is handed over now or not at all.
    ///
    /// # Errors
    /// [`DropReason::Disconnected`] or [`DropReason::PayloadLimit`].
    pub async fn publish_now(&self, subject: String, payload: Bytes) -> Result<(), DropReason> {
        if !self.is_up() {
            return Err(DropReason::Disconnected);
        }
        self.check_payload(payload.len()).map_err(|_| DropReason::PayloadLimit)?;
        self.client.publish(subject, payload).await.map_err(|_| DropReason::Disconnected)
    }

    /// Waits until all that was published has been written to the link, or the link goes down.
    pub async fn flush(&self) {
        tokio::select! {
            flushed = self.client.flush() => if let Err(error) = flushed {
                tracing::debug!(%error, "flush");
            },
            () = self.wait_down() => {}
        }
    }

    /// Writes out what was published and closes all subscriptions and the link.
    pub async fn close(self) {
        self.flush().await;
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "drain");
        }
    }

    /// Ends `messages` without losing one: see [`Driver::drain`].
    pub(crate) async fn drain(&self, messages: async_nats::Subscriber) -> Option<async_nats::Subscriber> {
        self.driver.drain(self.clone(), messages).await
    }

    /// Waits until the broker has taken note of all that was sent so far, subscriptions too.
    pub(crate) async fn round_trip(&self) {
        let request = async_nats::Request::new().timeout(Some(ROUND_TRIP));
        // Nobody listens there, which the broker says in order, after all that was sent before.
        if let Ok(answer) = self.client.send_request(subject::NOBODY, request).await {
            tracing::debug!(?answer, "somebody answers for nobody");
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn subscribe(&self, subject: String) -> Result<async_nats::Subscriber, SubscribeError> {
        let made = self.client.subscribe(subject.clone()).await;
        made.map_err(|source| SubscribeError { subject, source })
    }

    pub(crate) async fn queue_subscribe(
        &self,
        subject: String,
        group: &str,
    ) -> Result<async_nats::Subscriber, SubscribeError> {
        let made = self.client.queue_subscribe(subject.clone(), group.to_owned()).await;
        made.map_err(|source| SubscribeError { subject, source })
    }
}

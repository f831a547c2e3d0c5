//! Measures the capacity of the way to the broker, on the very connection in use, without filling it.
//!
//! A thread reads the kernel's account of the socket; [`estimate`] finds in it the stretches in which the link was the
//! narrow place. Frames that queue tell by themselves; where none does for a while, a short [`train`] is sent.

pub mod estimate;
mod socket;
pub mod train;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use crate::{
    connection::{Connection, LinkState},
    echo::EchoSender,
    options::ConnectOptions,
    subject,
};
use estimate::{Estimate, Reading, Stretch};
use socket::Socket;
use train::Trains;

/// Between readings while something is outstanding.
const BUSY: Duration = Duration::from_millis(1);
/// Between readings otherwise.
const IDLE: Duration = Duration::from_millis(10);
/// Between looks for the socket, while there is none.
const ABSENT: Duration = Duration::from_millis(200);
/// Between looks whether a train is due.
const TRAIN_LOOK: Duration = Duration::from_millis(100);
/// A measurement that is older is none any more.
const FRESH: Duration = Duration::from_secs(12);
/// Measurements whose median is shown.
const KEPT: usize = 3;

/// What is known of the way to the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Uplink {
    /// Capacity in bits per second, when measured lately.
    pub bps: Option<f64>,
    /// Smallest round trip.
    pub rtt: Option<Duration>,
    /// Bits written to the socket that have not got through.
    pub outstanding_bits: Option<u64>,
}

/// Measures one connection.
pub struct UplinkMeter {
    start: Instant,
    ports: Vec<u16>,
    state: Mutex<State>,
    told: Box<dyn Fn(Estimate) + Send + Sync>,
}

#[derive(Default)]
struct State {
    stretch: Stretch,
    trains: Trains,
    kept: Vec<(Duration, f64)>,
    rtt: Option<Duration>,
    outstanding: Option<u64>,
    retransmitted: u32,
    frozen: bool,
}

impl State {
    fn keep(&mut self, now: Duration, bps: f64) {
        self.kept.push((now, bps));
        let old = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..old);
    }
}

impl UplinkMeter {
    /// A meter of the one connection of this process that `options` makes, reading on a thread of its own until it is
    /// dropped. `told` hears each measurement; it must not block.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        options: &ConnectOptions,
        told: impl Fn(Estimate) + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        let meter = Arc::new(Self {
            start: Instant::now(),
            ports: options.ports(),
            state: Mutex::default(),
            told: Box::new(told),
        });
        let reading = Arc::downgrade(&meter);
        thread::Builder::new().name("uplink".to_owned()).spawn(move || read_on(&reading))?;
        Ok(meter)
    }

    /// What is known now.
    pub fn uplink(&self) -> Uplink {
        let now = self.start.elapsed();
        let state = self.locked();
        let mut fresh: Vec<_> = state
            .kept
            .iter()
            .filter(|(at, _)| now.saturating_sub(*at) < FRESH)
            .map(|(_, bps)| *bps)
            .collect();
        fresh.sort_by(f64::total_cmp);
        Uplink {
            bps: fresh.get(fresh.len() / 2).copied(),
            rtt: state.rtt,
            outstanding_bits: state.outstanding.map(|bytes| bytes * 8),
        }
    }

    /// While `frozen` nothing is measured: what a dead link shows says nothing of the link after it.
    pub fn freeze(&self, frozen: bool) {
        let mut state = self.locked();
        state.frozen = frozen;
        if frozen {
            state.stretch.forget();
            state.trains.forget();
        }
    }

    /// Bits of all trains so far.
    pub fn train_bits(&self) -> u64 {
        self.locked().trains.spent_bits()
    }

    /// Sends trains where they are needed, `may_send` allows, and nothing is outstanding.
    pub async fn send_trains(
        self: Arc<Self>,
        connection: Connection,
        echo: EchoSender,
        may_send: impl Fn() -> bool,
    ) {
        let mut ticks = tokio::time::interval(TRAIN_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(bytes) = self.due(&connection, may_send()) else { continue };
            let bytes = bytes.min(connection.max_payload());
            let train = Bytes::from(vec![0; bytes]);
            if let Err(reason) = connection.publish_now(subject::NOBODY.to_owned(), train).await {
                tracing::debug!(%reason, "train");
                continue;
            }
            // What comes back brings the last acknowledgement at once.
            if let Err(reason) = echo.send(Bytes::new()).await {
                tracing::debug!(%reason, "train");
            }
        }
    }

    fn due(&self, connection: &Connection, may_send: bool) -> Option<usize> {
        if *connection.link().borrow() != LinkState::Up || !may_send {
            return None;
        }
        let mut state = self.locked();
        if state.frozen || state.outstanding != Some(0) {
            return None;
        }
        state.trains.due(self.start.elapsed())
    }

    /// Takes one reading; yields how long to wait for the next.
    fn read(&self, socket: &Socket) -> io::Result<Duration> {
        let account = socket.account()?;
        let now = self.start.elapsed();
        let mut state = self.locked();
        state.rtt = account.min_rtt;
        state.outstanding = Some(account.outstanding);
        if std::mem::replace(&mut state.retransmitted, account.retransmitted) != account.retransmitted {
            // A hole in the stretch: what comes after it comes at once.
            state.stretch.forget();
        }
        let reading = Reading { at: now, acked: account.acked, outstanding: account.outstanding };
        let told = if state.frozen { None } else { state.stretch.take(reading) };
        if let Some(Estimate { bps, span }) = told {
            state.trains.told(now, bps, span);
            state.keep(now, bps);
        } else if account.outstanding == 0
            && let Some(at_least) = state.trains.drained(now)
        {
            state.keep(now, at_least);
        }
        drop(state);
        if let Some(estimate) = told {
            tracing::debug!(bps = estimate.bps as u64, span = ?estimate.span, "uplink");
            (self.told)(estimate);
        }
        Ok(if account.outstanding > 0 { BUSY } else { IDLE })
    }

    fn lost(&self) {
        let mut state = self.locked();
        (state.rtt, state.outstanding) = (None, None);
        state.stretch.forget();
        state.trains.forget();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it torn.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the meter is gone. A socket without news of its life is looked for again.
fn read_on(meter: &Weak<UplinkMeter>) {
    let mut socket: Option<Socket> = None;
    let mut looked = Instant::now();
    while let Some(meter) = meter.upgrade() {
        let stale = looked.elapsed() > Duration::from_secs(1);
        if socket.is_none() || stale {
            // A reconnected client has another socket.
            looked = Instant::now();
            match Socket::find(&meter.ports) {
                Ok(found) => {
                    if let Some(found) = &found {
                        found.retry_soon();
                    }
                    socket = found;
                }
                Err(error) => tracing::debug!(%error, "looking for the socket"),
            }
        }
        let wait = match &socket {
            None => {
                meter.lost();
                ABSENT
            }
            Some(open) => meter.read(open).unwrap_or_else(|error| {
                tracing::debug!(%error, "reading the socket's account");
                meter.lost();
                socket = None;
                ABSENT
            }),
        };
        drop(meter);
        thread::sleep(wait);
    }
}

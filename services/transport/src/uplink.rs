//! Measures the capacity of the way to the broker, on the very connection in use, without filling it.
//!
//! A thread reads the kernel's account of the socket; [`estimate`] finds in it the stretches in which the link was the
//! narrow place. Frames that queue tell by themselves; where none does for a while, a short [`train`] is sent.

pub mod estimate;
mod socket;
pub mod train;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread::{self, Thread},
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
use socket::{Account, Socket};
use train::Trains;

/// Between readings while something is outstanding.
const BUSY: Duration = Duration::from_millis(1);
/// Between readings otherwise.
const IDLE: Duration = Duration::from_millis(10);
/// Between looks for the socket, while there is none.
const ABSENT: Duration = Duration::from_millis(200);
/// Between looks whether the client has another socket by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between looks whether a train may leave. Finer than frames come: a look at each tenth of a second found a frame on its
/// way each time, where ten of them came in a second, and a link that had widened was not noticed for minutes.
const TRAIN_LOOK: Duration = Duration::from_millis(10);
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

/// How far the bytes have come that were written to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which connection; bytes count from its beginning.
    pub connection: u64,
    /// Bytes given to the system.
    pub written: u64,
    /// Those of them that the other host has acknowledged.
    pub acked: u64,
}

impl Progress {
    /// Whether all that had been written by `then` is through, or went down with its connection: either way nothing
    /// of it waits for the link.
    pub fn is_past(&self, then: &Self) -> bool {
        self.connection != then.connection || self.acked >= then.written || self.acked == self.written
    }
}

/// Measures one connection.
pub struct UplinkMeter {
    start: Instant,
    ports: Vec<u16>,
    state: Mutex<State>,
    told: Box<dyn Fn(Estimate) + Send + Sync>,
    reader: OnceLock<Thread>,
}

#[derive(Default)]
struct State {
    socket: Option<Socket>,
    stretch: Stretch,
    trains: Trains,
    kept: Vec<(Duration, f64)>,
    rtt: Option<Duration>,
    outstanding: Option<u64>,
    retransmitted: u32,
    /// Bytes acknowledged at the last reading, and when the last train is through.
    acked: u64,
    train_end: u64,
    /// Bytes acknowledged when the last hole is filled.
    hole: Option<u64>,
    frozen: bool,
}

impl State {
    fn keep(&mut self, now: Duration, bps: f64) {
        self.kept.push((now, bps));
        let old = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..old);
    }

    /// Takes what frames or a train told.
    fn learn(&mut self, now: Duration, Estimate { bps, span }: Estimate) {
        self.trains.told(now, bps, span);
        self.keep(now, bps);
    }

    /// What was known of the connection is not so of the next one.
    fn lose(&mut self) {
        (self.socket, self.rtt, self.outstanding, self.hole) = (None, None, None, None);
        (self.acked, self.train_end) = (0, 0);
        self.stretch.forget();
        self.trains.forget();
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
            reader: OnceLock::new(),
        });
        let reading = Arc::downgrade(&meter);
        let reader = thread::Builder::new().name("uplink".to_owned()).spawn(move || read_on(&reading))?;
        // Nobody else has the meter yet to set it.
        let _ = meter.reader.set(reader.thread().clone());
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

    /// How far what was written has come, as the kernel says now; none where it is not known which socket it was
    /// written to.
    pub fn progress(&self) -> Option<Progress> {
        let state = self.locked();
        let socket = state.socket.as_ref()?;
        let Account { acked, outstanding, .. } = socket.account().ok()?;
        Some(Progress { connection: socket.number(), written: acked + outstanding, acked })
    }

    /// Looks which socket the client has now. To be called when its link has come up or gone; a look now and then is
    /// made anyway.
    pub fn look(&self) {
        let mut state = self.locked();
        let found = Socket::find(&self.ports, state.socket.as_ref()).unwrap_or_else(|error| {
            tracing::debug!(%error, "looking for the socket");
            None
        });
        let number = |socket: &Option<Socket>| socket.as_ref().map(Socket::number);
        if number(&found) != number(&state.socket) {
            state.lose();
            if let Some(found) = &found {
                found.retry_soon();
            }
            state.socket = found;
        }
    }

    /// While `frozen` nothing is measured: what a dead link shows says nothing of the link after it. What it showed
    /// before counts, for a link that is only too thin for its frames shows nothing else; and it counts alone, for that
    /// the frames got stuck says the same.
    pub fn freeze(&self, frozen: bool) {
        let mut state = self.locked();
        if frozen && !state.frozen {
            let now = self.start.elapsed();
            let rtt = state.rtt.unwrap_or_default();
            let waiting = state.train_end.saturating_sub(state.acked);
            let so_far = state.stretch.end(rtt).or_else(|| state.trains.so_far(now, rtt, waiting));
            if let Some(estimate) = so_far {
                tracing::debug!(bps = estimate.bps as u64, span = ?estimate.span, "uplink, as the guard leaves it");
                state.kept.clear();
                state.learn(now, estimate);
            }
            state.trains.forget();
        }
        state.frozen = frozen;
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
            connection.flush().await;
            // Read at once: what a shaper lets pass in no time would be gone before the next reading.
            if let Some(reader) = self.reader.get() {
                reader.unpark();
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
        let bytes = state.trains.due(self.start.elapsed())?;
        state.train_end = state.acked + bytes as u64;
        Some(bytes)
    }

    /// Takes one reading; yields how long to wait for the next.
    fn read(&self) -> Duration {
        let mut state = self.locked();
        let Some(socket) = &state.socket else { return ABSENT };
        let account = match socket.account() {
            Ok(account) => account,
            Err(error) => {
                tracing::debug!(%error, "reading the socket's account");
                state.lose();
                return ABSENT;
            }
        };
        let now = self.start.elapsed();
        state.rtt = account.min_rtt;
        (state.outstanding, state.acked) = (Some(account.outstanding), account.acked);
        if std::mem::replace(&mut state.retransmitted, account.retransmitted) != account.retransmitted {
            // What comes after it comes with a pause, or at once.
            state.stretch.forget();
        }
        // What came behind a hole is acknowledged at once when it is filled, which tells no rate.
        if account.recovering {
            state.hole = Some(account.acked + account.outstanding);
            state.trains.lost();
        }
        state.hole = state.hole.filter(|end| account.acked < *end);
        let reading = Reading { at: now, acked: account.acked, outstanding: account.outstanding };
        let rtt = account.min_rtt.unwrap_or_default();
        let told = if state.frozen || state.hole.is_some() { None } else { state.stretch.take(reading, rtt) };
        if let Some(estimate) = told {
            state.learn(now, estimate);
        } else if account.outstanding == 0
            // Before a train is written nothing is outstanding either.
            && account.acked >= state.train_end
            && let Some(at_least) = state.trains.drained(now, rtt)
        {
            tracing::debug!(bps = at_least as u64, "uplink, at least");
            state.keep(now, at_least);
        }
        drop(state);
        if let Some(estimate) = told {
            tracing::debug!(bps = estimate.bps as u64, span = ?estimate.span, "uplink");
            (self.told)(estimate);
        }
        if account.outstanding > 0 { BUSY } else { IDLE }
    }

    fn has_socket(&self) -> bool {
        self.locked().socket.is_some()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it torn.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the meter is gone.
fn read_on(meter: &Weak<UplinkMeter>) {
    let mut looked = Instant::now();
    while let Some(meter) = meter.upgrade() {
        if !meter.has_socket() || looked.elapsed() > LOOK_AGAIN {
            meter.look();
            looked = Instant::now();
        }
        let wait = meter.read();
        drop(meter);
        thread::park_timeout(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_past_when_acknowledged_or_gone_with_its_connection() {
        let at = |connection, written, acked| Progress { connection, written, acked };
        let then = at(1, 500, 100);
        assert!(!at(1, 500, 100).is_past(&then));
        assert!(!at(1, 900, 499).is_past(&then), "what was written later does not matter");
        assert!(at(1, 900, 500).is_past(&then));
        assert!(at(2, 40, 0).is_past(&then), "another connection");
        assert!(at(1, 499, 499).is_past(&then), "nothing waits at all");
    }
}

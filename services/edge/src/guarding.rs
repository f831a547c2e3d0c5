//! Lets the guard look at the queue and the link, and sends its probes.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use autotiler_core::guard::{GuardMove, PROBE_BITS};
use autotiler_transport::{Connection, EchoSender, Echoes, UplinkMeter};
use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use crate::{frame::Stream, helm::Helm, ledger::Ledger};

/// How often the guard looks: what it adds to its queue age.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Probes under way beyond which none is added: on a dead link they would only wait in line.
const PROBES_UNDER_WAY: u32 = 3;

/// The guard's eyes.
#[derive(Clone)]
pub struct Guarding {
    /// What it moves.
    pub helm: Arc<Helm>,
    /// What it looks at.
    pub ledger: Arc<Ledger>,
    /// What must not measure meanwhile.
    pub meter: Arc<UplinkMeter>,
    /// The device's clock.
    pub stream: Stream,
    /// The link, once there is one.
    pub link: Arc<OnceLock<(Connection, EchoSender)>>,
    under_way: Arc<AtomicU32>,
}

impl Guarding {
    /// Eyes for `helm`.
    pub fn new(helm: Arc<Helm>, ledger: Arc<Ledger>, meter: Arc<UplinkMeter>, stream: Stream) -> Self {
        Self { helm, ledger, meter, stream, link: Arc::default(), under_way: Arc::default() }
    }

    /// Looks on and on.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Without a broker nothing gets through either, whether frames wait or not.
        let mut down_since = Some(Instant::now());
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let up = self.link.get().filter(|(connection, _)| connection.is_up());
            match up {
                Some(_) => down_since = None,
                None => {
                    down_since.get_or_insert(now);
                    self.under_way.store(0, Ordering::Relaxed);
                }
            }
            let down_for = down_since.map(|since| now.saturating_duration_since(since));
            if let Some(moved) = self.helm.observe(self.clock(now), self.ledger.queue_age(now).max(down_for))
            {
                tracing::info!(?moved, "guard");
                self.meter.freeze(moved == GuardMove::Leave);
            }
            if let Some((_, echo)) = up
                && self.helm.probe_due(self.clock(now))
            {
                self.probe(echo, now).await;
            }
        }
    }

    /// Takes the echoes of probes.
    pub async fn listen(self, mut echoes: Echoes) {
        while let Some(echo) = echoes.next().await {
            let Some(sent) = echo.first_chunk::<8>() else { continue };
            self.under_way.store(0, Ordering::Relaxed);
            let sent = Duration::from_micros(u64::from_be_bytes(*sent));
            self.helm.probe_returned(sent, self.clock(Instant::now()));
        }
    }

    async fn probe(&self, echo: &EchoSender, now: Instant) {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= PROBES_UNDER_WAY {
            return;
        }
        let mut payload = vec![0; PROBE_BITS as usize / 8];
        payload[..8].copy_from_slice(&self.stream.clock_us(now).to_be_bytes());
        if let Err(reason) = echo.send(Bytes::from(payload)).await {
            tracing::debug!(%reason, "probe");
        }
    }

    fn clock(&self, at: Instant) -> Duration {
        Duration::from_micros(self.stream.clock_us(at))
    }
}

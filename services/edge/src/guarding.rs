//! Lets the guard look at the link and the broker, and sends its probes.
//!
//! Three things make a frame late, and two of them are left. The link: the kernel says that written bytes are not
//! acknowledged. The broker, or a proxy before it that acknowledges in its name: an echo does not come back. The
//! decoder: neither, and a frame that it never answers is lost by reason.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use autotiler_core::guard::{GuardMove, PROBE_BITS, PROBE_EVERY};
use autotiler_transport::{Connection, EchoSender, Echoes, UplinkMeter};
use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use crate::{
    frame::{Course, Stream},
    helm::Helm,
    ledger::Ledger,
};

/// How often the guard looks while no frame begins.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Probes under way beyond which none is added: on a dead link they would only wait in line.
const PROBES_UNDER_WAY: u32 = 3;
/// A frame that is unanswered for longer makes it ask whether the broker is there.
const ASK_AFTER: Duration = Duration::from_millis(100);
/// Bytes of the time that each echo carries.
const STAMP: usize = 8;

/// The guard's eyes.
#[derive(Clone)]
pub struct Guarding {
    /// What it moves.
    pub helm: Arc<Helm>,
    /// What it looks at.
    pub ledger: Arc<Ledger>,
    /// Knows what got through, and must not measure meanwhile.
    pub meter: Arc<UplinkMeter>,
    /// The device's clock.
    pub stream: Stream,
    /// The link, once there is one.
    pub link: Arc<OnceLock<(Connection, EchoSender)>>,
    /// Without a broker nothing gets through either, whether frames wait or not.
    down_since: Arc<Mutex<Option<Instant>>>,
    probes: Arc<AtomicU32>,
    question: Arc<Question>,
}

/// The newest question to the broker, on the device's clock in microseconds.
#[derive(Default)]
struct Question {
    asked_us: AtomicU64,
    /// Sending time of the newest echo that came back.
    answered_us: AtomicU64,
}

impl Guarding {
    /// Eyes for `helm`.
    pub fn new(helm: Arc<Helm>, ledger: Arc<Ledger>, meter: Arc<UplinkMeter>, stream: Stream) -> Self {
        let down_since = Arc::new(Mutex::new(Some(Instant::now())));
        let (link, probes, question) = Default::default();
        Self { helm, ledger, meter, stream, link, down_since, probes, question }
    }

    /// Looks on and on.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            self.look(now);
            if let Some(echo) = self.link_up() {
                self.send_due(echo, now).await;
            }
        }
    }

    /// What a frame has to do that begins at `now`. The guard looks once more: no frame begins on a link that can be
    /// known to be dead.
    pub fn course(&self, now: Instant) -> Arc<Course> {
        self.look(now);
        self.helm.course()
    }

    fn look(&self, now: Instant) {
        let held_up = self.ledger.queue_age(now, self.meter.progress());
        let down_for = self.down_for(now);
        let unheard = self.question.open_for(self.clock(now));
        if let Some(moved) = self.helm.observe(self.clock(now), held_up.max(down_for).max(unheard)) {
            tracing::info!(?moved, ?held_up, ?down_for, ?unheard, "guard");
            self.meter.freeze(moved == GuardMove::Leave);
        }
    }

    /// How long the broker has been gone at `now`.
    fn down_for(&self, now: Instant) -> Option<Duration> {
        // An instant cannot be torn.
        let mut since = self.down_since.lock().unwrap_or_else(PoisonError::into_inner);
        if self.link_up().is_some() {
            *since = None;
            return None;
        }
        self.probes.store(0, Ordering::Relaxed);
        self.question.forget();
        Some(now.saturating_duration_since(*since.get_or_insert(now)))
    }

    fn link_up(&self) -> Option<&EchoSender> {
        let (connection, echo) = self.link.get()?;
        connection.is_up().then_some(echo)
    }

    /// Takes the echoes of probes and questions.
    pub async fn listen(self, mut echoes: Echoes) {
        while let Some(echo) = echoes.next().await {
            let Some(sent) = echo.first_chunk::<STAMP>() else { continue };
            let sent = u64::from_be_bytes(*sent);
            self.probes.store(0, Ordering::Relaxed);
            self.question.answered_us.fetch_max(sent, Ordering::Relaxed);
            self.helm.probe_returned(Duration::from_micros(sent), self.clock(Instant::now()));
        }
    }

    /// Sends a probe or a question, where one is due.
    async fn send_due(&self, echo: &EchoSender, now: Instant) {
        let clock = self.clock(now);
        let bytes = if self.helm.probe_due(clock) {
            if self.probes.fetch_add(1, Ordering::Relaxed) >= PROBES_UNDER_WAY {
                return;
            }
            PROBE_BITS as usize / 8
        } else if self.helm.is_watched()
            && self.ledger.answer_age(now).is_some_and(|age| age > ASK_AFTER)
            && self.question.ask(clock)
        {
            STAMP
        } else {
            return;
        };
        let mut payload = vec![0; bytes];
        payload[..STAMP].copy_from_slice(&self.stream.clock_us(now).to_be_bytes());
        if let Err(reason) = echo.send(Bytes::from(payload)).await {
            tracing::debug!(%reason, "echo");
        }
    }

    fn clock(&self, at: Instant) -> Duration {
        Duration::from_micros(self.stream.clock_us(at))
    }
}

impl Question {
    /// Whether to ask at `now`: not while a question is open, and not again at once.
    fn ask(&self, now: Duration) -> bool {
        let asked = self.asked_us.load(Ordering::Relaxed);
        let due = self.open_for(now).is_none() && now >= Duration::from_micros(asked) + PROBE_EVERY;
        if due {
            self.asked_us.store(micros(now), Ordering::Relaxed);
        }
        due
    }

    /// How long at `now` the newest question has been without an answer.
    fn open_for(&self, now: Duration) -> Option<Duration> {
        let asked = self.asked_us.load(Ordering::Relaxed);
        let open = asked > self.answered_us.load(Ordering::Relaxed);
        open.then(|| now.saturating_sub(Duration::from_micros(asked)))
    }

    /// No answer is waited for any more: the link on which it was to come is gone.
    fn forget(&self) {
        self.answered_us.fetch_max(self.asked_us.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_open_at_a_time_and_any_later_echo_answers_it() {
        let ms = Duration::from_millis;
        let question = Question::default();
        assert!(question.ask(ms(1_000)) && !question.ask(ms(1_500)));
        assert_eq!(question.open_for(ms(1_300)), Some(ms(300)));
        question.answered_us.fetch_max(999_999, Ordering::Relaxed);
        assert_eq!(question.open_for(ms(1_300)), Some(ms(300)), "an echo of before");
        question.answered_us.fetch_max(1_000_000, Ordering::Relaxed);
        assert_eq!(question.open_for(ms(1_300)), None);
        assert!(!question.ask(ms(1_199)) && question.ask(ms(1_200)));
        question.forget();
        assert_eq!(question.open_for(ms(9_000)), None);
    }
}

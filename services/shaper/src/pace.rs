//! The pace of a relay: one packet after the other, as the rate allows.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::rate::Rate;

/// Time of an idle link that is made up for: late wake-ups of this machine must not cost the link its rate.
const CREDIT: Duration = Duration::from_millis(10);
/// Longest wait before the rate is looked at again.
const LOOK: Duration = Duration::from_millis(50);

/// A link that several connections share.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Mutex<Rate>,
    changed: Condvar,
    /// Until when the link was taken.
    taken: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate: Mutex::new(rate), changed: Condvar::new(), taken: Mutex::new(Instant::now()) }
    }

    pub(crate) fn set(&self, rate: Rate) {
        *locked(&self.rate) = rate;
        self.changed.notify_all();
    }

    /// Waits until so many bytes are through.
    pub(crate) fn pass(&self, bytes: usize) {
        let mut taken = locked(&self.taken);
        let now = Instant::now();
        let mut at = taken.max(now.checked_sub(CREDIT).unwrap_or(now));
        let mut left_bits = bytes as f64 * 8.0;
        let mut rate = locked(&self.rate);
        while let Some(bps) = rate.bps() {
            let carried_s = at.elapsed().as_secs_f64();
            if bps * carried_s >= left_bits {
                at += Duration::from_secs_f64(left_bits / bps.max(1.0));
                break;
            }
            left_bits -= bps * carried_s;
            at += Duration::from_secs_f64(carried_s);
            let wait = if bps > 0.0 { Duration::from_secs_f64((left_bits / bps).min(1.0)) } else { LOOK };
            let woken = self.changed.wait_timeout(rate, wait.min(LOOK));
            rate = woken.map_or_else(|torn| torn.into_inner().0, |(rate, _)| rate);
        }
        *taken = at;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave them torn.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

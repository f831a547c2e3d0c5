//! The device's own guard: leaves a link that no longer carries, in hundreds of milliseconds, and comes back.
//!
//! It knows only times: how old the oldest frame is that has not got through, and whether probes return. Where to
//! go meanwhile is the policy's word; a stuck frame is not cancelled. Rules and figures are those that did best on
//! recorded uplinks: no dwell, one good probe is enough, waiting longer loses.

use std::time::Duration;

/// How often a probe is sent while guarding.
pub const PROBE_EVERY: Duration = Duration::from_millis(200);
/// Size of a probe in bits.
pub const PROBE_BITS: u32 = 8_000;

/// When to leave and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSettings {
    /// A frame that has not got through for longer means that the link does not carry.
    pub queue_age: Duration,
    /// Shortest stay at the safe point.
    pub hold: Duration,
}

/// What the guard does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardMove {
    /// From the next frame on the safe point is in force.
    Leave,
    /// From the next frame on the assignment is in force again.
    Return,
}

/// The guard of one device. Times are since any fixed moment, on one clock.
#[derive(Debug, Clone)]
pub struct Guard {
    settings: GuardSettings,
    guarding: Option<Guarding>,
    moves: u64,
}

#[derive(Debug, Clone, Copy)]
struct Guarding {
    since: Duration,
    next_probe: Duration,
    answered: bool,
}

impl Guard {
    /// A guard that follows the assignment.
    pub fn new(settings: GuardSettings) -> Self {
        Self { settings, guarding: None, moves: 0 }
    }

    /// When it leaves and when it comes back.
    pub fn settings(&self) -> GuardSettings {
        self.settings
    }

    /// Takes other settings; where it is it stays.
    pub fn set(&mut self, settings: GuardSettings) {
        self.settings = settings;
    }

    /// Looks at `now`: `queue_age` is the age of the oldest frame that has not got through, if there is one.
    pub fn observe(&mut self, now: Duration, queue_age: Option<Duration>) -> Option<GuardMove> {
        match self.guarding {
            None if queue_age.is_some_and(|age| age > self.settings.queue_age) => {
                self.guarding = Some(Guarding { since: now, next_probe: now, answered: false });
                self.moves += 1;
                Some(GuardMove::Leave)
            }
            Some(Guarding { since, answered: true, .. })
                if queue_age.is_none() && now.saturating_sub(since) >= self.settings.hold =>
            {
                self.guarding = None;
                self.moves += 1;
                Some(GuardMove::Return)
            }
            _ => None,
        }
    }

    /// Whether to send a probe at `now`; the caller then does.
    pub fn probe_due(&mut self, now: Duration) -> bool {
        match &mut self.guarding {
            Some(guarding) if now >= guarding.next_probe => {
                guarding.next_probe = now + PROBE_EVERY;
                true
            }
            _ => false,
        }
    }

    /// A probe that was sent at `sent` has come back at `now`. A slow one shows no link that would carry frames.
    pub fn probe_returned(&mut self, sent: Duration, now: Duration) {
        if let Some(guarding) = &mut self.guarding {
            let good = now.saturating_sub(sent) <= self.settings.queue_age;
            guarding.answered |= good && sent >= guarding.since;
        }
    }

    /// How long it has been at the safe point; none while it follows the assignment.
    pub fn guarding_for(&self, now: Duration) -> Option<Duration> {
        self.guarding.map(|guarding| now.saturating_sub(guarding.since))
    }

    /// Moves made, in both directions.
    pub fn moves(&self) -> u64 {
        self.moves
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: GuardSettings =
        GuardSettings { queue_age: Duration::from_millis(300), hold: Duration::from_millis(300) };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn leaves_when_a_frame_is_stuck_and_returns_on_one_good_probe_and_an_empty_queue() {
        let mut guard = Guard::new(SETTINGS);
        assert_eq!(guard.observe(ms(0), Some(ms(300))), None);
        assert_eq!(guard.observe(ms(10), Some(ms(301))), Some(GuardMove::Leave));
        assert!(guard.probe_due(ms(10)) && !guard.probe_due(ms(209)) && guard.probe_due(ms(210)));
        guard.probe_returned(ms(10), ms(100));
        assert_eq!(guard.observe(ms(309), None), None, "the hold is not over");
        assert_eq!(guard.observe(ms(310), Some(ms(900))), None, "a frame is still stuck");
        assert_eq!(guard.observe(ms(311), None), Some(GuardMove::Return));
        assert_eq!((guard.guarding_for(ms(312)), guard.moves()), (None, 2));
    }

    #[test]
    fn slow_and_earlier_probes_do_not_count() {
        let mut guard = Guard::new(SETTINGS);
        guard.observe(ms(1_000), Some(ms(400)));
        guard.probe_returned(ms(900), ms(1_010));
        guard.probe_returned(ms(1_000), ms(1_400));
        assert_eq!(guard.observe(ms(2_000), None), None);
        assert_eq!(guard.guarding_for(ms(2_000)), Some(ms(1_000)));
    }

    proptest! {
        #[test]
        fn moves_alternate_and_none_is_shorter_than_the_hold(
            ages in proptest::collection::vec(proptest::option::of(0_u64..1_000), 1..200),
        ) {
            let mut guard = Guard::new(SETTINGS);
            let (mut guarding, mut left) = (false, ms(0));
            for (step, age) in ages.into_iter().enumerate() {
                let now = ms(50 * step as u64);
                if guard.probe_due(now) {
                    guard.probe_returned(now, now + ms(20));
                }
                match guard.observe(now, age.map(ms)) {
                    Some(GuardMove::Leave) => {
                        prop_assert!(!guarding && age > Some(300));
                        (guarding, left) = (true, now);
                    }
                    Some(GuardMove::Return) => {
                        prop_assert!(guarding && age.is_none() && now - left >= SETTINGS.hold);
                        guarding = false;
                    }
                    None => {}
                }
                prop_assert_eq!(guard.guarding_for(now).is_some(), guarding);
            }
        }
    }
}

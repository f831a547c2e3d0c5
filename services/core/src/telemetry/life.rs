//! Whether a word of a device is newer than the last one, was held up on its way, or begins a new life.
//!
//! A device that gives up a dead connection for a new one speaks on that; what the dead one still held comes after, and
//! says what was. Its uptime goes back, as it does when a device starts anew, but it began no later than it had.

use std::time::Duration;

/// The life of a device, from its start to its next one, as far as its words tell. Times are a listener's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it began, in milliseconds; before the listener's start below 0.
    began_ms: i64,
    /// Its uptime in the newest word.
    uptime_ms: i64,
}

/// What a word is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The newest of the same life.
    Newer,
    /// An old one, which says nothing about now.
    HeldUp,
    /// The first of a new life.
    Anew,
}

impl Life {
    /// The life of a device that was not heard before, by a word that came at `now`.
    pub fn first(now: Duration, uptime_ms: u64) -> Self {
        let [now_ms, uptime_ms] = [now.as_millis(), uptime_ms.into()].map(millis);
        Self { began_ms: now_ms - uptime_ms, uptime_ms }
    }

    /// Takes a word that came at `now`.
    pub fn hear(&mut self, now: Duration, uptime_ms: u64) -> Word {
        let said = Self::first(now, uptime_ms);
        if said.uptime_ms >= self.uptime_ms {
            // Each word comes a little late: the one that did least knows best when the device began.
            *self = Self { began_ms: self.began_ms.min(said.began_ms), ..said };
            Word::Newer
        } else if said.began_ms >= self.began_ms + self.uptime_ms {
            *self = said;
            Word::Anew
        } else {
            // Also the second word of a life that was held up for longer than the device had lived: few, and soon over.
            Word::HeldUp
        }
    }
}

/// Far beyond any uptime, and sums of two of them still fit.
fn millis(time: u128) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A life, and what each word is that comes at a time in milliseconds with an uptime.
    fn hear(words: &[(u64, u64)]) -> Vec<Word> {
        let (first, rest) = words.split_first().unwrap();
        let mut life = Life::first(Duration::from_millis(first.0), first.1);
        rest.iter().map(|(at, uptime)| life.hear(Duration::from_millis(*at), *uptime)).collect()
    }

    #[test]
    fn a_word_that_a_dead_link_held_up_is_no_new_life() {
        // Said at 61 s of uptime, and heard after the one that went another way.
        let words = [(100_000, 60_000), (105_010, 65_000), (105_020, 61_000), (106_000, 66_000)];
        assert_eq!(hear(&words), [Word::Newer, Word::HeldUp, Word::Newer]);
    }

    #[test]
    fn a_device_that_started_anew_is_heard_at_once() {
        // It was gone for 300 ms, and its last word before was itself half a second late.
        let words = [(100_050, 60_000), (101_550, 61_000), (102_350, 1_000), (103_350, 2_000)];
        assert_eq!(hear(&words), [Word::Newer, Word::Anew, Word::Newer]);
    }

    #[test]
    fn one_that_began_before_the_listener_is_no_other_and_no_uptime_is_too_long() {
        assert_eq!(hear(&[(5, 9_000_000), (10, 8_999_000), (1_005, 0)]), [Word::HeldUp, Word::Anew]);
        assert_eq!(hear(&[(5, u64::MAX), (10, 0), (11, u64::MAX)]), [Word::Anew, Word::Newer]);
    }
}

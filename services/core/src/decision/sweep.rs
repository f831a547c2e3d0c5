//! How many devices of one policy may switch in one sweep.
//!
//! Two hundred cameras on one uplink see its drop in the same second. If all of them moved at once, they would meet
//! again at the same point, and at the same decoders.

use super::Proposal;

/// Which of `proposals` may go ahead, of a policy with `devices` devices: those that gain most, up to `percent` of the
/// devices, and always one. Forced ones go ahead and count.
pub fn admit(proposals: &[Proposal], devices: usize, percent: u8) -> Vec<bool> {
    let most = (devices * usize::from(percent)).div_ceil(100).max(1);
    let mut order: Vec<usize> = (0..proposals.len()).collect();
    // Stable: equal gains go in the order given, which the caller keeps the same from sweep to sweep.
    order.sort_by_key(|&at| proposals.get(at).map(|one| (!one.forced, u16::MAX - one.gain_permille)));
    let mut admitted = vec![false; proposals.len()];
    for (rank, at) in order.into_iter().enumerate() {
        if let (Some(one), Some(slot)) = (proposals.get(at), admitted.get_mut(at)) {
            *slot = one.forced || rank < most;
        }
    }
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OperatingPoint, decision::Direction};

    fn gain(gain_permille: u16, forced: bool) -> Proposal {
        Proposal { to: OperatingPoint::device_only(), direction: Direction::Degrade, gain_permille, forced }
    }

    #[test]
    fn those_that_gain_most_go_first() {
        let gains = [10, 400, 50, 400].map(|permille| gain(permille, false));
        assert_eq!(admit(&gains, 8, 25), [false, true, false, true]);
        assert_eq!(admit(&gains, 1, 1), [false, true, false, false], "one may always");
    }

    #[test]
    fn forced_ones_always_go_and_count() {
        let gains = [gain(1000, true), gain(500, false), gain(1000, true)];
        assert_eq!(admit(&gains, 4, 25), [true, false, true]);
    }
}

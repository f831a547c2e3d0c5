//! The per-frame oracle: each frame alone on the link, with the future known. No strategy can be better.

use crate::{way::Way, world::World};

/// When the best way of each frame would bring its result, in seconds, if nothing else were on device and link.
pub fn arrivals_s(world: &World<'_>, ways: &[Way]) -> Vec<f64> {
    let alone = |frame: usize, way: &Way| {
        let ready = world.captured_s(frame) + way.device_s;
        match way.bits {
            None => ready,
            Some(bits) => world.trace.finish(ready, world.wire_bits(frame, bits)) + world.after_link_s(way),
        }
    };
    let eligible: Vec<&Way> = ways.iter().filter(|way| way.eligible).collect();
    let best = |frame| eligible.iter().map(|way| alone(frame, way)).fold(f64::INFINITY, f64::min);
    (0..world.frames()).map(best).collect()
}

/// The least of each value and those after it.
pub(crate) fn suffix_min(values: &[f64]) -> Vec<f64> {
    let mut least = f64::INFINITY;
    let mut out: Vec<f64> = values
        .iter()
        .rev()
        .map(|value| {
            least = least.min(*value);
            least
        })
        .collect();
    out.reverse();
    out
}

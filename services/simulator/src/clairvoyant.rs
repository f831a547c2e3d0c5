//! A clairvoyant with the real device and the real queue: what could be had at best by whoever knows the future.
//!
//! A beam search over schedules: for each frame, skip it or give it one of the ways. Two schedules are compared by
//! what they have cost and the least that what is pending can still cost; one that is no better in cost, device and
//! link than another is dropped. The beam is finite, so the result is a bound that was reached, not the least one.

use crate::{
    oracle,
    way::Way,
    world::{CAP_S, World},
};

/// Schedules that are kept from frame to frame.
const BEAM: usize = 20;
/// No frame.
const NONE: u32 = u32::MAX;

/// A schedule up to some frame.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    /// Settled cost in seconds.
    cost: f64,
    /// Settled cost and the least that can come of what is pending.
    bound: f64,
    link_free: f64,
    device_free: f64,
    /// Frames before this one are settled.
    settled: usize,
    /// The last delivery, as an index into the log.
    delivery: u32,
}

/// A delivery and the one before it.
#[derive(Debug, Clone, Copy)]
struct Delivery {
    frame: u32,
    arrival: f64,
    before: u32,
}

/// When the results of the best schedule found arrive, in seconds; infinite for frames that it skips.
pub fn arrivals_s(world: &World<'_>, ways: &[Way]) -> Vec<f64> {
    let eligible: Vec<&Way> = ways.iter().filter(|way| way.eligible).collect();
    let soonest = oracle::suffix_min(&oracle::arrivals_s(world, ways));
    let mut log: Vec<Delivery> = Vec::new();
    let nothing =
        Schedule { cost: 0.0, bound: 0.0, link_free: 0.0, device_free: 0.0, settled: 0, delivery: NONE };
    let (mut beam, mut next) = (vec![nothing], Vec::new());
    for frame in 0..world.frames() {
        next.clear();
        let later = soonest.get(frame + 1).copied().unwrap_or(f64::INFINITY);
        for one in &beam {
            next.push(Schedule { bound: one.cost + pending(world, one.settled, frame, later), ..*one });
            let begin = world.captured_s(frame).max(one.device_free);
            // By then a newer picture has taken its place.
            if begin >= world.captured_s(frame + 1) {
                continue;
            }
            for way in &eligible {
                next.extend(deliver(world, one, frame, begin, way, &mut log));
            }
        }
        prune(&mut next);
        std::mem::swap(&mut beam, &mut next);
    }
    let mut arrivals = vec![f64::INFINITY; world.frames()];
    let best = beam.iter().min_by(|a, b| a.bound.total_cmp(&b.bound));
    let mut at = best.map_or(NONE, |best| best.delivery);
    while let Some(delivery) = log.get(at as usize) {
        if let Some(arrival) = arrivals.get_mut(delivery.frame as usize) {
            *arrival = delivery.arrival;
        }
        at = delivery.before;
    }
    arrivals
}

/// `one` and then `frame` by `way`.
fn deliver(
    world: &World<'_>,
    one: &Schedule,
    frame: usize,
    begin: f64,
    way: &Way,
    log: &mut Vec<Delivery>,
) -> Option<Schedule> {
    let done = begin + way.device_s;
    let (link_free, arrival) = match way.bits {
        None => (one.link_free, done),
        Some(bits) => {
            let end = world.trace.finish(done.max(one.link_free), world.wire_bits(frame, bits));
            (end, end + world.after_link_s(way))
        }
    };
    // What arrives after the cap, or when what was sent before could as well have been skipped, helps nobody.
    if arrival >= world.captured_s(frame) + CAP_S {
        return None;
    }
    let cost = one.cost + pending(world, one.settled, frame, arrival);
    log.push(Delivery { frame: frame as u32, arrival, before: one.delivery });
    Some(Schedule {
        cost,
        bound: cost,
        link_free,
        device_free: begin + world.settings.occupied_s(way.device_s),
        settled: frame + 1,
        delivery: (log.len() - 1) as u32,
    })
}

/// What the frames from `from` to `to` cost if the next result arrives at `arrival`.
fn pending(world: &World<'_>, from: usize, to: usize, arrival: f64) -> f64 {
    let capped = ((CAP_S * world.settings.frames_per_second).ceil() as usize + 1).min(to + 1 - from);
    let near = (to + 1 - capped..=to).map(|frame| (arrival - world.captured_s(frame)).min(CAP_S));
    near.sum::<f64>() + (to + 1 - capped - from) as f64 * CAP_S
}

/// Keeps the best, without those that another one beats in everything.
fn prune(schedules: &mut Vec<Schedule>) {
    schedules.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    let mut kept = 0;
    for at in 0..schedules.len() {
        let one = schedules[at];
        let beats = |other: &Schedule| {
            other.link_free <= one.link_free + 1e-9
                && other.device_free <= one.device_free + 1e-9
                && other.cost <= one.cost + 1e-9
                && other.settled >= one.settled
        };
        if kept < BEAM && !schedules[..kept].iter().any(beats) {
            schedules[kept] = one;
            kept += 1;
        }
    }
    schedules.truncate(kept);
}

//! The device: camera, work, guard, bits and queue, driven by events.
//!
//! The camera is live: the newest picture waits for the device, the newest frame waits for the link, and older ones
//! are dropped. A device works on `overlap` frames at a time.

use std::time::Duration;

use autotiler_core::{
    TargetBits,
    bits::{BitsControl, BitsSettings, CUT_SHARE},
    decision::{BitsMode, Policy, choose, safe_point},
    guard::{Guard, GuardSettings, PROBE_BITS},
    profile::Profile,
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::{
    controller::{Controller, inputs},
    event::{Event, first},
    metric::Effective,
    queue::{Item, Load, Uplink},
    run::{Outcome, Plan},
    way::{Way, find},
    world::World,
};

/// Between two looks at the guard while it guards.
const TICK_S: f64 = 0.02;
/// Between two probes of a device that was ordered to send nothing, so that its link is still known.
const IDLE_PROBE_S: f64 = 1.0;
/// Times that differ by less are the same.
const SAME_MOMENT_S: f64 = 1e-6;
/// Capacity for which a device is set up before anything is measured, in bit/s.
const START_BPS: f64 = 1e6;

/// A frame on the device.
#[derive(Debug, Clone, Copy)]
struct Job {
    frame: usize,
    way: Way,
    done: f64,
    /// Whether the assigned point was in force, whose bits the device may choose.
    assigned: bool,
}

/// A frame in the queue.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    frame: usize,
    way: Way,
    /// Loss of accuracy at its bits.
    drop_permille: u16,
    cut: bool,
}

/// What only a policy has.
#[derive(Debug)]
struct Brain<'a> {
    controller: Controller<'a>,
    profile: &'a Profile,
    guard: Option<(Guard, Way)>,
    bits: Option<BitsControl>,
    max_cut_permille: u16,
    next_sweep: f64,
    next_tick: f64,
    order: Option<(f64, Way)>,
    noise: ChaCha8Rng,
}

#[derive(Debug)]
pub(crate) struct Device<'a> {
    world: &'a World<'a>,
    ways: &'a [Way],
    assigned: Way,
    brain: Option<Brain<'a>>,
    next_frame: usize,
    /// The newest picture, while the device is occupied.
    picture: Option<usize>,
    jobs: Vec<Job>,
    free_at: f64,
    uplink: Uplink<'a>,
    /// Frames in the queue.
    under_way: Vec<UnderWay>,
    /// A probe's answer, when it was sent and when it arrives.
    answer: Option<(f64, f64)>,
    probing: bool,
    next_idle_probe: f64,
    arrivals: Vec<f64>,
    outcome: Outcome,
}

impl<'a> Device<'a> {
    pub(crate) fn new(world: &'a World<'a>, plan: Plan<'a>) -> Self {
        let (ways, assigned, brain) = match plan {
            Plan::Fixed(way) => (std::slice::from_ref(way), *way, None),
            Plan::Policy { profile, policy, ways } => {
                let known = inputs(&world.settings, START_BPS);
                let start = choose(profile, policy, &known);
                let start = start.best().and_then(|best| find(ways, best.candidate.point));
                // Where nothing may be chosen there is nothing to run; the first way stands in.
                let start = start.or(ways.first()).copied().expect("a profile has points");
                let brain = Brain::new(world, profile, policy, ways, &start);
                (ways, start, Some(brain))
            }
        };
        Self {
            world,
            ways,
            assigned,
            brain,
            next_frame: 0,
            picture: None,
            jobs: Vec::new(),
            free_at: 0.0,
            uplink: Uplink::new(world.trace),
            under_way: Vec::new(),
            answer: None,
            probing: false,
            next_idle_probe: IDLE_PROBE_S,
            arrivals: vec![f64::INFINITY; world.frames()],
            outcome: Outcome::default(),
        }
    }

    pub(crate) fn next_event(&self) -> Option<(f64, Event)> {
        let never = f64::INFINITY;
        let brain = self.brain.as_ref();
        let guarding = brain.is_some_and(Brain::is_guarding);
        let capture = if self.next_frame < self.world.frames() {
            self.world.captured_s(self.next_frame)
        } else {
            never
        };
        first([
            (self.uplink.ends(), Event::Carried),
            (self.jobs.iter().map(|job| job.done).fold(never, f64::min), Event::Worked),
            (self.answer.map_or(never, |(_, at)| at), Event::Answered),
            (brain.and_then(|brain| brain.order).map_or(never, |(at, _)| at), Event::Ordered),
            (brain.map_or(never, |brain| brain.next_sweep), Event::Swept),
            (capture, Event::Captured),
            (brain.filter(|_| guarding).map_or(never, |brain| brain.next_tick), Event::Ticked),
        ])
    }

    /// A new picture: it waits for the device, and an older one that still waits is dropped.
    pub(crate) fn captured(&mut self, now: f64) {
        let frame = self.next_frame;
        self.next_frame += 1;
        self.outcome.captured += 1;
        if self.picture.replace(frame).is_some() {
            self.outcome.dropped += 1;
        }
        self.watch(now);
        self.begin(now);
    }

    /// Takes the picture that waits, if the device is free.
    fn begin(&mut self, now: f64) {
        // Times are sums of fractions. A device that is free at the very moment of a capture takes that picture, not
        // the one before.
        let newer = self.next_frame < self.world.frames()
            && self.world.captured_s(self.next_frame) < now + SAME_MOMENT_S;
        if newer || now + SAME_MOMENT_S < self.free_at {
            return;
        }
        let Some(frame) = self.picture.take() else { return };
        let guarded = self.brain.as_ref().and_then(Brain::guarded_way);
        let way = guarded.unwrap_or(self.assigned);
        if let Some(at) = self.ways.iter().position(|one| one.point == way.point) {
            self.outcome.timeline.push((frame, at));
        }
        self.free_at = now + self.world.settings.occupied_s(way.device_s);
        self.jobs.push(Job { frame, way, done: now + way.device_s, assigned: guarded.is_none() });
    }

    /// The first job is done: its result is there, or its bits go to the link.
    pub(crate) fn worked(&mut self, now: f64) {
        let first = (0..self.jobs.len()).min_by(|&a, &b| self.jobs[a].done.total_cmp(&self.jobs[b].done));
        if let Some(job) = first.map(|at| self.jobs.remove(at)) {
            match job.way.bits {
                None => self.deliver(job.frame, now, 0),
                Some(nominal) => self.send(now, &job, nominal),
            }
        }
        self.begin(now);
    }

    fn send(&mut self, now: f64, job: &Job, nominal: f64) {
        let backlog = self.uplink.backlog_bits(now) as u64;
        let slot = Duration::from_secs_f64(self.world.settings.slot_s());
        let control = self.brain.as_mut().filter(|_| job.assigned && job.way.min_bits.is_some());
        let sized = control.and_then(|brain| brain.bits.as_mut()).map(|bits| bits.next(backlog, slot));
        let bits = sized.map_or(nominal, |bits| f64::from(bits.get()));
        let profile = self.brain.as_ref().and_then(|brain| brain.profile.find(job.way.point.route));
        let size = TargetBits::try_new(bits as u32).ok();
        let drop_permille = profile.zip(size).map_or(0, |(point, size)| point.accuracy_drop_permille(size));
        self.outcome.sent += 1;
        let cut = bits < (CUT_SHARE * nominal).floor();
        self.outcome.cut += u64::from(cut);
        self.under_way.push(UnderWay { frame: job.frame, way: job.way, drop_permille, cut });
        self.offer(now, Load::Frame(job.frame), self.world.wire_bits(job.frame, bits));
    }

    fn offer(&mut self, now: f64, load: Load, bits: f64) {
        self.outcome.uplink_bits += bits;
        let displaced = self.uplink.offer(now, Item { load, bits, since: now });
        if let Some(Item { load: Load::Frame(frame), bits, .. }) = displaced
            && let Some(gone) = self.take(frame)
        {
            self.outcome.dropped += 1;
            self.outcome.sent -= 1;
            self.outcome.cut -= u64::from(gone.cut);
            self.outcome.uplink_bits -= bits;
        }
    }

    fn take(&mut self, frame: usize) -> Option<UnderWay> {
        let at = self.under_way.iter().position(|one| one.frame == frame)?;
        Some(self.under_way.swap_remove(at))
    }

    /// The link has carried something.
    pub(crate) fn carried(&mut self, now: f64) {
        let Some(done) = self.uplink.complete(now) else { return };
        match done.item.load {
            Load::Probe => {
                self.probing = false;
                self.answer = Some((done.item.since, now + self.world.settings.rtt.as_secs_f64()));
            }
            Load::Frame(frame) => {
                if let Some(bits) = self.brain.as_mut().and_then(|brain| brain.bits.as_mut()) {
                    bits.carried(done.item.bits as u64, Duration::from_secs_f64(done.end - done.start));
                }
                if let Some(UnderWay { way, drop_permille, .. }) = self.take(frame) {
                    self.deliver(frame, now + self.world.after_link_s(&way), drop_permille);
                }
            }
        }
        self.watch(now);
    }

    fn deliver(&mut self, frame: usize, at: f64, accuracy_drop_permille: u16) {
        if let Some(arrival) = self.arrivals.get_mut(frame) {
            *arrival = at;
        }
        self.outcome.delivered += 1;
        self.outcome.accuracy_drop_permille += f64::from(accuracy_drop_permille);
    }

    /// A probe has come back.
    pub(crate) fn answered(&mut self, now: f64) {
        if let (Some((sent, _)), Some(brain)) = (self.answer.take(), &mut self.brain)
            && let Some((guard, _)) = &mut brain.guard
        {
            guard.probe_returned(Duration::from_secs_f64(sent), Duration::from_secs_f64(now));
        }
        self.watch(now);
    }

    pub(crate) fn ticked(&mut self, now: f64) {
        if let Some(brain) = &mut self.brain {
            brain.next_tick = now + TICK_S;
        }
        self.watch(now);
    }

    /// Looks at the guard: to leave, to probe, or to return.
    fn watch(&mut self, now: f64) {
        let age = self.uplink.oldest_frame().map(|since| Duration::from_secs_f64((now - since).max(0.0)));
        let Some(brain) = &mut self.brain else { return };
        let Some((guard, _)) = &mut brain.guard else { return };
        let at = Duration::from_secs_f64(now);
        if guard.observe(at, age).is_some() {
            brain.next_tick = now + TICK_S;
            // What a dying link measured, and what it measured while guarded, says nothing of the link after it.
            self.uplink.read_meter(now);
        }
        // One probe at a time: they would pile up in front of a dead link.
        if !self.probing && self.answer.is_none() && guard.probe_due(at) {
            self.probe(now);
        }
    }

    fn probe(&mut self, now: f64) {
        self.probing = true;
        self.offer(now, Load::Probe, f64::from(PROBE_BITS));
    }

    /// The controller looks at what the device measured.
    pub(crate) fn swept(&mut self, now: f64) {
        let measured = self.uplink.read_meter(now);
        let at = Duration::from_secs_f64(now);
        let Some(brain) = &mut self.brain else { return };
        let settings = &self.world.settings;
        brain.next_sweep = now + settings.sweep.as_secs_f64();
        if brain.is_guarding() {
            return brain.controller.freeze(at);
        }
        let share = settings.capacity_noise.max(0.0);
        let off = 1.0 + brain.noise.random_range(-share..=share);
        if let Some(to) = brain.controller.sweep(at, measured.map(|bps| bps * off))
            && let Some(way) = find(self.ways, to)
        {
            brain.order = Some((now + settings.order_delay.as_secs_f64(), *way));
            self.outcome.switches += 1;
        }
        let silent = self.assigned.is_local() && !self.probing && self.answer.is_none();
        if silent && now >= self.next_idle_probe {
            self.next_idle_probe = now + IDLE_PROBE_S;
            self.probe(now);
        }
    }

    /// An order comes into force with the next frame.
    pub(crate) fn ordered(&mut self, _now: f64) {
        let Some(brain) = &mut self.brain else { return };
        if let Some((_, way)) = brain.order.take() {
            self.assigned = way;
            let settings = bits_settings(&way, brain.max_cut_permille);
            if let (Some(control), Some(settings)) = (&mut brain.bits, settings) {
                control.set(settings);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.outcome.unfinished = self.outcome.captured - self.outcome.delivered - self.outcome.dropped;
        let guard = self.brain.as_ref().and_then(|brain| brain.guard.as_ref());
        self.outcome.guard_moves = guard.map_or(0, |(guard, _)| guard.moves());
        self.outcome.effective = Effective::of(self.world, &self.arrivals);
        self.outcome
    }
}

impl<'a> Brain<'a> {
    fn new(world: &World<'_>, profile: &'a Profile, policy: &'a Policy, ways: &[Way], start: &Way) -> Self {
        let settings = &world.settings;
        let guard = policy.behavior.guard.and_then(|terms| {
            let safe = safe_point(profile, policy, &inputs(settings, START_BPS))?;
            let safe = find(ways, safe)?;
            let settings = GuardSettings { queue_age: terms.queue_age, hold: terms.hold };
            Some((Guard::new(settings), *safe))
        });
        let max_cut_permille = match policy.behavior.bits {
            BitsMode::Fixed => 0,
            BitsMode::OnDevice { max_cut_permille } => max_cut_permille,
        };
        // Where the first point has no range, one of another point stands in until it is ordered.
        let range = bits_settings(start, max_cut_permille)
            .or_else(|| ways.iter().find_map(|way| bits_settings(way, max_cut_permille)));
        Self {
            controller: Controller::new(profile, policy, settings, start.point),
            profile,
            guard,
            bits: range.map(BitsControl::new),
            max_cut_permille,
            next_sweep: settings.sweep.as_secs_f64(),
            next_tick: f64::INFINITY,
            order: None,
            noise: world.random(1),
        }
    }

    fn is_guarding(&self) -> bool {
        self.guard.as_ref().is_some_and(|(guard, _)| guard.guarding_for(Duration::ZERO).is_some())
    }

    fn guarded_way(&self) -> Option<Way> {
        self.guard.as_ref().filter(|_| self.is_guarding()).map(|(_, way)| *way)
    }
}

/// The range that a device may use at `way`; none where its bits are fixed.
fn bits_settings(way: &Way, max_cut_permille: u16) -> Option<BitsSettings> {
    let max = way.point.bits()?;
    Some(BitsSettings { min: way.min_bits?, max, max_cut_permille })
}

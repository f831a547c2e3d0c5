//! Strategies side by side on one link, over some seeds.

use autotiler_core::{OperatingPoint, Route, decision::Policy, profile::Profile};
use serde::Serialize;

use crate::{
    clairvoyant,
    metric::{Effective, Spread},
    oracle,
    run::{Outcome, Plan, run},
    trace::Trace,
    way::{Way, ways},
    world::{Settings, World},
};

/// One link's figures. Times are effective times in milliseconds, shares lie from 0 to 1, regrets are ratios: 0.18
/// means a mean 18 % above that of the per-frame oracle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceFigures {
    /// The link.
    pub name: String,
    /// Of the policy against the oracle.
    pub regret: f64,
    /// The same over calm spans: no dead bin from a second before to two seconds after.
    pub regret_calm: f64,
    /// Share of the frames whose result is later than a second.
    pub late_share: f64,
    /// Mean of the policy.
    pub mean_ms: f64,
    /// Mean of the static point that is best on this link in hindsight.
    pub best_static_mean_ms: f64,
    /// Median of the policy.
    pub p50_ms: f64,
    /// 95th percentile of the policy.
    pub p95_ms: f64,
    /// 95th percentile of the best static point.
    pub best_static_p95_ms: f64,
    /// 95th percentile of server-only; none if the profile has no such point.
    pub server_only_p95_ms: Option<f64>,
    /// 95th percentile of device-only; none if the profile has no such point.
    pub device_only_p95_ms: Option<f64>,
    /// Switches that the controller orders.
    pub switches_per_min: f64,
    /// Moves of the guard, both directions counted.
    pub guard_moves_per_min: f64,
    /// Share of the sent frames with less than three quarters of their point's bits.
    pub cut_share: f64,
}

/// What one strategy reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// The point of a static one.
    pub point: Option<OperatingPoint>,
    /// Its effective times.
    pub spread: Spread,
    /// Mean loss of accuracy of delivered results, in thousandths.
    pub accuracy_drop_permille: f64,
    /// Bits per second on the link.
    pub uplink_bps: f64,
}

/// Everything about one link.
#[derive(Debug, Clone)]
pub struct LinkReport {
    /// The figures.
    pub figures: TraceFigures,
    /// The policy.
    pub policy: Strategy,
    /// Each frame alone, the future known.
    pub oracle: Spread,
    /// The real queue, the future known.
    pub clairvoyant: Spread,
    /// Every eligible point as the only one, and server-only and device-only in any case.
    pub statics: Vec<Strategy>,
    /// Effective times of the policy's frames, in seconds, of all seeds.
    pub times_s: Vec<f64>,
    /// What was in force when (seconds), in the first seed.
    pub timeline: Vec<(f64, OperatingPoint)>,
    eligible: Vec<bool>,
}

/// Runs the policy, the oracle, the clairvoyant and every static point on `trace`.
pub fn study(
    trace: &Trace,
    profile: &Profile,
    policy: &Policy,
    settings: Settings,
    seeds: u64,
) -> LinkReport {
    let ways = ways(profile, policy);
    let shown: Vec<Way> = ways
        .iter()
        .filter(|way| way.eligible || !matches!(way.point.route, Route::Split { .. }))
        .copied()
        .collect();
    let mut tally = Tally { statics: vec![Runs::default(); shown.len()], ..Tally::default() };
    for seed in 0..seeds.max(1) {
        let world = World::new(trace, settings, seed);
        let outcome = run(&world, Plan::Policy { profile, policy, ways: &ways });
        if seed == 0 {
            let force =
                |&(frame, way): &(usize, usize)| Some((world.captured_s(frame), ways.get(way)?.point));
            tally.timeline = outcome.timeline.iter().filter_map(force).collect();
        }
        tally.policy.add(outcome);
        tally.oracle.extend(Effective::of(&world, &oracle::arrivals_s(&world, &ways)));
        tally.clairvoyant.extend(Effective::of(&world, &clairvoyant::arrivals_s(&world, &ways)));
        for (runs, way) in tally.statics.iter_mut().zip(&shown) {
            runs.add(run(&world, Plan::Fixed(way)));
        }
    }
    tally.report(trace, profile, &shown)
}

/// Sums over seeds.
#[derive(Debug, Default)]
struct Tally {
    policy: Runs,
    oracle: Effective,
    clairvoyant: Effective,
    statics: Vec<Runs>,
    timeline: Vec<(f64, OperatingPoint)>,
}

#[derive(Debug, Clone, Default)]
struct Runs {
    effective: Effective,
    sum: Outcome,
    count: f64,
}

impl Runs {
    fn add(&mut self, mut outcome: Outcome) {
        self.effective.extend(std::mem::take(&mut outcome.effective));
        self.sum.delivered += outcome.delivered;
        self.sum.sent += outcome.sent;
        self.sum.cut += outcome.cut;
        self.sum.switches += outcome.switches;
        self.sum.guard_moves += outcome.guard_moves;
        self.sum.uplink_bits += outcome.uplink_bits;
        self.sum.accuracy_drop_permille += outcome.accuracy_drop_permille;
        self.count += 1.0;
    }

    fn strategy(&self, length_s: f64, point: Option<OperatingPoint>) -> Strategy {
        Strategy {
            point,
            spread: self.effective.spread(),
            accuracy_drop_permille: self.sum.mean_accuracy_drop_permille(),
            uplink_bps: self.sum.uplink_bits / (self.count * length_s).max(1e-9),
        }
    }
}

impl Tally {
    fn report(self, trace: &Trace, profile: &Profile, shown: &[Way]) -> LinkReport {
        let length_s = trace.length_s();
        let fixed = |(runs, way): (&Runs, &Way)| {
            let bits = way.point.bits().zip(profile.find(way.point.route));
            let drop = bits.map_or(0, |(bits, point)| point.accuracy_drop_permille(bits));
            Strategy { accuracy_drop_permille: f64::from(drop), ..runs.strategy(length_s, Some(way.point)) }
        };
        let statics: Vec<Strategy> = self.statics.iter().zip(shown).map(fixed).collect();
        let policy = self.policy.strategy(length_s, None);
        let (oracle, clairvoyant) = (self.oracle.spread(), self.clairvoyant.spread());
        let minutes = self.policy.count * length_s / 60.0;
        let mut report = LinkReport {
            figures: TraceFigures {
                name: trace.name().to_owned(),
                regret: regret(policy.spread.mean_s, oracle.mean_s),
                regret_calm: regret(policy.spread.calm_mean_s, oracle.calm_mean_s),
                late_share: policy.spread.late_share,
                mean_ms: ms(policy.spread.mean_s),
                best_static_mean_ms: 0.0,
                p50_ms: ms(policy.spread.p50_s),
                p95_ms: ms(policy.spread.p95_s),
                best_static_p95_ms: 0.0,
                server_only_p95_ms: None,
                device_only_p95_ms: None,
                switches_per_min: self.policy.sum.switches as f64 / minutes.max(1e-9),
                guard_moves_per_min: self.policy.sum.guard_moves as f64 / minutes.max(1e-9),
                cut_share: self.policy.sum.cut_share(),
            },
            policy,
            oracle,
            clairvoyant,
            statics,
            times_s: self.policy.effective.times_s,
            timeline: self.timeline,
            eligible: shown.iter().map(|way| way.eligible).collect(),
        };
        if let Some(best) = report.best_static().cloned() {
            report.figures.best_static_mean_ms = ms(best.spread.mean_s);
            report.figures.best_static_p95_ms = ms(best.spread.p95_s);
        }
        let p95 = |route| report.only(route).map(|one| ms(one.spread.p95_s));
        let (server, device) = (p95(Route::ServerOnly), p95(Route::DeviceOnly));
        report.figures.server_only_p95_ms = server;
        report.figures.device_only_p95_ms = device;
        report
    }
}

impl LinkReport {
    /// The static points that a decision could have chosen.
    pub fn eligible_statics(&self) -> impl Iterator<Item = &Strategy> {
        self.statics.iter().zip(&self.eligible).filter(|(_, eligible)| **eligible).map(|(one, _)| one)
    }

    /// The static point that is best on this link in hindsight.
    pub fn best_static(&self) -> Option<&Strategy> {
        self.eligible_statics().min_by(|a, b| a.spread.mean_s.total_cmp(&b.spread.mean_s))
    }

    /// The best static point of a route that is accurate enough; where none is, the one with the most bits.
    pub fn only(&self, route: Route) -> Option<&Strategy> {
        let same = |one: &&Strategy| one.point.is_some_and(|point| point.route == route);
        let best = self.eligible_statics().filter(same);
        best.min_by(|a, b| a.spread.mean_s.total_cmp(&b.spread.mean_s)).or_else(|| {
            self.statics.iter().filter(same).max_by_key(|one| one.point.and_then(|point| point.bits()))
        })
    }
}

/// The static point whose mean over all links is the least, with that mean in milliseconds: what a person would set
/// who may set one point for all of them.
pub fn best_on_average(links: &[LinkReport]) -> Option<(OperatingPoint, f64)> {
    let points = links.first()?.eligible_statics().filter_map(|one| one.point);
    let mean = |point: OperatingPoint| {
        let of = |link: &LinkReport| {
            link.statics
                .iter()
                .find(|one| one.point == Some(point))
                .map_or(f64::NAN, |one| ms(one.spread.mean_s))
        };
        links.iter().map(of).sum::<f64>() / links.len() as f64
    };
    points.map(|point| (point, mean(point))).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The mean row of a table: each figure's mean over the links.
pub fn mean_row(rows: &[TraceFigures]) -> TraceFigures {
    let mean =
        |of: &dyn Fn(&TraceFigures) -> f64| rows.iter().map(of).sum::<f64>() / rows.len().max(1) as f64;
    let some = |of: &dyn Fn(&TraceFigures) -> Option<f64>| {
        let known: Vec<f64> = rows.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    TraceFigures {
        name: "mean".to_owned(),
        regret: mean(&|row| row.regret),
        regret_calm: mean(&|row| row.regret_calm),
        late_share: mean(&|row| row.late_share),
        mean_ms: mean(&|row| row.mean_ms),
        best_static_mean_ms: mean(&|row| row.best_static_mean_ms),
        p50_ms: mean(&|row| row.p50_ms),
        p95_ms: mean(&|row| row.p95_ms),
        best_static_p95_ms: mean(&|row| row.best_static_p95_ms),
        server_only_p95_ms: some(&|row| row.server_only_p95_ms),
        device_only_p95_ms: some(&|row| row.device_only_p95_ms),
        switches_per_min: mean(&|row| row.switches_per_min),
        guard_moves_per_min: mean(&|row| row.guard_moves_per_min),
        cut_share: mean(&|row| row.cut_share),
    }
}

fn regret(mean: f64, oracle: f64) -> f64 {
    if oracle > 0.0 { mean / oracle - 1.0 } else { 0.0 }
}

fn ms(seconds: f64) -> f64 {
    seconds * 1e3
}

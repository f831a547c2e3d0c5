//! One sweep of one policy: observe, validate, decide, apply.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use autotiler_core::{
    DeviceId, Epoch, Route,
    decision::{Proposal, Signal, admit},
    order::Order,
    profile::Profile,
};
use autotiler_transport::{OrderBook, orders::PutError};
use futures::{StreamExt, stream};

use crate::{
    board::{Board, Explained, PolicyState},
    catalog::{Catalog, Matches, Mode, PolicyEntry, PolicyName},
    control::{Assigned, Decided, Desired, DeviceControl, HistoryEntry, Outcome, Signals, Sweep, unix_ms},
    fleet::{Fleet, Report},
    metrics::ControllerMetrics,
    observe::{ObserveError, Observed, Observer, Samples},
};

/// Reads and writes of orders at the same time.
const AT_ONCE: usize = 32;

/// What sweeps need of the rest of the process.
#[derive(Clone)]
pub struct Surroundings {
    /// Who asks Prometheus.
    pub observer: Observer,
    /// Where orders go.
    pub orders: OrderBook,
    /// What devices say.
    pub fleet: Fleet,
    /// Where people look.
    pub board: Board,
    /// The metrics.
    pub metrics: ControllerMetrics,
    /// Who we are, in every order.
    pub writer: String,
    /// Zero of the controller's clock.
    pub start: Instant,
}

/// All devices' states.
pub struct Sweeper {
    around: Surroundings,
    devices: BTreeMap<DeviceId, Controlled>,
}

/// One device, and the order that the store holds for it.
struct Controlled {
    control: DeviceControl,
    policy: PolicyName,
    stored: Stored,
    /// Routes that the device refused since its start, under this generation of the policy.
    refused: BTreeSet<Route>,
    generation: i64,
    uptime_ms: u64,
    /// Where it was last advised to go.
    advised: Option<Desired>,
    /// What was known when the newest order was written, if we wrote it.
    assigned: Option<Arc<Assigned>>,
}

/// The newest order of a device.
#[derive(Debug, Clone, Default)]
struct Stored {
    revision: u64,
    order: Option<Order>,
}

/// A device with everything that a sweep knows of it.
struct Case {
    device: DeviceId,
    report: Report,
    profile: Arc<Profile>,
    signals: Signals,
    decided: Option<Decided>,
}

impl Sweeper {
    /// No device yet.
    pub fn new(around: Surroundings) -> Self {
        Self { around, devices: BTreeMap::new() }
    }

    /// Forgets devices that no policy has any more, or that are silent for long.
    pub fn forget(&mut self, matches: &Matches) {
        self.devices.retain(|device, held| {
            matches.winner.get(device).is_some_and(|policy| policy.name == held.policy)
        });
        self.around.board.retain(|device| matches.winner.contains_key(device));
    }

    /// Sweeps the devices of `policy`.
    pub async fn sweep(&mut self, policy: &PolicyEntry, catalog: &Catalog, matches: &Matches) {
        let begin = Instant::now();
        let observed = self.around.observer.observe(&policy.prometheus).await;
        let (now, wall) = (self.around.start.elapsed(), SystemTime::now());
        self.around.metrics.observe(&observed);
        let mut cases = self.cases(policy, catalog, matches, &observed, now);
        self.take_over(policy, &cases, now).await;
        let decide = Instant::now();
        let others_queue_s = median(cases.iter().filter_map(|case| case.signals.server_queue.fresh()));
        for case in &mut cases {
            let Some(held) = self.devices.get_mut(&case.device) else { continue };
            held.follow(case, policy, now);
            let sweep = sweep_of(case, policy, catalog, now, wall, others_queue_s);
            case.decided = Some(held.control.sweep(&sweep));
        }
        let admitted = admit_all(&mut cases, policy);
        self.around.metrics.decide_seconds.observe(decide.elapsed().as_secs_f64());

        let mut wanted = Vec::new();
        for (case, admitted) in cases.iter().zip(admitted) {
            let (Some(held), Some(decided)) = (self.devices.get_mut(&case.device), &case.decided) else {
                continue;
            };
            self.around.metrics.decided(decided);
            let sweep = sweep_of(case, policy, catalog, now, wall, others_queue_s);
            if let Some(desired) = held.control.desired(&sweep, decided, admitted) {
                wanted.push((case, desired));
            }
        }
        match policy.mode {
            Mode::Advise => self.advise(wanted, wall),
            Mode::Enforce => {
                let written = self.write(wanted, wall).await;
                for (case, desired, result) in written {
                    let sweep = sweep_of(case, policy, catalog, now, wall, others_queue_s);
                    self.written(case, desired, result, &sweep).await;
                }
            }
        }
        self.show(policy, &cases, matches, catalog, &observed, now, wall, others_queue_s);
        self.around.metrics.sweep_seconds.observe(begin.elapsed().as_secs_f64());
    }

    /// The policy's devices that speak and whose network is the profile's.
    fn cases(
        &self,
        policy: &PolicyEntry,
        catalog: &Catalog,
        matches: &Matches,
        observed: &Observed,
        now: Duration,
    ) -> Vec<Case> {
        let max_age = policy.policy.metrics.max_age;
        let speaking = self.around.fleet.speaking(now);
        let own = speaking.into_iter().filter(|(device, _)| {
            matches.winner.get(device).is_some_and(|winner| winner.name == policy.name)
        });
        own.filter_map(|(device, report)| {
            let entry = catalog.devices.get(&device);
            let class =
                entry.and_then(|entry| entry.class.as_deref()).unwrap_or(&report.telemetry.device_class);
            let profile = catalog.profile(policy, Some(class))?;
            if profile.network() != report.telemetry.network {
                return None;
            }
            let judge = |samples: &Result<Samples, ObserveError>| {
                let sample = samples.as_ref().ok().and_then(|samples| samples.get(device.as_str()));
                Signal::judge(sample.map(|sample| (sample.value, sample.age)), max_age)
            };
            let signals = Signals {
                uplink: judge(&observed.uplink),
                rtt: judge(&observed.rtt),
                server_queue: judge(&observed.server_queue),
            };
            Some(Case { device, report, profile, signals, decided: None })
        })
        .collect()
    }

    /// Reads what the store holds for devices that are new to us, or come from another policy.
    async fn take_over(&mut self, policy: &PolicyEntry, cases: &[Case], now: Duration) {
        let new = |case: &&Case| self.devices.get(&case.device).is_none_or(|held| held.policy != policy.name);
        let new: Vec<DeviceId> = cases.iter().filter(new).map(|case| case.device.clone()).collect();
        let orders = self.around.orders.clone();
        let read = stream::iter(new).map(|device| {
            let orders = orders.clone();
            async move {
                let stored = read(&orders, &device).await;
                (device, stored)
            }
        });
        let read: Vec<_> = read.buffer_unordered(AT_ONCE).collect().await;
        for (device, stored) in read {
            let Some(stored) = stored else { continue };
            let held = Controlled {
                control: DeviceControl::new(policy, stored.order.as_ref(), now),
                policy: policy.name.clone(),
                stored,
                refused: BTreeSet::new(),
                generation: policy.generation,
                uptime_ms: 0,
                advised: None,
                assigned: None,
            };
            self.devices.insert(device, held);
        }
    }

    fn advise(&mut self, wanted: Vec<(&Case, Desired)>, wall: SystemTime) {
        for (case, desired) in wanted {
            let (Some(held), Some(decided)) = (self.devices.get_mut(&case.device), &case.decided) else {
                continue;
            };
            if held.advised.as_ref().map(|advised| advised.point) != Some(desired.point) {
                held.control.remember(entry(decided, &desired, 0, wall));
                held.advised = Some(desired);
            }
        }
    }

    /// Writes orders, many at a time.
    async fn write<'c>(
        &self,
        wanted: Vec<(&'c Case, Desired)>,
        wall: SystemTime,
    ) -> Vec<(&'c Case, Desired, Result<Stored, PutError>)> {
        let mut writes = Vec::new();
        for (at, (case, desired)) in wanted.iter().enumerate() {
            let Some(held) = self.devices.get(&case.device) else { continue };
            let order = self.order(case, desired, &held.stored, wall);
            let (orders, device) = (self.around.orders.clone(), case.device.clone());
            let revision = held.stored.revision;
            writes.push(async move {
                let result = orders.put(&device, &order, revision).await;
                (at, result.map(|revision| Stored { revision, order: Some(order) }))
            });
        }
        let results: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        let mut wanted: Vec<Option<_>> = wanted.into_iter().map(Some).collect();
        let paired = results.into_iter().filter_map(|(at, result)| {
            let (case, desired) = wanted.get_mut(at)?.take()?;
            Some((case, desired, result))
        });
        paired.collect()
    }

    fn order(&self, case: &Case, desired: &Desired, stored: &Stored, wall: SystemTime) -> Order {
        let Desired { point, min_bits, max_cut_permille, tiler, guard } = desired.clone();
        let before = stored.order.as_ref().map_or(Epoch(0), |order| order.epoch);
        let applied = case.report.telemetry.epoch;
        Order {
            epoch: Epoch(before.max(applied).0.saturating_add(1)),
            point,
            min_bits,
            max_cut_permille,
            network: case.profile.network(),
            tiler,
            guard,
            reason: case.decided.as_ref().map(|decided| decided.reason(point)).unwrap_or_default(),
            writer: self.around.writer.clone(),
            decided_at_ms: unix_ms(wall),
        }
    }

    /// An order is in the store, or somebody else's is.
    async fn written(
        &mut self,
        case: &Case,
        desired: Desired,
        result: Result<Stored, PutError>,
        sweep: &Sweep<'_>,
    ) {
        let (Some(held), Some(decided)) = (self.devices.get_mut(&case.device), &case.decided) else { return };
        match result {
            Ok(stored) => {
                let epoch = stored.order.as_ref().map_or(0, |order| order.epoch.0);
                let entry = entry(decided, &desired, epoch, sweep.wall);
                tracing::info!(device = %case.device, epoch, point = %desired.point, reason = %entry.detail, "ordered");
                self.around.metrics.orders.inc();
                held.stored = stored;
                held.assigned = Some(Arc::new(decided.assigned(epoch, desired.point)));
                held.control.commit(sweep, decided, desired, entry);
            }
            Err(error) => {
                self.around.metrics.order_failures.with_label_values(&[put_label(&error)]).inc();
                tracing::warn!(%error, device = %case.device, "order not written");
                // Whoever was quicker is right: what the store holds now is what the device obeys.
                if let (PutError::Conflict { .. }, Some(stored)) =
                    (&error, read(&self.around.orders, &case.device).await)
                {
                    if let Some(order) = &stored.order {
                        held.control.overruled(sweep.now, order.point);
                    }
                    held.stored = stored;
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "everything that people are shown comes together here")]
    fn show(
        &self,
        policy: &PolicyEntry,
        cases: &[Case],
        matches: &Matches,
        catalog: &Catalog,
        observed: &Observed,
        now: Duration,
        wall: SystemTime,
        others_queue_s: f64,
    ) {
        let mut shown = 0;
        for case in cases {
            let (Some(held), Some(decided)) = (self.devices.get(&case.device), &case.decided) else {
                continue;
            };
            let sweep = sweep_of(case, policy, catalog, now, wall, others_queue_s);
            let order = held.stored.order.as_ref();
            let telemetry = &case.report.telemetry;
            shown += 1;
            self.around.board.put(Explained {
                device: case.device.clone(),
                policy: policy.name.clone(),
                mode: policy.mode,
                device_class: telemetry.device_class.clone(),
                at_ms: unix_ms(wall),
                epoch: order.map_or(0, |order| order.epoch.0),
                order: order.cloned(),
                assigned: held.assigned.clone(),
                synced: order.is_some_and(|order| order.epoch == telemetry.epoch),
                limited: held.control.is_limited(&sweep),
                telemetry: telemetry.clone(),
                decided: decided.clone(),
                forecast: held.control.forecast(),
                history: held.control.history().cloned().collect(),
            });
        }
        let matched = matches.winner.values().filter(|winner| winner.name == policy.name).count();
        let errors = observed.errors().map(|(signal, error)| (signal, error.to_string())).collect();
        let lost = matches.lost.get(&policy.name).cloned().unwrap_or_default();
        let profile = catalog.profile(policy, None).is_some();
        self.around.board.put_policy(PolicyState {
            name: policy.name.clone(),
            matched,
            shown,
            errors,
            lost,
            profile,
        });
    }
}

impl Controlled {
    /// Takes note of restarts, refusals and new generations, and leaves refused routes out of the profile.
    fn follow(&mut self, case: &mut Case, policy: &PolicyEntry, now: Duration) {
        let telemetry = case.report.telemetry.clone();
        if telemetry.uptime_ms < self.uptime_ms || self.generation != policy.generation {
            self.refused.clear();
        }
        (self.uptime_ms, self.generation) = (telemetry.uptime_ms, policy.generation);
        let ours = self.stored.order.as_ref();
        if let (Some(refusal), Some(order)) = (&telemetry.refused, ours)
            && refusal.epoch == order.epoch
            && self.refused.insert(order.point.route)
        {
            tracing::warn!(device = %case.device, point = %order.point, reason = refusal.reason.label(),
                detail = %refusal.detail, "order refused");
            self.control.overruled(now, telemetry.assigned);
        }
        if !self.refused.is_empty() {
            let left = case.profile.points().iter().filter(|point| !self.refused.contains(&point.route));
            let (network, class) = (case.profile.network(), case.profile.device_class().to_owned());
            if let Ok(profile) = Profile::try_new(network, class, left.cloned().collect()) {
                case.profile = Arc::new(profile);
            }
        }
    }
}

fn sweep_of<'a>(
    case: &'a Case,
    policy: &'a PolicyEntry,
    catalog: &Catalog,
    now: Duration,
    wall: SystemTime,
    others_queue_s: f64,
) -> Sweep<'a> {
    let pin = catalog.devices.get(&case.device).and_then(|entry| entry.pin);
    let Case { profile, signals, report, .. } = case;
    Sweep { now, wall, policy, profile, pin, signals: *signals, report, others_queue_s }
}

/// Which cases may switch; those that may not say so.
fn admit_all(cases: &mut [Case], policy: &PolicyEntry) -> Vec<bool> {
    let proposed: Vec<(usize, Proposal)> = cases
        .iter()
        .enumerate()
        .filter_map(|(at, case)| Some((at, case.decided.as_ref()?.proposal?)))
        .collect();
    let proposals: Vec<Proposal> = proposed.iter().map(|(_, proposal)| *proposal).collect();
    let percent = policy.policy.behavior.max_concurrent_percent;
    let mut admitted = vec![false; cases.len()];
    for ((at, _), go) in proposed.iter().zip(admit(&proposals, cases.len(), percent)) {
        if let Some(slot) = admitted.get_mut(*at) {
            *slot = go;
        }
        if let (false, Some(Some(decided))) = (go, cases.get_mut(*at).map(|case| case.decided.as_mut())) {
            decided.outcome = Outcome::CONCURRENCY;
        }
    }
    admitted
}

async fn read(orders: &OrderBook, device: &DeviceId) -> Option<Stored> {
    match orders.get(device).await {
        Ok(posted) => {
            let order = posted.order.transpose();
            if let Err(error) = &order {
                tracing::warn!(%error, %device, "the stored order cannot be read and will be replaced");
            }
            Some(Stored { revision: posted.revision, order: order.ok().flatten() })
        }
        Err(error) => {
            tracing::warn!(%error, %device, "order not read");
            None
        }
    }
}

fn entry(decided: &Decided, desired: &Desired, epoch: u32, wall: SystemTime) -> HistoryEntry {
    HistoryEntry {
        epoch,
        at_ms: unix_ms(wall),
        from: decided.current,
        to: desired.point,
        reason: decided.word(desired.point),
        detail: decided.reason(desired.point),
        uplink_bps: decided.seen.mean_uplink_bps,
    }
}

fn put_label(error: &PutError) -> &'static str {
    match error {
        PutError::Conflict { .. } => "conflict",
        PutError::Write { .. } => "write",
    }
}

/// 0 where there is none: nobody has measured a wait.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

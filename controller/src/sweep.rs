//! One sweep of one policy, once its signals are known: validate, decide, apply, show.

mod case;
mod controlled;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime},
};

use autotiler_core::{DeviceId, Epoch, order::Order};
use autotiler_transport::{OrderBook, orders::PutError};
use futures::{StreamExt, stream};

pub(crate) use case::Round;
use case::{Case, Swept, admit_all};
use controlled::{Controlled, Stored};

use crate::{
    board::{Board, Explained, LeftOut, PolicyState},
    catalog::{Matches, Mode},
    control::{Desired, unix_ms},
    fleet::Fleet,
    metrics::ControllerMetrics,
    observe::Observer,
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

/// An order that was tried, and what the store said.
type Written<'s> = (&'s Swept, Desired, Result<Stored, PutError>);

impl Sweeper {
    /// No device yet.
    pub fn new(around: Surroundings) -> Self {
        Self { around, devices: BTreeMap::new() }
    }

    /// Forgets devices that follow no policy any more, or another.
    pub fn forget(&mut self, matches: &Arc<Matches>) {
        self.devices.retain(|device, held| matches.is_won(device, &held.policy));
        self.around.board.follow(matches.clone());
    }

    /// Sweeps the devices of the round's policy.
    pub(crate) async fn sweep(&mut self, round: &Round<'_>) {
        self.around.metrics.observe(round.observed);
        let (cases, left_out) = round.cases(self.around.fleet.speaking(round.now));
        self.take_over(round, &cases).await;
        let swept = self.decide(round, cases);
        let wanted = self.wanted(round, &swept);
        match round.policy.mode {
            Mode::Advise => self.advise(wanted, round.wall),
            Mode::Enforce => {
                for (one, desired, result) in self.write(wanted, round.wall).await {
                    self.written(one, desired, result, round).await;
                }
            }
        }
        self.show(round, &swept, left_out);
    }

    /// Reads what the store holds for devices that are new to us, or come from another policy.
    async fn take_over(&mut self, round: &Round<'_>, cases: &[Case]) {
        let new = cases.iter().map(|case| &case.device).filter(|device| !self.devices.contains_key(device));
        let new: Vec<DeviceId> = new.cloned().collect();
        let orders = &self.around.orders;
        let read = stream::iter(new).map(|device| async move {
            let stored = Stored::read(orders, &device).await;
            (device, stored)
        });
        let read: Vec<_> = read.buffer_unordered(AT_ONCE).collect().await;
        for (device, stored) in read {
            if let Some(stored) = stored {
                self.devices.insert(device, Controlled::new(round.policy, stored, round.now));
            }
        }
    }

    /// Decides each case; those whose stored order could not be read wait for the next sweep.
    fn decide(&mut self, round: &Round<'_>, cases: Vec<Case>) -> Vec<Swept> {
        let begin = Instant::now();
        let decide = |mut case: Case| {
            let held = self.devices.get_mut(&case.device)?;
            held.follow(&mut case, round.policy, round.now);
            let decided = held.control.sweep(&case.sweep(round));
            Some(Swept { case, decided, admitted: false })
        };
        let mut swept: Vec<Swept> = cases.into_iter().filter_map(decide).collect();
        admit_all(&mut swept, round.policy.policy.behavior.max_concurrent_percent);
        self.around.metrics.decide_seconds.observe(begin.elapsed().as_secs_f64());
        swept.iter().for_each(|one| self.around.metrics.decided(&one.decided));
        swept
    }

    /// Devices that should be ordered something else than they were.
    fn wanted<'s>(&mut self, round: &Round<'_>, swept: &'s [Swept]) -> Vec<(&'s Swept, Desired)> {
        let desired = |one: &'s Swept| {
            let control = &mut self.devices.get_mut(&one.case.device)?.control;
            let desired = control.desired(&one.case.sweep(round), &one.decided, one.admitted)?;
            Some((one, desired))
        };
        swept.iter().filter_map(desired).collect()
    }

    fn advise(&mut self, wanted: Vec<(&Swept, Desired)>, wall: SystemTime) {
        for (one, desired) in wanted {
            let Some(held) = self.devices.get_mut(&one.case.device) else { continue };
            if held.advised.as_ref().map(|advised| advised.point) != Some(desired.point) {
                held.control.remember(one.entry(&desired, 0, wall));
                held.advised = Some(desired);
            }
        }
    }

    /// Writes orders, many at a time.
    async fn write<'s>(&self, wanted: Vec<(&'s Swept, Desired)>, wall: SystemTime) -> Vec<Written<'s>> {
        let (orders, mut writes) = (&self.around.orders, Vec::new());
        for (one, desired) in wanted {
            let Some(Controlled { stored, .. }) = self.devices.get(&one.case.device) else { continue };
            let order = self.order(one, &desired, stored, wall);
            let revision = stored.revision;
            writes.push(async move {
                let put = orders.put(&one.case.device, &order, revision).await;
                (one, desired, put.map(|revision| Stored { revision, order: Some(order) }))
            });
        }
        stream::iter(writes).buffer_unordered(AT_ONCE).collect().await
    }

    fn order(&self, one: &Swept, desired: &Desired, stored: &Stored, wall: SystemTime) -> Order {
        let Desired { point, min_bits, max_cut_permille, tiler, guard } = desired.clone();
        let applied = one.case.report.telemetry.epoch;
        Order {
            epoch: Epoch(stored.epoch().max(applied).0.saturating_add(1)),
            point,
            min_bits,
            max_cut_permille,
            network: one.case.profile.network(),
            tiler,
            guard,
            reason: one.decided.reason(point),
            writer: self.around.writer.clone(),
            decided_at_ms: unix_ms(wall),
        }
    }

    /// An order is in the store, or somebody else's is.
    async fn written(
        &mut self,
        one: &Swept,
        desired: Desired,
        result: Result<Stored, PutError>,
        round: &Round<'_>,
    ) {
        let device = &one.case.device;
        let Some(held) = self.devices.get_mut(device) else { return };
        match result {
            Ok(stored) => {
                let epoch = stored.epoch().0;
                let entry = one.entry(&desired, epoch, round.wall);
                tracing::info!(%device, epoch, point = %desired.point, reason = %entry.detail, "ordered");
                self.around.metrics.orders.inc();
                held.stored = stored;
                held.assigned = Some(Arc::new(one.decided.assigned(epoch, desired.point)));
                held.control.commit(&one.case.sweep(round), &one.decided, desired, entry);
            }
            Err(error) => {
                self.around.metrics.order_failures.with_label_values(&[put_label(&error)]).inc();
                tracing::warn!(%error, %device, "order not written");
                if let (PutError::Conflict { .. }, Some(stored)) =
                    (&error, Stored::read(&self.around.orders, device).await)
                {
                    held.overruled(stored, round.now);
                }
            }
        }
    }

    fn show(&self, round: &Round<'_>, swept: &[Swept], left_out: Vec<(DeviceId, LeftOut)>) {
        let Round { policy, catalog, matches, observed, .. } = round;
        for Swept { case, decided, .. } in swept {
            let Some(held) = self.devices.get(&case.device) else { continue };
            let order = held.stored.order.as_ref();
            let telemetry = &case.report.telemetry;
            self.around.board.put(Explained {
                device: case.device.clone(),
                policy: policy.name.clone(),
                mode: policy.mode,
                device_class: telemetry.device_class.clone(),
                at_ms: unix_ms(round.wall),
                epoch: held.stored.epoch().0,
                order: order.cloned(),
                assigned: held.assigned.clone(),
                synced: order.is_some_and(|order| order.epoch == telemetry.epoch),
                limited: held.control.is_limited(&case.sweep(round)),
                telemetry: telemetry.clone(),
                decided: decided.clone(),
                forecast: held.control.forecast(),
                drifted: held.control.drifted(),
                history: held.control.history().cloned().collect(),
            });
        }
        self.around.board.put_policy(PolicyState {
            name: policy.name.clone(),
            matched: matches.winner.values().filter(|winner| winner.name == policy.name).count(),
            shown: swept.len(),
            errors: observed.errors().map(|(signal, error)| (signal, error.to_string())).collect(),
            lost: matches.lost.get(&policy.name).cloned().unwrap_or_default(),
            left_out,
            profile: catalog.profile_digest(policy),
            suspended: policy.suspend,
            max_accuracy_drop_permille: policy.policy.constraints.max_accuracy_drop_permille,
        });
    }
}

fn put_label(error: &PutError) -> &'static str {
    match error {
        PutError::Conflict { .. } => "conflict",
        PutError::Write { .. } => "write",
    }
}

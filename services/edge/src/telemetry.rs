//! Gathers what the device says of itself, and says it each second, at each event, and when its link is another one.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::{Digest, telemetry::Telemetry};
use autotiler_transport::{Connection, UplinkMeter, publish_telemetry};
use tokio::time::MissedTickBehavior;

use crate::{
    frame::Stream,
    helm::{Helm, HelmStatus},
    ledger::{Ledger, Snapshot},
    stages::codec::backlog_bits,
};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(1);
/// How long it is let be at least before a look whether the link is another one.
const LOOK: Duration = Duration::from_millis(200);
/// By how much a link is another one.
const OTHER: f64 = 2.0;

/// Where telemetry comes from.
#[derive(Clone)]
pub struct Speaker {
    /// Who speaks, and its clock.
    pub stream: Stream,
    /// What kind of device.
    pub device_class: String,
    /// Its network.
    pub network: Digest,
    /// What is in force.
    pub helm: Arc<Helm>,
    /// The accounts.
    pub ledger: Arc<Ledger>,
    /// The way to the broker.
    pub meter: Arc<UplinkMeter>,
}

impl Speaker {
    /// Says it until the connection is closed.
    pub async fn run(self, connection: Connection) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.helm.changed() => {}
                () = self.another_link(said) => {}
            }
            let telemetry = self.gather(Instant::now());
            said = telemetry.uplink_bps;
            if let Err(reason) = publish_telemetry(&connection, &telemetry).await {
                tracing::debug!(%reason, "telemetry");
            }
        }
    }

    /// Waits until the link carries much less or much more than what was `said`: whoever decides should not have to
    /// wait for the second to be over.
    async fn another_link(&self, said: Option<u64>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(bps) = self.meter.uplink().bps else { continue };
            if said.is_none_or(|said| bps * OTHER < said as f64 || bps > said as f64 * OTHER) {
                return;
            }
        }
    }

    /// The state at `now`.
    pub fn gather(&self, now: Instant) -> Telemetry {
        let clock = Duration::from_micros(self.stream.clock_us(now));
        let HelmStatus { epoch, point, assigned, guarded_for, guard_moves, switches, refused, cut_permille } =
            self.helm.status(clock);
        let Snapshot {
            captured,
            sent,
            received,
            dropped,
            lost,
            queue_age,
            backlog_bits: waiting,
            frames_per_second,
            switch_gap,
            stages,
            server,
            total,
        } = self.ledger.snapshot(now, point, self.meter.progress());
        let uplink = self.meter.uplink();
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Telemetry {
            device: self.stream.device.clone(),
            device_class: self.device_class.clone(),
            network: self.network,
            uptime_ms: us(clock) / 1000,
            epoch,
            point,
            assigned,
            guarded_for_ms: guarded_for.map(|time| us(time) / 1000),
            guard_moves,
            switches,
            last_switch_gap_us: switch_gap.map(us),
            refused,
            uplink_bps: uplink.bps.map(|bps| bps as u64),
            rtt_us: uplink.rtt.map(us),
            queue_age_us: queue_age.map_or(0, us),
            backlog_bits: backlog_bits(waiting, &uplink),
            frames_per_second,
            stage_us: stages,
            server_us: server,
            total_us: total,
            captured,
            sent,
            received,
            dropped: owned(&dropped),
            lost: owned(&lost),
            cut_permille,
        }
    }
}

fn owned(reasons: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    reasons.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

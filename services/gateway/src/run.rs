//! The process: listens to all devices and shows them until it is told to stop.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use autotiler_runtime::{Admin, Latch, Readiness};
use autotiler_transport::{ConnectOptions, Connection, LinkState, TelemetrySubscriber, connect};
use prometheus::Registry;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::Fleet,
    metrics::{GatewayMetrics, TOO_MANY_DEVICES},
};

/// How often silent devices are looked for, besides at each scrape.
const SWEEP: Duration = Duration::from_secs(1);

/// What the process is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where metrics are served.
    pub admin: SocketAddr,
    /// A device that says nothing for so long loses its series.
    pub silence: Duration,
    /// Most devices shown at once.
    pub max_devices: usize,
    /// The broker.
    pub nats: ConnectOptions,
}

/// Runs until `cancel` is cancelled.
///
/// # Errors
/// An address that is taken; credentials that are refused.
pub async fn run(config: Config, registry: Registry, cancel: CancellationToken) -> anyhow::Result<()> {
    let metrics = GatewayMetrics::register(&registry)?;
    let fleet = Fleet::new(config.silence, config.max_devices)?;
    registry.register(Box::new(fleet.clone()))?;
    let readiness = Readiness::new();
    let latch = readiness.require("nats");
    let admin = Admin::bind(config.admin, registry, readiness).await?;
    let serving = admin.serve(cancel.clone());
    tokio::select! {
        served = serving => Ok(served?),
        ended = bridge(&config.nats, &fleet, &metrics, latch) => ended,
        () = cancel.cancelled() => Ok(()),
    }
}

async fn bridge(
    nats: &ConnectOptions,
    fleet: &Fleet,
    metrics: &GatewayMetrics,
    latch: Latch,
) -> anyhow::Result<()> {
    let connection = connect(nats).await?;
    let mut heard = TelemetrySubscriber::subscribe(&connection).await?;
    let following = follow_link(&connection, latch);
    tokio::pin!(following);
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            word = heard.next() => {
                let word = word.context("the connection to nats-server was closed")?;
                let taken = match word {
                    Ok(telemetry) => fleet.hear(telemetry, Instant::now()).map_err(|_| TOO_MANY_DEVICES),
                    Err(error) => {
                        tracing::debug!(%error, "telemetry passed over");
                        Err(error.label())
                    }
                };
                match taken {
                    Ok(()) => metrics.heard.inc(),
                    Err(reason) => metrics.refused.with_label_values(&[reason]).inc(),
                }
            }
            _ = sweep.tick() => {
                metrics.devices.set(i64::try_from(fleet.len(Instant::now())).unwrap_or(i64::MAX));
            }
            () = &mut following => {}
        }
    }
}

/// Ready while the link is up.
async fn follow_link(connection: &Connection, latch: Latch) {
    let mut link = connection.link();
    loop {
        latch.set(*link.borrow_and_update() == LinkState::Up);
        if link.changed().await.is_err() {
            // The subscription ends too, and with it the process.
            std::future::pending::<()>().await;
        }
    }
}

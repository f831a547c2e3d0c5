//! The process: connects, watches, sweeps, and gives back what it holds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use autotiler_runtime::{Admin, Readiness};
use autotiler_transport::{
    Connection, LinkState, OrderBook, TelemetrySubscriber, connect, orders::OpenError,
};
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Config, Source},
    board::Board,
    cluster, files,
    fleet::Fleet,
    metrics::ControllerMetrics,
    observe::Observer,
    schedule::sweep_all,
    sweep::Surroundings,
};

/// Between tries to open the orders' store.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until `cancel` is cancelled, or until it may not go on: a lost Lease, refused credentials.
///
/// # Errors
/// Bad files before any socket opens; later what no waiting mends.
pub async fn run(config: Config, registry: Registry, cancel: CancellationToken) -> anyhow::Result<()> {
    let metrics = ControllerMetrics::register(&registry)?;
    let board = Board::default();
    board.stand_by(None);
    registry.register(Box::new(board.series()?))?;
    let fixed = match &config.source {
        Source::Files { policy, profiles, devices } => {
            Some(files::load(policy, profiles, devices.as_deref())?)
        }
        Source::Cluster { .. } => None,
    };
    let observer = Observer::try_new().context("making an HTTP client")?;

    // All that can be checked is; from here on sockets open.
    let readiness = Readiness::new();
    let (nats_latch, catalog_latch) = (readiness.require("nats"), readiness.require("policies"));
    let admin = Admin::bind(config.admin, registry, readiness).await?.with(board.router());
    tokio::spawn(admin.serve(cancel.clone()));

    let connection = tokio::select! {
        connected = connect(&config.nats) => connected?,
        () = cancel.cancelled() => return Ok(()),
    };
    let fleet = Fleet::default();
    let start = Instant::now();
    let telemetry = TelemetrySubscriber::subscribe(&connection).await?;
    tokio::spawn(listen(telemetry, fleet.clone(), metrics.clone(), start));
    let Some(orders) = open_orders(&connection, &cancel).await? else { return Ok(()) };
    tokio::spawn(watch_link(connection.clone(), nats_latch));

    let around = Surroundings {
        observer,
        orders,
        fleet,
        board: board.clone(),
        metrics: metrics.clone(),
        writer: config.identity.clone(),
        start,
    };
    match (fixed, config.source) {
        (Some(catalog), _) => {
            let (_keep, catalog) = watch::channel(Arc::new(catalog));
            catalog_latch.release();
            metrics.leader.set(1.0);
            board.lead();
            sweep_all(around, catalog, cancel).await;
        }
        (None, Source::Cluster { kubeconfig, watch_namespace, namespace, lease, status_writes }) => {
            let identity = config.identity;
            let options =
                cluster::Options { kubeconfig, watch_namespace, namespace, lease, status_writes, identity };
            cluster::run(options, around, catalog_latch, cancel).await?;
        }
        (None, Source::Files { .. }) => unreachable!("files were loaded above"),
    }
    connection.close().await;
    Ok(())
}

/// The store of orders; none when cancelled before.
async fn open_orders(
    connection: &Connection,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<OrderBook>> {
    loop {
        let opened = tokio::select! {
            opened = OrderBook::open(connection) => opened,
            () = cancel.cancelled() => return Ok(None),
        };
        match opened {
            Ok(orders) => return Ok(Some(orders)),
            Err(error @ OpenError::NoJetStream(_)) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "opening the orders' store; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = cancel.cancelled() => return Ok(None),
        }
    }
}

/// Takes in what devices say.
async fn listen(
    mut telemetry: TelemetrySubscriber,
    fleet: Fleet,
    metrics: ControllerMetrics,
    start: Instant,
) {
    while let Some(said) = telemetry.next().await {
        match said {
            Ok(said) => {
                if let Err(reason) = fleet.take(start.elapsed(), said) {
                    metrics.unheard.with_label_values(&[reason]).inc();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "telemetry not taken");
                metrics.unheard.with_label_values(&[error.label()]).inc();
            }
        }
    }
}

async fn watch_link(connection: Connection, latch: autotiler_runtime::Latch) {
    let mut link = connection.link();
    loop {
        latch.set(*link.borrow_and_update() == LinkState::Up);
        if link.changed().await.is_err() {
            return;
        }
    }
}

//! The process: listens to all devices and shows them until it is told to stop.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use autotiler_core::Digest;
use autotiler_hevc::DecoderOptions;
use autotiler_runtime::{Admin, Latch, Readiness};
use autotiler_transport::{ConnectOptions, Connection, LinkState, TelemetrySubscriber, connect};
use prometheus::Registry;
use reqwest::Url;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    controller::{self, Controller, Desk},
    feed::Feed,
    fleet::{Fleet, PassedOver},
    live::Lives,
    metrics::GatewayMetrics,
    writer::{Cluster, Token, Writer},
};

/// How often silent devices are looked for, besides at each scrape.
const SWEEP: Duration = Duration::from_secs(1);

/// What the process is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the page and its API are served.
    pub listen: SocketAddr,
    /// Where metrics are served.
    pub admin: SocketAddr,
    /// The controller's admin port.
    pub controller: Option<Url>,
    /// Networks with their class names.
    pub names: Vec<(Digest, Vec<String>)>,
    /// Where the token lies that opens changes.
    pub token_file: Option<PathBuf>,
    /// Where devices that are pinned are looked for.
    pub namespace: Option<String>,
    /// How frames that are looked at are decoded.
    pub codec: DecoderOptions,
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
/// An address that is taken; credentials that are refused; a token that cannot be read.
pub async fn run(config: Config, registry: Registry, cancel: CancellationToken) -> anyhow::Result<()> {
    let metrics = GatewayMetrics::register(&registry)?;
    let fleet = Fleet::new(config.silence, config.max_devices)?;
    registry.register(Box::new(fleet.clone()))?;
    let (desk, feed) = (Desk::default(), Feed::default());
    let lives = Lives::new(&config.names, config.codec).context("starting the thread that decodes")?;
    let controller = config.controller.map(Controller::new).transpose()?;
    let writer = writer(config.token_file, config.namespace).await?;

    let readiness = Readiness::new();
    let latch = readiness.require("nats");
    let admin = Admin::bind(config.admin, registry, readiness).await?;
    let bound = TcpListener::bind(config.listen).await;
    let listener = bound.with_context(|| format!("binding the page's port at {}", config.listen))?;
    tracing::info!(local_addr = %listener.local_addr()?, "live page");
    let api = Api::new(fleet.clone(), desk.clone(), controller.clone(), feed.clone(), lives.clone(), writer);
    let followed = async {
        match controller {
            Some(controller) => controller::follow(controller, desk.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = admin.serve(cancel.clone()) => Ok(served?),
        // Streams have no end of their own, so there is nothing to drain.
        served = async { axum::serve(listener, api.router()).await } => served.context("serving the page"),
        ended = bridge(&config.nats, &fleet, &metrics, &lives, latch) => ended,
        () = feed.gather(&fleet, &desk, &lives) => Ok(()),
        () = followed => Ok(()),
        () = cancel.cancelled() => Ok(()),
    }
}

/// Who changes objects of the cluster, where there is a token.
async fn writer(token_file: Option<PathBuf>, namespace: Option<String>) -> anyhow::Result<Option<Writer>> {
    let Some(path) = token_file else { return Ok(None) };
    let token = Token::at(&path)?;
    let cluster = match kube::Client::try_default().await {
        Ok(client) => Some(Cluster::new(client, namespace)),
        Err(error) => {
            tracing::warn!(%error, "no cluster: nothing can be pinned or suspended here");
            None
        }
    };
    Ok(Some(Writer { token, cluster }))
}

async fn bridge(
    nats: &ConnectOptions,
    fleet: &Fleet,
    metrics: &GatewayMetrics,
    lives: &Lives,
    latch: Latch,
) -> anyhow::Result<()> {
    let connection = connect(nats).await?;
    let mut heard = TelemetrySubscriber::subscribe(&connection).await?;
    lives.connect(connection.clone());
    let following = follow_link(&connection, latch);
    tokio::pin!(following);
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            word = heard.next() => {
                let word = word.context("the connection to nats-server was closed")?;
                let taken = match word {
                    Ok(telemetry) => fleet.hear(telemetry, Instant::now()).map_err(PassedOver::label),
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
                let devices = fleet.len(Instant::now());
                metrics.devices.set(i64::try_from(devices).unwrap_or(i64::MAX));
                metrics.looked_at.set(i64::try_from(lives.len()).unwrap_or(i64::MAX));
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

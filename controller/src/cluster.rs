//! The controller in a cluster: watches what people want, leads or waits, reports.

pub mod convert;
mod event;
mod guarded;
mod lease;
mod report;
mod status;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use autotiler_runtime::Latch;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio_util::sync::CancellationToken;

pub use lease::{Lease, LeaseError};

use crate::{schedule::sweep_all, sweep::Surroundings};

/// Field manager of everything that the controller writes.
pub const FIELD_MANAGER: &str = "autotiler-controller";
/// Where a pod finds its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What the cluster part is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to find the cluster, if not by the environment.
    pub kubeconfig: Option<PathBuf>,
    /// Only this namespace.
    pub watch_namespace: Option<String>,
    /// Of the Lease.
    pub namespace: Option<String>,
    /// How long a Lease lasts.
    pub lease: Duration,
    /// Writes of status per second.
    pub status_writes: f64,
    /// Who we are.
    pub identity: String,
}

/// Watches, waits for the Lease, then sweeps and reports until `cancel` is cancelled or the Lease is lost.
///
/// # Errors
/// No configuration of a cluster; [`LeaseError`], after which the process must end: another one leads.
pub async fn run(
    options: Options,
    around: Surroundings,
    latch: Latch,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let client = client(options.kubeconfig.as_deref()).await?;
    let namespace = options.namespace.clone().or_else(|| {
        let own = std::fs::read_to_string(OWN_NAMESPACE).ok()?;
        Some(own.trim().to_owned())
    });
    let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let (objects, catalog) = watch::start(&client, options.watch_namespace.as_deref(), latch);

    let lease = Lease::new(client.clone(), &namespace, options.identity.clone(), options.lease);
    tracing::info!(identity = options.identity, namespace, "waiting for the lease");
    tokio::select! {
        () = lease.acquire(|leader| around.board.stand_by(leader)) => {}
        () = cancel.cancelled() => return Ok(()),
    }
    tracing::info!(identity = options.identity, "leading");
    around.metrics.leader.set(1.0);
    around.board.lead();
    let working = cancel.child_token();
    let reporting = report::Reporter::new(client, objects, around.board.clone(), around.metrics.clone());
    let reporting = tokio::spawn(reporting.run(options.status_writes, working.clone()));
    let sweeping = tokio::spawn(sweep_all(around.clone(), catalog, working.clone()));
    let ended = tokio::select! {
        // Fail-stop: whoever leads now must find us gone. The orders' revisions fence what is still under way.
        lost = lease.keep() => Err(anyhow::Error::from(lost)),
        () = cancel.cancelled() => Ok(()),
    };
    around.metrics.leader.set(0.0);
    working.cancel();
    if ended.is_ok() {
        let _ = sweeping.await;
        let _ = reporting.await;
        lease.release().await;
    }
    ended
}

async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let Some(path) = kubeconfig else {
        return kube::Client::try_default().await.context(
            "finding a cluster: set KUBECONFIG, run in a pod, or work from files with --policy and --profile",
        );
    };
    let named = || format!("finding a cluster by {}", path.display());
    let read = Kubeconfig::read_from(path).with_context(named)?;
    let config =
        Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.with_context(named)?;
    kube::Client::try_from(config).with_context(named)
}

/// A name with its namespace, as [`crate::catalog::PolicyName`] and the profiles' keys have it.
pub(crate) fn full_name(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

type Objects = Arc<std::sync::Mutex<watch::Known>>;

//! The API server, with the caller's rights.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// Field manager of everything that the plugin writes.
pub(crate) const FIELD_MANAGER: &str = "kubectl-autotiler";

/// Which cluster and namespace, as kubectl has it.
#[derive(Debug, Clone, clap::Args)]
// Two of one name in a command would be one group.
#[command(next_help_heading = "Cluster")]
#[group(skip)]
pub(crate) struct Options {
    /// Where policies and devices live; by default the context's own namespace.
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// A context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig, instead of KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A client and where it looks.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Options {
    /// A client; nothing is asked yet.
    pub(crate) async fn connect(&self) -> anyhow::Result<Cluster> {
        let mut config = self
            .config()
            .await
            .context("finding a cluster: set KUBECONFIG, name a file with --kubeconfig, or run in a pod")?;
        // A person waits: what is not there is said, not tried again.
        config.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config)?, namespace })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Ok(match &self.kubeconfig {
            Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
            None if self.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await?,
        })
    }
}

/// Whether `error` says that there is no such object.
pub(crate) fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

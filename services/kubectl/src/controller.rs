//! The controller's admin port: by its address, or through the API server, which needs no port-forward.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt as _, api::ListParams, client::Body};
use serde_json::Value;

use crate::cluster::{self, Cluster};

/// Longest wait for the controller.
const PATIENCE: Duration = Duration::from_secs(5);
/// The Service of the controller's admin port.
const LABELS: &str = "app.kubernetes.io/name=autotiler,app.kubernetes.io/component=controller";
/// The name of that port.
const PORT: &str = "admin";
/// How often a replica is asked, each time one drawn by the API server, until it is the one that leads: of two, in all
/// but one of a hundred thousand times.
const DRAWS: usize = 17;

/// Where the controller is.
#[derive(Debug, Clone, clap::Args)]
// Two of one name in a command would be one group.
#[command(next_help_heading = "Controller")]
#[group(skip)]
pub(crate) struct Options {
    /// The controller's admin port, instead of by way of the API server.
    #[arg(long, global = true, env = "AUTOTILER_CONTROLLER", value_name = "URL")]
    controller: Option<String>,
    /// Where the controller's Service is looked for first; by default in the namespace of the devices, then everywhere.
    #[arg(long, global = true, value_name = "NAME")]
    controller_namespace: Option<String>,
}

/// A way to ask it.
pub(crate) enum Controller {
    /// Straight.
    Url { http: reqwest::Client, base: String },
    /// As a Service, through the API server.
    Proxy { cluster: Cluster, path: String },
}

impl Options {
    /// Finds the controller; it is not asked yet.
    pub(crate) async fn find(&self, cluster: &cluster::Options) -> anyhow::Result<Controller> {
        if let Some(url) = &self.controller {
            let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
            return Ok(Controller::Url { http, base: url.trim_end_matches('/').to_owned() });
        }
        let cluster = cluster.connect().await?;
        let first = self.controller_namespace.as_deref().unwrap_or(&cluster.namespace);
        let params = ListParams::default().labels(LABELS);
        let here: Api<Service> = Api::namespaced(cluster.client.clone(), first);
        let mut found = here.list(&params).await.context("looking for the controller's Service")?.items;
        if found.is_empty() {
            // Whoever may not look everywhere is told of what was not found here.
            let everywhere: Api<Service> = Api::all(cluster.client.clone());
            found = everywhere.list(&params).await.map(|list| list.items).unwrap_or_default();
        }
        let Some(service) = found.into_iter().find(has_admin_port) else {
            bail!(
                "no Service with the labels {LABELS} and a port called {PORT} in namespace {first}: \
                 name the release's namespace with --controller-namespace, or the admin port with --controller URL"
            );
        };
        let namespace = service.namespace().unwrap_or_else(|| first.to_owned());
        let name = service.name_any();
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:{PORT}/proxy");
        Ok(Controller::Proxy { cluster, path })
    }
}

fn has_admin_port(service: &Service) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    ports.iter().any(|port| port.name.as_deref() == Some(PORT))
}

impl Controller {
    /// JSON of `path`, like `/v1/devices`. What the controller refuses is said in its own words.
    pub(crate) async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        let (mut status, mut body) = self.get(path).await?;
        for _ in 1..DRAWS {
            if status != StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
            (status, body) = self.get(path).await?;
        }
        if !status.is_success() {
            bail!("{}", body.trim());
        }
        serde_json::from_str(&body)
            .with_context(|| format!("what answers at {} is no controller", self.place()))
    }

    /// The text of `path`.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.get(path).await?;
        if !status.is_success() {
            bail!("{status}: {}", body.trim());
        }
        Ok(body)
    }

    async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let asked = match self {
            Self::Url { http, base } => straight(http, &format!("{base}{path}")).await,
            Self::Proxy { cluster, path: proxy } => {
                match tokio::time::timeout(PATIENCE, proxied(cluster, &format!("{proxy}{path}"))).await {
                    Ok(asked) => asked,
                    Err(late) => Err(late.into()),
                }
            }
        };
        asked.with_context(|| {
            format!(
                "asking the controller at {}: does it run, and may you use its Service's proxy?",
                self.place()
            )
        })
    }

    fn place(&self) -> &str {
        match self {
            Self::Url { base, .. } => base,
            Self::Proxy { path, .. } => path,
        }
    }
}

async fn straight(http: &reqwest::Client, url: &str) -> anyhow::Result<(StatusCode, String)> {
    let answer = http.get(url).send().await?;
    let status = answer.status();
    Ok((status, answer.text().await?))
}

async fn proxied(cluster: &Cluster, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let answer = cluster.client.send(Request::get(path).body(Body::empty())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    // The API server's own word, as opposed to the controller's.
    if let Ok(said) = serde_json::from_str::<Value>(&body)
        && said["kind"] == "Status"
    {
        bail!("{}", said["message"].as_str().unwrap_or("the API server refuses"));
    }
    Ok((status, body))
}

//! nats-server: whether frames fit.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::ListParams, client::Body};
use serde_json::Value;

use super::finding::Finding;
use crate::{cluster::Cluster, reach::greeting};

/// Longest wait for nats-server.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pods of nats-server, as the chart makes them.
const LABELS: &str = "app.kubernetes.io/name=autotiler,app.kubernetes.io/component=nats";
/// Its port for monitoring, over HTTP.
const PORT: &str = "monitor";
/// What any network's frames fit into: a picture of 800 x 800, uncoded.
const ENOUGH: u64 = 1024 * 1024;
const WHAT: &str = "NATS payload limit";

/// Reads the limit of `address`, or of the chart's server.
pub(super) async fn check(cluster: &Cluster, address: Option<&str>, found: &mut Vec<Finding>) {
    let asked = async {
        match address {
            Some(address) => greeting(address).await,
            None => monitored(cluster).await,
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let limit = asked.unwrap_or_else(|late| Err(late.into())).and_then(|info| {
        info["max_payload"].as_u64().context("what answers is no nats-server: it says no max_payload")
    });
    found.push(match limit {
        Ok(limit) if limit >= ENOUGH => Finding::ok(WHAT, format!("{limit} bytes")),
        Ok(limit) => Finding::fail(
            WHAT,
            format!("{limit} bytes: large frames will be dropped"),
            format!("max_payload: {ENOUGH} or more in nats-server's configuration"),
        ),
        Err(error) if address.is_none() => {
            Finding::warn(WHAT, format!("not looked at: {error:#}"), "name nats-server with --nats HOST:PORT")
        }
        Err(error) => {
            Finding::fail(WHAT, format!("{error:#}"), "does nats-server run there (--nats HOST:PORT)?")
        }
    });
}

/// The server's variables, through the API server.
async fn monitored(cluster: &Cluster) -> anyhow::Result<Value> {
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let pods = pods.list(&ListParams::default().labels(LABELS)).await?.items;
    let Some((pod, port)) = pods.iter().find_map(|pod| Some((pod, monitor_port(pod)?))) else {
        bail!("no pod with the labels {LABELS} and a port called {PORT}");
    };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let path = format!("/api/v1/namespaces/{namespace}/pods/http:{name}:{port}/proxy/varz");
    let answer = cluster.client.send(Request::get(path).body(Body::empty())?).await?;
    let body = answer.into_body().collect_bytes().await?;
    serde_json::from_slice(&body).context("what answers is no nats-server")
}

fn monitor_port(pod: &Pod) -> Option<i32> {
    let mut ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|one| one.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some(PORT)).map(|port| port.container_port)
}

//! What every walk needs: a broker and a gateway, whose page stays at one address.

use std::{net::SocketAddr, time::Duration};

use autotiler_tests::{NatsServer, NatsServerOptions, Service, free_port};
use tempfile::TempDir;

/// From the start of a service to its readiness, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// Broker and gateway.
pub(crate) struct Stand {
    pub(crate) nats: NatsServer,
    pub(crate) gateway: Service,
    pub(crate) folder: TempDir,
    page: SocketAddr,
}

impl Stand {
    /// A broker with JetStream, and a gateway with `more` options and variables of its environment.
    pub(crate) fn new(more: &[&str], env: &[(&str, String)]) -> Self {
        let options = NatsServerOptions { jetstream: true, ..NatsServerOptions::default() };
        let (nats, folder) = (NatsServer::start_with(options).unwrap(), tempfile::tempdir().unwrap());
        let page = free_port().unwrap();
        let gateway = gateway(&nats, page, &folder, more, env);
        Self { nats, gateway, folder, page }
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.page)
    }

    /// Starts the gateway again after it was killed.
    pub(crate) fn resume_gateway(&mut self) {
        self.gateway = gateway(&self.nats, self.page, &self.folder, &[], &[]);
    }
}

fn gateway(
    nats: &NatsServer,
    page: SocketAddr,
    folder: &TempDir,
    more: &[&str],
    env: &[(&str, String)],
) -> Service {
    let (nats, page) = (nats.url(), page.to_string());
    let args = [&["--nats", &nats, "--listen", &page], more].concat();
    let mut gateway = Service::start_in("autotiler-gateway", "gateway", args, env, folder.path()).unwrap();
    gateway.wait_ready(READY).unwrap();
    gateway
}

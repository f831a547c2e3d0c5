//! An installation: a server that knows an authority of its own, and users of it.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use autotiler_access::{Authority, Credentials, Role, ServiceRole, Validity};
use autotiler_core::DeviceId;
use autotiler_transport::{Auth, ConnectError, ConnectOptions, Connection, connect, testing::NatsServer};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Site {
    pub(crate) authority: Authority,
    pub(crate) server: NatsServer,
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With `more` lines in the server's configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        let (authority, folder) = (Authority::create(), tempfile::tempdir().unwrap());
        let known = authority.server_config(Validity::unending(SystemTime::now())).unwrap();
        let store = folder.path().join("jetstream");
        let config = format!("jetstream {{ store_dir: {store:?} }}\n{more}\n{known}");
        let mut server = NatsServer::stopped(&config).unwrap();
        server.resume().unwrap();
        Self { authority, server, folder }
    }

    pub(crate) fn device(&self, name: &str) -> Credentials {
        self.until(name, None)
    }

    /// Credentials of a device that end.
    pub(crate) fn until(&self, name: &str, expires_at: Option<SystemTime>) -> Credentials {
        let validity = Validity { issued_at: SystemTime::now(), expires_at };
        self.authority.devices().credentials(&Role::Device(device(name)), validity).unwrap()
    }

    pub(crate) fn service(&self, service: ServiceRole) -> Credentials {
        self.authority.service(service, Validity::unending(SystemTime::now())).unwrap()
    }

    pub(crate) fn options(&self, credentials: &Credentials) -> ConnectOptions {
        let file = self.folder.path().join("user.creds");
        fs::write(&file, credentials.reveal()).unwrap();
        let options = ConnectOptions::new(vec![self.server.url()], "test");
        ConnectOptions { auth: Auth::CredentialsFile(file), ..options }
    }

    pub(crate) async fn try_connect(&self, credentials: &Credentials) -> Result<Connection, ConnectError> {
        timeout(LONG, connect(&self.options(credentials))).await.expect("in time")
    }

    pub(crate) async fn connect(&self, credentials: &Credentials) -> Connection {
        self.try_connect(credentials).await.unwrap()
    }
}

pub(crate) fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

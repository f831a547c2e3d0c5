//! A nats-server of one's own, and a client that writes its lines by hand, for tests.

mod raw_client;

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

pub use raw_client::RawClient;
use tempfile::TempDir;

use crate::options::ServerUrl;

/// A nats-server child on a free port of the loopback; killed when dropped.
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    directory: TempDir,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

/// Why no server came up.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file, a port or the program could not be had.
    #[error("starting nats-server (is it on PATH?)")]
    Start(#[from] io::Error),
    /// It ended before it was ready.
    #[error("nats-server ended before it was ready: {0}")]
    Ended(String),
}

impl NatsServer {
    /// A server with the default limits, started.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start() -> Result<Self, ServerError> {
        let mut server = Self::stopped("")?;
        server.resume()?;
        Ok(server)
    }

    /// A server that has its port and `config` (lines of a nats-server configuration) and is not started.
    ///
    /// # Errors
    /// [`ServerError::Start`].
    pub fn stopped(config: &str) -> Result<Self, ServerError> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let server = Self { port, directory, child: None, log: Arc::default() };
        server.configure(config)?;
        Ok(server)
    }

    /// Replaces the configuration, for the next start.
    ///
    /// # Errors
    /// [`ServerError::Start`].
    pub fn configure(&self, config: &str) -> Result<(), ServerError> {
        let text = format!("listen: \"127.0.0.1:{}\"\n{config}\n", self.port);
        fs::write(self.directory.path().join("nats.conf"), text)?;
        Ok(())
    }

    /// Starts it, on the same port as ever, and waits until it is ready.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn resume(&mut self) -> Result<(), ServerError> {
        let config = self.directory.path().join("nats.conf");
        let mut child = Command::new("nats-server")
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take();
        self.child = Some(child);
        let mut lines = BufReader::new(log.ok_or_else(|| io::Error::other("no log"))?).lines();
        let mut said = String::new();
        for line in lines.by_ref() {
            let line = line?;
            if line.contains("Server is ready") {
                // Keep reading, or the server would block on a full pipe.
                let log = self.log.clone();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                        log.push_str(&line);
                        log.push('\n');
                    }
                });
                return Ok(());
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(ServerError::Ended(said))
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a child that is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens, or would.
    pub fn url(&self) -> ServerUrl {
        self.address("nats")
    }

    /// Where it listens, for clients that insist on TLS.
    pub fn tls_url(&self) -> ServerUrl {
        self.address("tls")
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has said since it was ready.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn address(&self, scheme: &str) -> ServerUrl {
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        url.parse().expect("a scheme, a host and a port make an address")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

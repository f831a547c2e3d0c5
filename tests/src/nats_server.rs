//! A real nats-server on a free port, by default of the loopback, which a test can stop, kill and bring back.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    process::{Process, ProcessError},
    wait::{Late, wait_for},
};
use nix::sys::signal::Signal;

/// From start to listening; idle machines need 50 ms.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// From SIGTERM to the end.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error)]
pub enum NatsServerError {
    /// Its folder or a file in it.
    #[error("preparing the folder of nats-server")]
    Folder(#[source] io::Error),
    /// Its process.
    #[error("running nats-server")]
    Process(#[from] ProcessError),
    /// It did not say where it listens.
    #[error("starting nats-server: {log}")]
    NotListening {
        /// What it said instead.
        log: String,
        /// The deadline that passed.
        #[source]
        source: Late,
    },
}

/// How the server is set up; the defaults are nats-server's own.
#[derive(Debug, Clone, Default)]
pub struct NatsServerOptions {
    /// The largest payload of a message in bytes.
    pub max_payload_bytes: Option<u32>,
    /// With JetStream, its files in the server's own folder.
    pub jetstream: bool,
    /// Where it listens, if not on the loopback: at the server's end of a [`Link`](crate::Link).
    pub host: Option<Ipv4Addr>,
}

/// A nats-server of this test alone.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder, so that it is dead when the folder goes.
    process: Option<Process>,
    options: NatsServerOptions,
    port: u16,
    folder: tempfile::TempDir,
}

impl NatsServer {
    /// Starts it with its defaults.
    ///
    /// # Errors
    /// [`NatsServerError`].
    pub fn start() -> Result<Self, NatsServerError> {
        Self::start_with(NatsServerOptions::default())
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// [`NatsServerError`].
    pub fn start_with(options: NatsServerOptions) -> Result<Self, NatsServerError> {
        let folder = tempfile::tempdir().map_err(NatsServerError::Folder)?;
        let mut server = Self { process: None, options, port: 0, folder };
        server.resume()?;
        Ok(server)
    }

    /// `nats://HOST:PORT`; the same after [`Self::resume`].
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host(), self.port)
    }

    /// Starts a stopped server again, at the same port; nothing to do when it runs.
    ///
    /// # Errors
    /// [`NatsServerError`].
    pub fn resume(&mut self) -> Result<(), NatsServerError> {
        if self.process.is_some() {
            return Ok(());
        }
        let ports = self.folder.path().join("ports");
        // The file of the last run would be taken for that of this one.
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).map_err(NatsServerError::Folder)?;
        let config = self.write_config(&ports)?;
        let mut command = Command::new("nats-server");
        command.arg("--config").arg(config);
        let process = Process::start("nats-server", command, self.folder.path())?;
        // The server writes its ports file when it listens, and takes a free port itself: no race for one.
        self.port = wait_for("nats-server to listen", START_DEADLINE, || port_in(&ports))
            .map_err(|source| NatsServerError::NotListening { log: process.stderr(), source })?;
        self.process = Some(process);
        Ok(())
    }

    /// Changes the options for the next [`Self::resume`].
    pub fn set_options(&mut self, options: NatsServerOptions) {
        self.options = options;
    }

    /// Stops it in good order and waits for its end.
    ///
    /// # Errors
    /// [`NatsServerError::Process`].
    pub fn stop(&mut self) -> Result<(), NatsServerError> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(STOP_DEADLINE)?;
        }
        Ok(())
    }

    /// Kills it, as a power cut would.
    ///
    /// # Errors
    /// [`NatsServerError::Process`].
    pub fn kill(&mut self) -> Result<(), NatsServerError> {
        if let Some(mut process) = self.process.take() {
            process.kill_all()?;
        }
        Ok(())
    }

    /// Stops its threads without closing its connections, as a dead link looks to a client; undone by
    /// [`Self::thaw`].
    ///
    /// # Errors
    /// [`NatsServerError::Process`].
    pub fn freeze(&self) -> Result<(), NatsServerError> {
        Ok(self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))?)
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// [`NatsServerError::Process`].
    pub fn thaw(&self) -> Result<(), NatsServerError> {
        Ok(self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGCONT))?)
    }

    fn host(&self) -> Ipv4Addr {
        self.options.host.unwrap_or(Ipv4Addr::LOCALHOST)
    }

    fn write_config(&self, ports: &Path) -> Result<PathBuf, NatsServerError> {
        // -1: any free port.
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        let mut config = format!("host: {}\nport: {port}\nports_file_dir: {ports:?}\n", self.host());
        if let Some(bytes) = self.options.max_payload_bytes {
            config += &format!("max_payload: {bytes}\n");
        }
        if self.options.jetstream {
            config += &format!("jetstream {{ store_dir: {:?} }}\n", self.folder.path().join("jetstream"));
        }
        let path = self.folder.path().join("nats-server.conf");
        fs::write(&path, config).map_err(NatsServerError::Folder)?;
        Ok(path)
    }
}

/// The client port in the one file of `folder`, once it is there and whole.
fn port_in(folder: &Path) -> Option<u16> {
    let file = fs::read_dir(folder).ok()?.flatten().next()?;
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
    ports.get("nats")?.get(0)?.as_str()?.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpStream,
    };

    use super::*;

    /// The first line that a server says: `INFO {...}`.
    fn info(server: &NatsServer) -> serde_json::Value {
        let stream = TcpStream::connect(server.url().trim_start_matches("nats://")).unwrap();
        stream.set_read_timeout(Some(START_DEADLINE)).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap()
    }

    #[test]
    fn listens_with_the_payload_limit_asked_for() {
        let options = NatsServerOptions {
            max_payload_bytes: Some(4096),
            jetstream: true,
            ..NatsServerOptions::default()
        };
        let server = NatsServer::start_with(options).unwrap();
        let info = info(&server);
        assert_eq!(info["max_payload"], 4096);
        assert_eq!(info["jetstream"], true);
    }

    #[test]
    fn two_servers_take_two_ports() {
        let (one, other) = (NatsServer::start().unwrap(), NatsServer::start().unwrap());
        assert_ne!(one.url(), other.url());
    }

    #[test]
    fn comes_back_at_the_same_port_after_a_stop_and_after_a_kill() {
        let mut server = NatsServer::start().unwrap();
        let url = server.url();
        server.stop().unwrap();
        assert!(TcpStream::connect(url.trim_start_matches("nats://")).is_err());
        server.resume().unwrap();
        server.kill().unwrap();
        server.resume().unwrap();
        assert_eq!(server.url(), url);
        assert!(info(&server)["version"].is_string());
    }
}

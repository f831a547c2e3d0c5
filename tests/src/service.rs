//! A service of ours as a process, watched through its admin port.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    binary::{BinaryError, binary},
    http::{HttpError, Reply, get},
    metrics::Metrics,
    process::{Process, ProcessError},
    wait::{Late, wait_until},
};

/// Ports of services, and how many are tried.
const PORTS: Range<u16> = 10_000..30_000;
const TRIES: usize = 100;

/// What can go wrong with a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It is not built.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// No free port on the loopback.
    #[error("finding a free port")]
    Port(#[source] io::Error),
    /// Its process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its admin port.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It ended before it was ready.
    #[error("{name} ended before it was ready: {stderr}")]
    Ended {
        /// The service.
        name: String,
        /// What it said.
        stderr: String,
    },
    /// It was not ready in time.
    #[error("{name} was not ready: {stderr}")]
    NotReady {
        /// The service.
        name: String,
        /// What it said.
        stderr: String,
        /// The deadline that passed.
        #[source]
        source: Late,
    },
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    process: Process,
    admin: SocketAddr,
}

impl Service {
    /// Starts the binary `program` of this workspace as `name`, with `args` and with `--admin` and a free port of
    /// the loopback; its output goes to files in `folder`.
    ///
    /// # Errors
    /// [`ServiceError`]; that it runs does not say that it is ready.
    pub fn start<A: AsRef<std::ffi::OsStr>>(
        program: &str,
        name: &str,
        args: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> Result<Self, ServiceError> {
        Self::start_in(program, name, args, &[], folder)
    }

    /// The same, with more variables in its environment.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn start_in<A: AsRef<std::ffi::OsStr>>(
        program: &str,
        name: &str,
        args: impl IntoIterator<Item = A>,
        env: &[(&str, String)],
        folder: &Path,
    ) -> Result<Self, ServiceError> {
        let admin = free_port().map_err(ServiceError::Port)?;
        let mut command = Command::new(binary(program)?);
        command.args(args).envs(env.iter().map(|(key, value)| (key, value)));
        Self::start_at(admin, name, command, folder)
    }

    /// Starts `command` with its admin port at `admin`, where others look for it before it is there.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn start_at(
        admin: SocketAddr,
        name: &str,
        mut command: Command,
        folder: &Path,
    ) -> Result<Self, ServiceError> {
        command.arg("--admin").arg(admin.to_string());
        Ok(Self { process: Process::start(name, command, folder)?, admin })
    }

    /// Its process: signals, output, memory.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where its admin port is.
    pub fn addr(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// [`ServiceError::Ended`], [`ServiceError::NotReady`].
    pub fn wait_ready(&mut self, deadline: Duration) -> Result<(), ServiceError> {
        let name = self.process.name().to_owned();
        let mut ended = false;
        let waited = wait_until("/readyz", deadline, || {
            ended = !matches!(self.process.ended(), Ok(None));
            ended || self.get("/readyz").is_ok_and(|reply| reply.status == 200)
        });
        let stderr = self.process.stderr();
        match waited {
            _ if ended => Err(ServiceError::Ended { name, stderr }),
            Ok(()) => Ok(()),
            Err(source) => Err(ServiceError::NotReady { name, stderr, source }),
        }
    }

    /// Gets a path of its admin port.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get(&self, path: &str) -> Result<Reply, HttpError> {
        get(self.admin, path)
    }

    /// Scrapes `/metrics`.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn metrics(&self) -> Result<Metrics, HttpError> {
        Ok(Metrics::parse(&self.get("/metrics")?.body))
    }
}

/// A port that was free a moment ago. It is below those that the kernel gives to clients: of them the tests have
/// thousands, and one could take it before the service does.
///
/// # Errors
/// When none was found that is free.
pub fn free_port() -> io::Result<SocketAddr> {
    let begin = usize::try_from(RandomState::new().build_hasher().finish()).unwrap_or_default() % PORTS.len();
    let mut ports = PORTS.cycle().skip(begin).take(TRIES);
    let free = ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    free.ok_or(io::ErrorKind::AddrInUse)?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Service::start("autotiler-nonesuch", "none", ["--version"], folder.path()).unwrap_err();
        assert!(matches!(error, ServiceError::Binary(BinaryError::NotBuilt(_))), "{error}");
    }
}

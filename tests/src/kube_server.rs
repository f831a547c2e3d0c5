//! A real kube-apiserver with its own etcd on free ports of the loopback, which a test can stop, kill and bring back.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use kube::Client;
use nix::sys::signal::Signal;

use crate::{
    binary::{BinaryError, tool},
    kube_keys::{KeysError, KubeKeys},
    process::{Process, ProcessError},
    service::free_port,
    wait::{Late, wait_for},
};

/// From start to ready; idle machines need 4 s.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// From SIGTERM to the end; longer than the server drains.
const STOP_DEADLINE: Duration = Duration::from_secs(90);

/// How long one look at `/readyz` may take.
const LOOK: Duration = Duration::from_secs(2);

/// How much of the log an error tells.
const LOG_LINES: usize = 5;

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error)]
pub enum KubeServerError {
    /// It or etcd is not installed.
    #[error(transparent)]
    Tool(#[from] BinaryError),
    /// Its folder.
    #[error("preparing the folder of kube-apiserver")]
    Folder(#[source] io::Error),
    /// No free port on the loopback.
    #[error("finding a free port")]
    Port(#[source] io::Error),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A client for it.
    #[error("making a client of kube-apiserver")]
    Client(#[source] Box<kube::Error>),
    /// Its process, or etcd's.
    #[error("running kube-apiserver")]
    Process(#[from] ProcessError),
    /// It was not ready in time, or ended before.
    #[error("starting kube-apiserver: {log}")]
    NotReady {
        /// What it said instead.
        log: String,
        /// The deadline that passed.
        #[source]
        source: Late,
    },
}

/// A Kubernetes API of this test alone: no nodes, no controllers, one user who may do anything.
#[derive(Debug)]
pub struct KubeServer {
    // Before etcd, and both before the folder: they are dead when it goes.
    server: Option<Process>,
    _etcd: Process,
    etcd_url: String,
    addr: SocketAddr,
    keys: KubeKeys,
    folder: tempfile::TempDir,
}

impl KubeServer {
    /// Starts it and waits until `/readyz` says yes.
    ///
    /// # Errors
    /// [`KubeServerError`].
    pub fn start() -> Result<Self, KubeServerError> {
        let folder = tempfile::tempdir().map_err(KubeServerError::Folder)?;
        let (etcd, etcd_url) = start_etcd(folder.path())?;
        let addr = free_port().map_err(KubeServerError::Port)?;
        let keys = KubeKeys::make(folder.path())?;
        let mut server = Self { server: None, _etcd: etcd, etcd_url, addr, keys, folder };
        server.keys.write_kubeconfig(&server.url())?;
        server.resume()?;
        Ok(server)
    }

    /// `https://127.0.0.1:PORT`; the same after [`Self::resume`].
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// The kubeconfig for `kubectl` and for processes.
    pub fn kubeconfig(&self) -> &Path {
        &self.keys.kubeconfig
    }

    /// A client in this process; needs tokio around it.
    ///
    /// # Errors
    /// [`KubeServerError::Client`].
    pub fn client(&self) -> Result<Client, KubeServerError> {
        client(self.keys.config(&self.url())?)
    }

    /// `kubectl` for this server.
    ///
    /// # Errors
    /// [`KubeServerError::Tool`] when it is not installed.
    pub fn kubectl(&self) -> Result<Command, KubeServerError> {
        let mut command = Command::new(tool("kubectl")?);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        // Discovery is cached by host and port, which another test's server may have had.
        command.arg("--cache-dir").arg(self.folder.path().join("kubectl"));
        Ok(command)
    }

    /// Starts a stopped server again at the same port, with all that is stored, and waits until it is ready; nothing
    /// to do when it runs.
    ///
    /// # Errors
    /// [`KubeServerError`].
    pub fn resume(&mut self) -> Result<(), KubeServerError> {
        if self.server.is_none() {
            let mut process =
                Process::start("kube-apiserver", self.command(tool("kube-apiserver")?), self.folder.path())?;
            self.wait_ready(&mut process)?;
            self.server = Some(process);
        }
        Ok(())
    }

    /// Stops it in good order; etcd keeps what is stored.
    ///
    /// # Errors
    /// [`KubeServerError::Process`].
    pub fn stop(&mut self) -> Result<(), KubeServerError> {
        if let Some(mut process) = self.server.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(STOP_DEADLINE)?;
        }
        Ok(())
    }

    /// Kills it, as a power cut would; etcd keeps what is stored.
    ///
    /// # Errors
    /// [`KubeServerError::Process`].
    pub fn kill(&mut self) -> Result<(), KubeServerError> {
        if let Some(mut process) = self.server.take() {
            process.kill_all()?;
        }
        Ok(())
    }

    /// Stops its threads without closing its connections, as a dead link looks to a client; undone by
    /// [`Self::thaw`].
    ///
    /// # Errors
    /// [`KubeServerError::Process`].
    pub fn freeze(&self) -> Result<(), KubeServerError> {
        Ok(self.server.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))?)
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// [`KubeServerError::Process`].
    pub fn thaw(&self) -> Result<(), KubeServerError> {
        Ok(self.server.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGCONT))?)
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        let keys = &self.keys;
        command
            .arg(format!("--etcd-servers={}", self.etcd_url))
            .arg(format!("--secure-port={}", self.addr.port()))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .args(["--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC"])
            // Nothing here makes the accounts that pods would need.
            .arg("--disable-admission-plugins=ServiceAccount")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            // Clients keep a connection open; a stop waits for their watches no longer than that.
            .arg("--shutdown-delay-duration=0s");
        for (option, path) in [
            ("tls-cert-file", &keys.certificate),
            ("tls-private-key-file", &keys.key),
            ("token-auth-file", &keys.tokens),
            ("service-account-key-file", &keys.accounts_public),
            ("service-account-signing-key-file", &keys.accounts_private),
        ] {
            command.arg(format!("--{option}={}", path.display()));
        }
        command
    }

    fn wait_ready(&self, process: &mut Process) -> Result<(), KubeServerError> {
        let config = self.keys.config(&self.url())?;
        let mut ended = false;
        // In a thread of its own, so that a test may be in tokio already.
        let waited = thread::scope(|scope| {
            let wait = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(KubeServerError::Folder)?;
                let client = runtime.block_on(async { client(config) })?;
                let waited = wait_for("/readyz of kube-apiserver", START_DEADLINE, || {
                    ended = !matches!(process.ended(), Ok(None));
                    (ended || runtime.block_on(ready(&client))).then_some(())
                });
                Ok::<_, KubeServerError>(waited)
            };
            scope.spawn(wait).join().expect("looking at /readyz does not panic")
        })?;
        let log = || last_lines(&process.stderr());
        match waited {
            Ok(()) if ended => {
                let what = "kube-apiserver, which ended".to_owned();
                Err(KubeServerError::NotReady { log: log(), source: Late { what, deadline: START_DEADLINE } })
            }
            Ok(()) => Ok(()),
            Err(source) => Err(KubeServerError::NotReady { log: log(), source }),
        }
    }
}

/// The end of a long log: a process that ended says why at last.
fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

fn client(config: kube::Config) -> Result<Client, KubeServerError> {
    Client::try_from(config).map_err(|error| KubeServerError::Client(Box::new(error)))
}

async fn ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    let look = tokio::time::timeout(LOOK, client.request_text(request));
    matches!(look.await, Ok(Ok(_)))
}

fn start_etcd(folder: &Path) -> Result<(Process, String), KubeServerError> {
    let [client, peer] = [free_port(), free_port()];
    let client = format!("http://{}", client.map_err(KubeServerError::Port)?);
    let peer = format!("http://{}", peer.map_err(KubeServerError::Port)?);
    let mut command = Command::new(tool("etcd")?);
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}"), "--logger", "zap", "--log-level", "error"])
        // What is stored lives as long as the test.
        .arg("--unsafe-no-fsync");
    Ok((Process::start("etcd", command, folder)?, client))
}

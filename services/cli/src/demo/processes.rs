//! The processes of a demo: found, started, waited for, and gone with their owner.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::common::{CodecArgs, EngineArgs};

/// How long a process may take to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Programs and the options that all of them need.
pub(crate) struct Programs {
    edge: PathBuf,
    decoder: PathBuf,
    gateway: PathBuf,
    controller: PathBuf,
    shaper: PathBuf,
    options: Vec<(&'static str, String)>,
}

impl Programs {
    /// Finds our services beside this program, or on the PATH.
    pub(crate) fn find(engine: &EngineArgs, codec: &CodecArgs) -> anyhow::Result<Self> {
        let beside = std::env::current_exe().context("finding this program's folder")?;
        let find = |name: &str| {
            let near = beside.with_file_name(name);
            if near.exists() { near } else { PathBuf::from(name) }
        };
        let mut options = vec![("AUTOTILER_FFMPEG", codec.ffmpeg.display().to_string())];
        if let Some(library) = &engine.ort_library {
            options.push(("ORT_DYLIB_PATH", library.display().to_string()));
        }
        Ok(Self {
            edge: find("autotiler-edge"),
            decoder: find("autotiler-decoder"),
            gateway: find("autotiler-gateway"),
            controller: find("autotiler-controller"),
            shaper: find("autotiler-shaper"),
            options,
        })
    }

    pub(crate) fn edge(&self) -> Command {
        self.command(&self.edge)
    }

    /// The edge's program, to be started by another one.
    pub(crate) fn edge_program(&self) -> &Path {
        &self.edge
    }

    pub(crate) fn decoder(&self) -> Command {
        self.command(&self.decoder)
    }

    pub(crate) fn gateway(&self) -> Command {
        self.command(&self.gateway)
    }

    pub(crate) fn controller(&self) -> Command {
        self.command(&self.controller)
    }

    /// The shaper's program.
    pub(crate) fn shaper(&self) -> &Path {
        &self.shaper
    }

    fn command(&self, program: &Path) -> Command {
        self.with_options(Command::new(program))
    }

    /// A command with the options that all of our programs need.
    pub(crate) fn with_options(&self, mut command: Command) -> Command {
        command.envs(self.options.iter().map(|(key, value)| (*key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// A child that ends with its owner.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| {
            format!("starting {name} ({:?}): is it installed and on the PATH?", command.get_program())
        })?;
        Ok(Self { name, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs; an error when it failed.
    pub(crate) fn is_running(&mut self) -> anyhow::Result<bool> {
        match self.child.try_wait()? {
            None => Ok(true),
            Some(status) if status.success() => Ok(false),
            Some(status) => anyhow::bail!("{} failed with {status}; its log is above", self.name),
        }
    }

    /// Asks it to end and waits until it did.
    pub(crate) fn terminate(mut self) -> anyhow::Result<()> {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("stopping {}", self.name))?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.is_running()? {
            anyhow::ensure!(Instant::now() < deadline, "{} does not stop", self.name);
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended children give an error that means nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A nats-server of its own on a free port of this machine.
pub(crate) struct Broker {
    _process: Process,
    url: String,
}

impl Broker {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn("nats-server", &mut command)?;
        wait_for(&mut process, || TcpStream::connect(address).is_ok())?;
        Ok(Self { _process: process, url: format!("nats://{address}") })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// An autotiler-decoder that is ready.
pub(crate) struct Decoder(Process);

impl Decoder {
    pub(crate) fn start(programs: &Programs, broker: &Broker, model: &Path) -> anyhow::Result<Self> {
        let admin = free_address()?;
        let mut command = programs.decoder();
        command.arg("--model").arg(model).args(["--nats", broker.url()]);
        command.args(["--admin", &admin.to_string(), "--score-threshold", "0.005", "--log", "warn"]);
        let mut process = Process::spawn("autotiler-decoder", &mut command)?;
        wait_for(&mut process, || answers(admin, "/readyz"))?;
        Ok(Self(process))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.0.terminate()
    }
}

/// Waits until a process that was just started does what it is for.
pub(crate) fn wait_for(process: &mut Process, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        anyhow::ensure!(process.is_running()?, "{} ended before it was ready", process.name);
        anyhow::ensure!(Instant::now() < deadline, "{} is not ready after {PATIENCE:?}", process.name);
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Whether a page answers 200.
pub(crate) fn answers(admin: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(admin)?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.lines().next().is_some_and(|status| status.contains(" 200 ")))
    };
    ask().unwrap_or(false)
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr()?)
}

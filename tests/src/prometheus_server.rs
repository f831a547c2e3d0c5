//! A real Prometheus on a free port of the loopback, which a test can stop, kill and bring back.

use std::{fs, io, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    binary::{BinaryError, tool},
    http::{HttpError, get},
    process::{Process, ProcessError},
    service::free_port,
    wait::{Late, wait_until},
};

/// From start to ready; idle machines need half a second.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// From SIGTERM to the end.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusServerError {
    /// It is not installed.
    #[error(transparent)]
    Tool(#[from] BinaryError),
    /// Its folder or a file in it.
    #[error("preparing the folder of prometheus")]
    Folder(#[source] io::Error),
    /// No free port on the loopback.
    #[error("finding a free port")]
    Port(#[source] io::Error),
    /// Its process.
    #[error("running prometheus")]
    Process(#[from] ProcessError),
    /// It was not ready in time, or ended before.
    #[error("starting prometheus: {log}")]
    NotReady {
        /// What it said instead.
        log: String,
        /// The deadline that passed.
        #[source]
        source: Late,
    },
    /// It did not answer.
    #[error("asking prometheus")]
    Http(#[from] HttpError),
    /// It refused a query.
    #[error("asking prometheus: {0}")]
    Refused(String),
}

/// A Prometheus of this test alone.
#[derive(Debug)]
pub struct PrometheusServer {
    // Before the folder, so that it is dead when the folder goes.
    process: Option<Process>,
    addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl PrometheusServer {
    /// Starts it and waits until it is ready; it scrapes `/metrics` of `targets`.
    ///
    /// # Errors
    /// [`PrometheusServerError`].
    pub fn start(targets: &[SocketAddr], scrape_interval: Duration) -> Result<Self, PrometheusServerError> {
        let folder = tempfile::tempdir().map_err(PrometheusServerError::Folder)?;
        let addr = free_port().map_err(PrometheusServerError::Port)?;
        let mut server = Self { process: None, addr, folder };
        let every = format!("{}ms", scrape_interval.as_millis());
        // JSON is YAML too.
        let config = json!({
            "global": {"scrape_interval": every, "scrape_timeout": every},
            "scrape_configs": [{
                "job_name": "autotiler",
                "honor_labels": true,
                "file_sd_configs": [{"files": [server.path("targets.json")]}],
            }],
        });
        server.write("prometheus.yml", &config)?;
        server.set_targets(targets)?;
        server.resume()?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`; the same after [`Self::resume`].
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Changes what it scrapes; a running server notices by itself.
    ///
    /// # Errors
    /// [`PrometheusServerError::Folder`].
    pub fn set_targets(&self, targets: &[SocketAddr]) -> Result<(), PrometheusServerError> {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        self.write("targets.json", &json!([{ "targets": targets }]))
    }

    /// Asks for the value of a query now: the `result` of the answer, a list of `{metric, value: [time, text]}`.
    ///
    /// # Errors
    /// [`PrometheusServerError::Http`], [`PrometheusServerError::Refused`].
    pub fn query(&self, promql: &str) -> Result<Vec<Value>, PrometheusServerError> {
        let reply = get(self.addr, &format!("/api/v1/query?query={}", escape(promql)))?;
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        match answer.pointer("/data/result") {
            Some(Value::Array(result)) => Ok(result.clone()),
            _ => Err(PrometheusServerError::Refused(reply.body)),
        }
    }

    /// Starts a stopped server again at the same port, with what it had stored, and waits until it is ready; nothing
    /// to do when it runs.
    ///
    /// # Errors
    /// [`PrometheusServerError`].
    pub fn resume(&mut self) -> Result<(), PrometheusServerError> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut command = Command::new(tool("prometheus")?);
        command
            .arg(format!("--config.file={}", self.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", self.path("data").display()))
            .arg(format!("--web.listen-address={}", self.addr))
            .arg("--log.level=warn");
        let mut process = Process::start("prometheus", command, self.folder.path())?;
        let mut ended = false;
        let waited = wait_until("/-/ready of prometheus", START_DEADLINE, || {
            ended = !matches!(process.ended(), Ok(None));
            ended || get(self.addr, "/-/ready").is_ok_and(|reply| reply.status == 200)
        });
        let ended =
            ended.then(|| Late { what: "prometheus, which ended".to_owned(), deadline: START_DEADLINE });
        if let Some(source) = waited.err().or(ended) {
            return Err(PrometheusServerError::NotReady { log: process.stderr(), source });
        }
        self.process = Some(process);
        Ok(())
    }

    /// Stops it in good order and waits for its end.
    ///
    /// # Errors
    /// [`PrometheusServerError::Process`].
    pub fn stop(&mut self) -> Result<(), PrometheusServerError> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(STOP_DEADLINE)?;
        }
        Ok(())
    }

    /// Kills it, as a power cut would.
    ///
    /// # Errors
    /// [`PrometheusServerError::Process`].
    pub fn kill(&mut self) -> Result<(), PrometheusServerError> {
        if let Some(mut process) = self.process.take() {
            process.kill_all()?;
        }
        Ok(())
    }

    /// Stops its threads without closing its connections: it takes questions and does not answer; undone by
    /// [`Self::thaw`].
    ///
    /// # Errors
    /// [`PrometheusServerError::Process`].
    pub fn freeze(&self) -> Result<(), PrometheusServerError> {
        Ok(self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))?)
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// [`PrometheusServerError::Process`].
    pub fn thaw(&self) -> Result<(), PrometheusServerError> {
        Ok(self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::SIGCONT))?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes whole files only: the server may be reading.
    fn write(&self, name: &str, value: &Value) -> Result<(), PrometheusServerError> {
        let part = self.path("part");
        let written = fs::write(&part, value.to_string()).and_then(|()| fs::rename(&part, self.path(name)));
        written.map_err(PrometheusServerError::Folder)
    }
}

/// Percent-encodes all but letters and digits.
fn escape(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn up(server: &PrometheusServer) -> Vec<Value> {
        server.query("up{job=\"autotiler\"} == 1").unwrap()
    }

    #[test]
    fn scrapes_its_targets_and_keeps_their_samples_over_a_kill() {
        let mut server = PrometheusServer::start(&[], Duration::from_millis(200)).unwrap();
        assert!(up(&server).is_empty());
        // It has metrics of its own.
        server.set_targets(&[server.addr]).unwrap();
        wait_until("the first scrape", SOON, || up(&server).len() == 1).unwrap();
        let scrapes = "count_over_time(up{job=\"autotiler\"}[1h]) > 2";
        wait_until("three scrapes", SOON, || server.query(scrapes).unwrap().len() == 1).unwrap();
        server.kill().unwrap();
        assert!(server.query("up").is_err());
        server.resume().unwrap();
        assert_eq!(server.query(scrapes).unwrap().len(), 1);
    }

    #[test]
    fn a_bad_query_is_refused_in_its_own_words() {
        let server = PrometheusServer::start(&[], Duration::from_secs(1)).unwrap();
        let error = server.query("up{").unwrap_err().to_string();
        assert!(error.contains("parse error"), "{error}");
    }
}

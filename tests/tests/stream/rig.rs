//! What every scenario needs: a broker, a model, services, and the accounts at the end.

use std::{path::PathBuf, time::Duration};

use autotiler_core::Digest;
use autotiler_tests::{NatsServer, NatsServerOptions, Service, wait_until};
use tempfile::TempDir;

use crate::{accounts::Accounts, model};

/// From the start of a service to its readiness, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// What the issue allows: after a fault the stream goes on within this time.
pub(crate) const GOES_ON: Duration = Duration::from_secs(5);

/// Whatever has no limit of its own: long enough for a busy machine, short enough to end a hanging test.
pub(crate) const AT_LAST: Duration = Duration::from_secs(60);

/// A broker, a model and a folder for all that is written.
pub(crate) struct Rig {
    pub(crate) nats: NatsServer,
    pub(crate) folder: TempDir,
    pub(crate) network: Digest,
}

/// A device process and its files.
pub(crate) struct Edge {
    pub(crate) service: Service,
    report: PathBuf,
    results: PathBuf,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(NatsServerOptions::default())
    }

    pub(crate) fn with(options: NatsServerOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = model::create(&folder.path().join("model")).manifest.digest;
        Self { nats: NatsServer::start_with(options).unwrap(), folder, network }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Options that both services take.
    fn common(&self) -> Vec<String> {
        let model = self.path("model").display().to_string();
        vec!["--model".to_owned(), model, "--nats".to_owned(), self.nats.url()]
    }

    /// Starts a decoder called `name` and waits until it is ready.
    pub(crate) fn decoder(&self, name: &str, more: &[&str]) -> Service {
        let mut decoder = self.unready_decoder(name, more);
        decoder.wait_ready(READY).unwrap();
        decoder
    }

    pub(crate) fn unready_decoder(&self, name: &str, more: &[&str]) -> Service {
        let mut args = self.common();
        // Untrained scores are low.
        for (option, value) in [("--score-threshold", "0.001"), ("--max-detections", "50")] {
            if !more.contains(&option) {
                args.extend([option.to_owned(), value.to_owned()]);
            }
        }
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        Service::start("autotiler-decoder", name, args, self.folder.path()).unwrap()
    }

    /// Starts a device called `name` at `point`; it is ready some time later.
    pub(crate) fn edge(&self, name: &str, point: &str, more: &[&str]) -> Edge {
        let (report, results) =
            (self.path(&format!("{name}.report.json")), self.path(&format!("{name}.results.jsonl")));
        let mut args = self.common();
        args.extend(["--device", name, "--point", point, "--score", "0.001"].map(str::to_owned));
        for (option, file) in [("--report", &report), ("--results", &results)] {
            if !more.contains(&option) {
                args.extend([option.to_owned(), file.display().to_string()]);
            }
        }
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        let service = Service::start("autotiler-edge", name, args, self.folder.path()).unwrap();
        Edge { service, report, results }
    }
}

impl Edge {
    /// Frames so far whose detections came.
    pub(crate) fn received(&self) -> f64 {
        self.counted("received")
    }

    /// Whether `/readyz` says so.
    pub(crate) fn is_ready(&self) -> bool {
        self.service.get("/readyz").is_ok_and(|reply| reply.status == 200)
    }

    /// `autotiler_edge_frames_<what>_total`, all labels together; 0 while the admin port does not answer.
    pub(crate) fn counted(&self, what: &str) -> f64 {
        let metrics = self.service.metrics().unwrap_or_default();
        metrics.sum(&format!("autotiler_edge_frames_{what}_total"), &[])
    }

    /// Waits until `more` frames are received on top of those now.
    pub(crate) fn wait_received(&self, more: f64, deadline: Duration) {
        let goal = self.received() + more;
        wait_until(&format!("{goal} received frames"), deadline, || self.received() >= goal).unwrap();
    }

    /// Waits for its end in good order and gives its closed accounts.
    pub(crate) fn accounts(mut self) -> Accounts {
        let status = self.service.process().wait(AT_LAST).unwrap();
        assert!(status.success(), "{status}: {}", self.service.process().stderr());
        Accounts::read(&self.report, &self.results)
    }
}

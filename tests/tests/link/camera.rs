//! The device's process at the far end of the link, watched through the lines that it writes: they cost the link nothing.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    time::Duration,
};

use autotiler_tests::{Service, Signal, wait_for};
use serde_json::Value;

use crate::{
    accounts::Accounts,
    audit,
    site::{AT_LAST, Site},
};

pub(crate) struct Camera {
    service: Service,
    report: PathBuf,
    results: PathBuf,
    /// Lines that are read already.
    seen: Vec<Value>,
    tail: Option<BufReader<File>>,
    /// The beginning of a line whose end is not written yet.
    begun: String,
}

impl Camera {
    pub(crate) fn start(site: &Site, run: &str, args: &[&str]) -> Self {
        let [report, results] =
            ["report.json", "results.jsonl"].map(|file| site.path(&format!("{run}.{file}")));
        let (model, nats) = (audit::model_dir().display().to_string(), site.nats.url());
        let files = [report.display().to_string(), results.display().to_string()];
        let own = [
            "--model",
            &model,
            "--nats",
            &nats,
            "--device",
            "cam",
            "--report",
            &files[0],
            "--results",
            &files[1],
        ];
        let args = [&own[..], args].concat();
        let start = || Service::start("autotiler-edge", run, &args, site.folder.path());
        let service = site.link.at_device(start).unwrap().unwrap();
        Self { service, report, results, seen: Vec::new(), tail: None, begun: String::new() }
    }

    /// The frames so far, in the order in which their fate was known.
    pub(crate) fn frames(&mut self) -> &[Value] {
        if self.tail.is_none() {
            self.tail = File::open(&self.results).ok().map(BufReader::new);
        }
        if let Some(tail) = &mut self.tail {
            while tail.read_line(&mut self.begun).unwrap() > 0 && self.begun.ends_with('\n') {
                self.seen.push(serde_json::from_str(&self.begun).unwrap());
                self.begun.clear();
            }
        }
        &self.seen
    }

    /// Waits for a frame, among those whose fate is known from now on, for which `condition` holds; gives it.
    pub(crate) fn see(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.see_within(what, AT_LAST, condition)
            .unwrap_or_else(|| panic!("no frame {what}: {:#?}", self.seen.last()))
    }

    /// The same, with a deadline after which there is none.
    pub(crate) fn see_within(
        &mut self,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let mut next = self.frames().len();
        wait_for(what, deadline, || {
            let from = std::mem::replace(&mut next, self.frames().len());
            self.seen[from..next].iter().find(|line| condition(line)).cloned()
        })
        .ok()
    }

    /// Waits for so many frames received at `point` from now on.
    pub(crate) fn see_many(&mut self, count: usize, point: &str) {
        (0..count).for_each(|_| {
            self.see(&format!("received at {point}"), |line| is_received_at(line, point));
        });
    }

    /// Its process, which a scenario may kill.
    pub(crate) fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Tells it to end, and gives its closed accounts.
    pub(crate) fn stop(mut self) -> Accounts {
        self.service.process().signal(Signal::SIGTERM).unwrap();
        let status = self.service.process().wait(AT_LAST).unwrap();
        assert!(status.success(), "{status}: {}", self.service.process().stderr());
        Accounts::read(&self.report, &self.results)
    }
}

/// Whether a frame was received, at `point`.
pub(crate) fn is_received_at(line: &Value, point: &str) -> bool {
    line["outcome"] == "received" && line["point"] == point
}

//! The accounts of a stream at its end: every frame has exactly one fate.

use std::{fs, path::Path};

use serde_json::Value;

/// The accounts of one stream: the report, and a line for each frame.
pub(crate) struct Accounts {
    pub(crate) report: Value,
    pub(crate) lines: Vec<Value>,
}

impl Accounts {
    /// Reads the files of a stream that has ended, and holds them to its accounts.
    pub(crate) fn read(report: &Path, results: &Path) -> Self {
        let report = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        let results = fs::read_to_string(results).unwrap_or_default();
        let lines = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let accounts = Self { report, lines };
        accounts.assert_closed();
        accounts
    }

    pub(crate) fn count(&self, what: &str) -> u64 {
        self.report[what].as_u64().unwrap_or_else(|| panic!("{what} in {:#}", self.report))
    }

    /// The sum over all reasons.
    pub(crate) fn sum(&self, what: &str) -> u64 {
        let reasons = self.report[what].as_object().unwrap();
        reasons.values().map(|count| count.as_u64().unwrap()).sum()
    }

    /// Every frame has exactly one fate, in the report as in the lines.
    pub(crate) fn assert_closed(&self) {
        let Self { report, lines } = self;
        assert_eq!(self.count("captured"), self.count("sent") + self.sum("dropped"), "{report:#}");
        assert_eq!(self.count("sent"), self.count("received") + self.sum("lost"), "{report:#}");
        if lines.is_empty() {
            return;
        }
        let with = |outcome: &str| lines.iter().filter(|line| line["outcome"] == outcome).count() as u64;
        assert_eq!(with("received"), self.count("received"), "{report:#}");
        assert_eq!(with("lost"), self.sum("lost"), "{report:#}");
        assert_eq!(with("dropped"), self.sum("dropped"), "{report:#}");
    }

    /// The lines as the source gave the frames.
    pub(crate) fn in_order(&self) -> Vec<&Value> {
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|line| line["sequence"].as_u64());
        lines
    }

    /// All `frames` arrived and nothing went wrong.
    pub(crate) fn assert_all_received(&self, frames: u64) {
        for what in ["captured", "sent", "received"] {
            assert_eq!(self.count(what), frames, "{:#}", self.report);
        }
    }
}

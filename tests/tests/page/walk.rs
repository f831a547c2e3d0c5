//! A script of tests/browser at work.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use autotiler_tests::{Process, wait_for};

/// Whatever a walk waits for, on a busy machine; each of its own waits ends sooner, and says more.
const AT_LAST: Duration = Duration::from_secs(120);

/// A walk through the page.
pub(crate) struct Walk {
    process: Process,
    /// Lines that were waited for.
    read: usize,
}

impl Walk {
    /// Starts `walk.py NAME ARGS`; its output goes to files in `folder`.
    pub(crate) fn start(folder: &Path, name: &str, args: &[&str]) -> Self {
        let process = Process::start(name, script("walk.py", name, args), folder).unwrap();
        Self { process, read: 0 }
    }

    /// Waits until it says `cue`.
    pub(crate) fn sees(&mut self, cue: &str) {
        let line = self.line();
        assert_eq!(line, cue, "{}", self.process.stderr());
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let line = wait_for("the next word of the walk", AT_LAST, || {
            // In this order: what it said last may come just before its end.
            let ended = !matches!(self.process.ended(), Ok(None));
            let said = self.process.stdout();
            match said.split_inclusive('\n').nth(self.read).and_then(|line| line.strip_suffix('\n')) {
                Some(line) => Some(Some(line.to_owned())),
                None => ended.then_some(None),
            }
        });
        self.read += 1;
        let said = line.unwrap_or_else(|late| panic!("{late}: {}", self.process.stderr()));
        said.unwrap_or_else(|| panic!("it ended before: {}", self.process.stderr()))
    }

    /// Waits until it has come to its end, and all was well.
    pub(crate) fn ends(self) {
        self.ends_within(AT_LAST);
    }

    /// The same, of one that takes its time.
    pub(crate) fn ends_within(mut self, deadline: Duration) {
        let status = self.process.wait(deadline).unwrap();
        assert!(status.success(), "{}", self.process.stderr());
    }
}

fn script(file: &str, walk: &str, args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    // No compiled scripts in the tree.
    command.arg("-B").arg(folder.join(file)).arg(walk).args(args);
    command
}

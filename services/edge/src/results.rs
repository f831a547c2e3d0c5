//! The results file: one JSON line for each frame, written on a thread of its own.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use prometheus::IntCounter;

/// Lines that may wait for the disk.
const CAPACITY: usize = 1024;

/// The results file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("creating the results file {path}")]
pub struct ResultsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes lines without holding up whoever gives them. A line that finds no room, or a full disk, is counted.
#[derive(Debug)]
pub struct Results {
    lines: SyncSender<String>,
    lost: IntCounter,
    writer: JoinHandle<()>,
}

impl Results {
    /// Creates the file.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn create(path: &Path, lost: IntCounter) -> Result<Self, ResultsError> {
        let failed = |source| ResultsError { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        Self::spawn(file, lost).map_err(failed)
    }

    fn spawn(file: impl Write + Send + 'static, lost: IntCounter) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(CAPACITY);
        let uncounted = lost.clone();
        let writer = std::thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || write_all(&waiting, file, &uncounted))?;
        Ok(Self { lines, lost, writer })
    }

    /// Gives one line, without its end.
    pub fn give(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.lost.inc();
        }
    }

    /// Waits until all is written.
    pub fn finish(self) {
        drop(self.lines);
        if self.writer.join().is_err() {
            tracing::error!("the results writer panicked");
        }
    }
}

fn write_all(lines: &Receiver<String>, file: impl Write, lost: &IntCounter) {
    let mut file = BufWriter::new(file);
    let mut said = false;
    for line in lines {
        // Flushed line by line: whoever follows the file sees each frame at once.
        let written = writeln!(file, "{line}").and_then(|()| file.flush());
        if let Err(error) = written {
            lost.inc();
            if !said {
                tracing::error!(%error, "writing results; the stream goes on without them");
                said = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_reach_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.jsonl");
        let lost = IntCounter::new("lost", "lost").unwrap();
        let results = Results::create(&path, lost.clone()).unwrap();
        (0..3).for_each(|n| results.give(format!("{{\"n\":{n}}}")));
        results.finish();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_full_disk_is_counted_and_ends_nothing() {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let results = Results::spawn(Disk(20), lost.clone()).unwrap();
        (0..5).for_each(|_| results.give("123456789".to_owned()));
        results.finish();
        assert!(lost.get() >= 3, "{}", lost.get());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let error = Results::create(Path::new("/absent/results.jsonl"), lost).unwrap_err();
        assert!(error.to_string().contains("/absent/results.jsonl"));
    }
}

//! A network namespace without a name: it ends with the last thread, process or handle in it, so that not even a
//! killed test leaves one behind.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    panic,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
};

/// Where the kernel shows the namespace of the thread that looks.
const OWN: &str = "/proc/thread-self/ns/net";

/// A handle on a namespace.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// An empty one, with its loopback down.
    pub(super) fn new() -> io::Result<Self> {
        // Of a thread of its own, for there is no way back.
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(Path::new(OWN))
        };
        let made = thread::scope(|scope| scope.spawn(make).join());
        Ok(Self(made.unwrap_or_else(|cause| panic::resume_unwind(cause))?))
    }

    /// Moves the calling thread, and with it all that it starts from now on.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        setns(&self.0, CloneFlags::CLONE_NEWNET)
    }

    /// Does `work` in there, on a thread of its own.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Errno> {
        let inside = || {
            self.enter()?;
            Ok(work())
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// How other processes reach it while this handle lives.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }
}

//! One ffmpeg child and its three pipes.
//!
//! Standard input and output are written and read by the caller's own thread in one `poll` loop: neither a full
//! pipe nor a stuck child can hold it beyond the deadline. Standard error is drained by a thread of its own.
//! The child is killed and waited for when the owner is dropped, whatever happened before.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ffmpeg_sidecar::{child::FfmpegChild, command::FfmpegCommand};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Bytes of standard error that are kept for messages.
const STDERR_TAIL_LEN: usize = 2048;
/// Bytes read at once.
const CHUNK_LEN: usize = 1 << 16;
/// How long a child that closed its output gets to leave by itself, so that its exit status is its own.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// Least limit for the first frame of a child, which loads libraries and opens codecs first.
pub(crate) const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(10);

/// What went wrong with the ffmpeg child.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("start {}", ffmpeg.display())]
    Spawn {
        /// The program.
        ffmpeg: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It left or was killed in mid-stream.
    #[error("ffmpeg left ({status}); last words: {stderr:?}")]
    Crashed {
        /// How.
        status: ExitStatus,
        /// End of its standard error.
        stderr: String,
    },
    /// It did not answer in time, and was killed.
    #[error("ffmpeg did not answer within {after:?}; last words: {stderr:?}")]
    TimedOut {
        /// The limit.
        after: Duration,
        /// End of its standard error.
        stderr: String,
    },
    /// It wrote when nothing was asked of it: its output no longer belongs to the input.
    #[error("ffmpeg wrote output that no input asked for")]
    OutOfStep,
    /// A pipe failed.
    #[error("talk to ffmpeg")]
    Pipe(#[source] io::Error),
}

/// A running ffmpeg.
pub(crate) struct Process {
    child: FfmpegChild,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: StderrTail,
    chunk: Box<[u8]>,
}

impl Process {
    /// Starts `ffmpeg` with all three pipes.
    pub(crate) fn spawn(ffmpeg: &Path, args: &[String]) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Spawn { ffmpeg: ffmpeg.to_owned(), source };
        let mut command = FfmpegCommand::new_with_path(ffmpeg);
        command.args(args);
        // Ctrl-C goes to the whole foreground group; ffmpeg must live on until its owner has drained.
        command.as_inner_mut().process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.take_stdin(), child.take_stdout(), child.take_stderr());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(failed(io::Error::other("a pipe is missing")));
        };
        let stderr = StderrTail::drain(stderr).map_err(failed)?;
        let process =
            Self { child, stdin: Some(stdin), stdout, stderr, chunk: vec![0; CHUNK_LEN].into_boxed_slice() };
        // From here on `process` kills the child on an early return.
        process.set_nonblocking().map_err(failed)?;
        Ok(process)
    }

    /// Process id, for tests and logs.
    pub(crate) fn id(&mut self) -> u32 {
        self.child.as_inner().id()
    }

    /// Whether the child has not ended, as far as the system says.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.as_inner_mut().try_wait(), Ok(None))
    }

    /// Writes all of `input`, and reads into `inbox` until `answer` finds in it what it looks for.
    ///
    /// An error leaves the two sides out of step: the process must be dropped then.
    pub(crate) fn exchange<T>(
        &mut self,
        input: &[u8],
        inbox: &mut Vec<u8>,
        within: Duration,
        mut answer: impl FnMut(&mut Vec<u8>) -> Option<T>,
    ) -> Result<T, ProcessError> {
        let unasked = self.wait(false, Duration::ZERO)?.1 && self.read(inbox)? > 0;
        if unasked || !inbox.is_empty() {
            return Err(ProcessError::OutOfStep);
        }
        let deadline = Instant::now() + within;
        let mut unwritten = input;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (_, stderr) = self.end(Duration::ZERO)?;
                return Err(ProcessError::TimedOut { after: within, stderr });
            }
            let (writable, readable) = self.wait(!unwritten.is_empty(), left)?;
            if writable {
                let written = self.write(unwritten)?;
                unwritten = unwritten.get(written..).unwrap_or_default();
            }
            if readable {
                self.read(inbox)?;
            }
            if unwritten.is_empty()
                && let Some(found) = answer(inbox)
            {
                return Ok(found);
            }
        }
    }

    /// Waits until standard input takes bytes (if asked for) or standard output has some or ended.
    fn wait(&self, for_input: bool, limit: Duration) -> Result<(bool, bool), ProcessError> {
        let output = PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN);
        let mut fds = vec![output];
        if let Some(stdin) = self.stdin.as_ref().filter(|_| for_input) {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        }
        // Rounded up: a limit below a millisecond must not become a busy loop.
        let millis = u16::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(ProcessError::Pipe(errno.into())),
        }
        let any = |fd: Option<&PollFd<'_>>| fd.and_then(PollFd::any).unwrap_or(false);
        Ok((any(fds.get(1)), any(fds.first())))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ProcessError> {
        let Some(stdin) = &mut self.stdin else { return Err(self.crashed()) };
        match stdin.write(bytes) {
            Ok(0) => Err(self.crashed()),
            Ok(written) => Ok(written),
            Err(error) if is_not_yet(&error) => Ok(0),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(self.crashed()),
            Err(error) => Err(ProcessError::Pipe(error)),
        }
    }

    fn read(&mut self, inbox: &mut Vec<u8>) -> Result<usize, ProcessError> {
        match self.stdout.read(&mut self.chunk) {
            Ok(0) => Err(self.crashed()),
            Ok(len) => {
                inbox.extend(self.chunk.iter().take(len));
                Ok(len)
            }
            Err(error) if is_not_yet(&error) => Ok(0),
            Err(error) => Err(ProcessError::Pipe(error)),
        }
    }

    fn crashed(&mut self) -> ProcessError {
        match self.end(LEAVE_WITHIN) {
            Ok((status, stderr)) => ProcessError::Crashed { status, stderr },
            Err(error) => error,
        }
    }

    /// Sees the child out: by itself within `patience`, killed after it. Returns its status and last words.
    fn end(&mut self, patience: Duration) -> Result<(ExitStatus, String), ProcessError> {
        self.stdin = None;
        let deadline = Instant::now() + patience;
        let status = loop {
            match self.child.as_inner_mut().try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if Instant::now() < deadline => std::thread::park_timeout(Duration::from_millis(2)),
                // Killing what has just left is no fault.
                _ => {
                    self.child.kill().ok();
                    break self.child.wait();
                }
            }
        };
        let stderr = self.stderr.finish();
        Ok((status.map_err(ProcessError::Pipe)?, stderr))
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        fcntl(&self.stdout, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        if let Some(stdin) = &self.stdin {
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("stderr", &self.stderr).finish_non_exhaustive()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end(Duration::ZERO) {
            tracing::warn!(%error, "ffmpeg could not be waited for");
        }
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Thread that empties standard error into the log, and the last bytes that it saw.
#[derive(Debug)]
struct StderrTail {
    tail: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl StderrTail {
    fn drain(mut stderr: ChildStderr) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&tail);
        let run = move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = stderr.read(&mut chunk) {
                let said = chunk.get(..len).unwrap_or_default();
                tracing::warn!(text = %String::from_utf8_lossy(said).trim_end(), "ffmpeg says");
                let mut tail = shared.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend(said);
                let surplus = tail.len().saturating_sub(STDERR_TAIL_LEN);
                tail.drain(..surplus);
            }
        };
        let thread = std::thread::Builder::new().name("ffmpeg-stderr".into()).spawn(run)?;
        Ok(Self { tail, thread: Some(thread) })
    }

    /// The last words of a child that has ended.
    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

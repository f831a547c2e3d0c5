//! A child process in a group of its own, with its output in files; dropping it kills and waits for all of it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, SysconfVar, sysconf},
};

use crate::wait::{Late, wait_for, wait_until};

/// How long the kernel may take to end a killed group.
const DEATH_DEADLINE: Duration = Duration::from_secs(5);

/// How much of its output a failed test prints of each process.
const TAIL_LINES: usize = 40;

/// What can go wrong with a child process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An output file could not be made.
    #[error("making the output file {}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// It did not start.
    #[error("starting {name}")]
    Start {
        /// The process.
        name: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// It could not be asked whether it has ended.
    #[error("waiting for {name}")]
    Wait {
        /// The process.
        name: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The signal did not arrive.
    #[error("sending {signal} to {name}")]
    Signal {
        /// The process.
        name: String,
        /// The signal.
        signal: Signal,
        /// The system's own words.
        #[source]
        source: Errno,
    },
    /// It could not be bound to a core.
    #[error("binding {name} to a core")]
    Pin {
        /// The process.
        name: String,
        /// The system's own words.
        #[source]
        source: Errno,
    },
    /// It has not ended in time.
    #[error(transparent)]
    Late(#[from] Late),
}

/// A running child process and, in its process group, whatever it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to `NAME.stdout` and `NAME.stderr` in `folder`, appended to what is there.
    ///
    /// # Errors
    /// [`ProcessError::Output`], [`ProcessError::Start`].
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self, ProcessError> {
        let (stdout, stderr) = (folder.join(format!("{name}.stdout")), folder.join(format!("{name}.stderr")));
        let child = command
            .stdin(Stdio::null())
            .stdout(output_file(&stdout)?)
            .stderr(output_file(&stderr)?)
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::Start { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// Its name in this test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is also that of its group.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// The lines of stdout that are JSON: its report, or detections as JSON lines.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sends a signal to the process alone, not to what it started.
    ///
    /// # Errors
    /// [`ProcessError::Signal`].
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        kill(self.pid(), signal).map_err(|source| ProcessError::Signal {
            name: self.name.clone(),
            signal,
            source,
        })
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// [`ProcessError::Wait`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child.try_wait().map_err(|source| ProcessError::Wait { name: self.name.clone(), source })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::Late`] when it still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, ProcessError> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, deadline, || self.ended().transpose())?
    }

    /// The ids of the running processes that it or one of its children started and whose command is `command`, for
    /// instance `ffmpeg`.
    pub fn children(&self, command: &str) -> Vec<Pid> {
        let below = descendants(self.pid(), &processes());
        below.into_iter().filter(|entry| entry.command == command).map(|entry| entry.pid).collect()
    }

    /// The number of its ended children that it never waited for.
    pub fn zombies(&self) -> usize {
        processes().iter().filter(|process| process.parent == self.pid() && process.state == 'Z').count()
    }

    /// Its resident memory in bytes, without its children; `None` when it has ended.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// Lets it run on one core alone, with all threads that it has and will have.
    ///
    /// # Errors
    /// [`ProcessError::Pin`].
    pub fn pin(&self, core: usize) -> Result<(), ProcessError> {
        let pin = |source| ProcessError::Pin { name: self.name.clone(), source };
        let mut cores = CpuSet::new();
        cores.set(core).map_err(pin)?;
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        for id in threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
            match sched_setaffinity(Pid::from_raw(id), &cores) {
                // It has just ended.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(source) => return Err(pin(source)),
            }
        }
        Ok(())
    }

    /// The processor time that it has used, without its children; `None` when it has ended.
    pub fn processor_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        // Fields 14 and 15; the state was field 3.
        let ticks = fields.nth(11)?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Kills it with its group, and waits until nothing that it started runs any more; what has a group of its own
    /// must have noticed by itself.
    ///
    /// # Errors
    /// [`ProcessError::Late`] when one of them survived.
    pub fn kill_all(&mut self) -> Result<ExitStatus, ProcessError> {
        let (group, table) = (self.pid(), processes());
        let below = descendants(group, &table);
        // ESRCH: the group is empty already.
        let _ = killpg(group, Signal::SIGKILL);
        let status = self.wait(DEATH_DEADLINE)?;
        wait_until(&format!("the end of all that {} started", self.name), DEATH_DEADLINE, || {
            let left = processes();
            left.iter().all(|entry| entry.state == 'Z' || (entry.group != group && !below.contains(entry)))
        })?;
        Ok(status)
    }

    fn print_tail(&self) {
        for (stream, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let lines: Vec<_> = text.lines().collect();
            let from = lines.len().saturating_sub(TAIL_LINES);
            eprintln!("--- {} {stream}, {} of {} lines", self.name, lines.len() - from, lines.len());
            for line in &lines[from..] {
                eprintln!("{line}");
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_tail();
        }
        let below = descendants(self.pid(), &processes());
        if let Err(error) = self.kill_all() {
            eprintln!("{}: {error}", self.name);
            let gone = wait_until("the stragglers", DEATH_DEADLINE, || kill_running(&below) == 0);
            gone.unwrap_or_else(|late| eprintln!("{}: {late}", self.name));
        }
    }
}

/// Kills those of `entries` that still run, and says how many these were.
fn kill_running(entries: &[Entry]) -> usize {
    let table = processes();
    let running: Vec<_> =
        table.iter().filter(|entry| entry.state != 'Z' && entries.contains(entry)).collect();
    for entry in &running {
        // One that ends in between is what we want.
        let _ = kill(entry.pid, Signal::SIGKILL);
    }
    running.len()
}

fn output_file(path: &Path) -> Result<File, ProcessError> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| ProcessError::Output { path: path.to_owned(), source })
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// One line of the process table.
#[derive(Debug, Clone)]
struct Entry {
    pid: Pid,
    parent: Pid,
    group: Pid,
    /// `R`, `S`, `Z`, ... as in proc(5).
    state: char,
    /// The first 15 bytes of the program's name.
    command: String,
    /// Ticks from the machine's start to its own.
    started: u64,
}

/// The same process, whatever became of its parent and its state.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

/// All running processes in `table` that come from `root`.
fn descendants(root: Pid, table: &[Entry]) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in table.iter().filter(|entry| entry.parent == parent && entry.state != 'Z') {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

fn processes() -> Vec<Entry> {
    let folder = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = folder.filter(|entry| is_number(&entry.file_name()));
    numbered.filter_map(|entry| parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

fn is_number(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads `PID (COMMAND) STATE PARENT GROUP ... STARTED ...`; the command may itself hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<Entry> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, command) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut id = || fields.next()?.parse().ok().map(Pid::from_raw);
    let (parent, group) = (id()?, id()?);
    // Field 22; the group was field 5.
    let started = fields.nth(16)?.parse().ok()?;
    let pid = Pid::from_raw(pid.trim().parse().ok()?);
    Some(Entry { pid, parent, group, state, command: command.to_owned(), started })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, folder: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("shell", command, folder).unwrap()
    }

    #[test]
    fn keeps_output_exit_code_and_json_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell(r#"echo hello; echo '{"sent": 3}'; echo oops >&2; exit 7"#, folder.path());
        assert_eq!(process.wait(SOON).unwrap().code(), Some(7));
        assert_eq!(process.stderr(), "oops\n");
        assert_eq!(process.json_lines(), [serde_json::json!({ "sent": 3 })]);
    }

    #[test]
    fn a_signal_reaches_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done", folder.path());
        wait_until("the trap", SOON, || process.stdout() == "up\n").unwrap();
        process.signal(Signal::SIGTERM).unwrap();
        assert_eq!(process.wait(SOON).unwrap().code(), Some(5));
    }

    #[test]
    fn a_process_that_does_not_end_is_late() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("sleep 1000", folder.path());
        let error = process.wait(Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, ProcessError::Late(_)), "{error}");
        assert!(process.resident_bytes().unwrap() > 0);
        assert!(process.processor_time().is_some());
    }

    #[test]
    fn a_pinned_process_has_one_core() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell("sleep 1000", folder.path());
        process.pin(0).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }

    #[test]
    fn dropping_it_ends_the_children_too() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell("sleep 1000 & sleep 1000 & wait", folder.path());
        wait_until("both children", SOON, || process.children("sleep").len() == 2).unwrap();
        let group = process.pid();
        drop(process);
        assert!(!processes().iter().any(|entry| entry.group == group && entry.state != 'Z'));
    }

    #[test]
    fn a_child_with_a_group_of_its_own_is_found_and_ended() {
        // Takes the deadline of a killed group: the child does not notice by itself.
        let folder = tempfile::tempdir().unwrap();
        let process = shell("setsid sleep 1000 & wait", folder.path());
        wait_until("the child", SOON, || process.children("sleep").len() == 1).unwrap();
        let child = process.children("sleep")[0];
        drop(process);
        // The kernel ends a killed process a moment later.
        let ended = || !processes().iter().any(|entry| entry.pid == child && entry.state != 'Z');
        wait_until("the child's end", SOON, ended).unwrap();
    }

    #[test]
    fn reads_a_line_of_the_process_table_with_a_strange_name() {
        let entry = parse_stat("17 (a (b) c) S 3 12 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0 0").unwrap();
        assert_eq!((entry.pid.as_raw(), entry.parent.as_raw(), entry.group.as_raw()), (17, 3, 12));
        assert_eq!((entry.state, entry.command.as_str(), entry.started), ('S', "a (b) c", 555));
        assert!(parse_stat("17 (cut").is_none());
    }
}

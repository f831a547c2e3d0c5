//! What libtorch's threads and memory want to know before they start.

use std::{env, os::unix::process::CommandExt as _, process::Command};

/// Waiting OpenMP threads sleep instead of spinning (the codec needs the cores), and the allocator keeps the
/// buffers of a step for the next one instead of giving them back.
const WANTED: [(&str, &str); 3] = [
    ("OMP_WAIT_POLICY", "passive"),
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
    ("MALLOC_TRIM_THRESHOLD_", "4294967296"),
];

/// Starts this program again with what is missing: libraries read it as they are loaded, before `main`. Where
/// that is not possible the program goes on, only slower.
pub(crate) fn set() {
    let missing: Vec<_> = WANTED.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let error = Command::new(program).args(env::args_os().skip(1)).envs(missing).exec();
        eprintln!("starting again with OMP_WAIT_POLICY=passive: {error}");
    }
}

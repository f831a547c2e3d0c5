//! Where the workspace's binaries and the shared data lie.

use std::{
    env, io,
    path::{Path, PathBuf},
};

/// A binary of this workspace was not found.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// The path of the running test is not known.
    #[error("finding the path of this test")]
    OwnPath(#[source] io::Error),
    /// It is not built: cargo builds no binary for another crate's tests.
    #[error("{} is not there: build it first (cargo build --bins)", .0.display())]
    NotBuilt(PathBuf),
    /// A program that is not ours is not installed.
    #[error(
        "{0} is neither in $KUBEBUILDER_ASSETS nor on PATH: tests/setup/install test, then eval \"$(tests/setup/env)\""
    )]
    NotInstalled(String),
}

/// The path of the binary `name`, built with the same profile into the same target directory as this test.
///
/// # Errors
/// [`BinaryError::NotBuilt`] when `cargo build --bins` was not called before.
pub fn binary(name: &str) -> Result<PathBuf, BinaryError> {
    let own = env::current_exe().map_err(BinaryError::OwnPath)?;
    // A test lies in target/PROFILE/deps, the binaries one level up.
    let path = own.ancestors().nth(2).unwrap_or(Path::new(".")).join(name);
    if path.is_file() { Ok(path) } else { Err(BinaryError::NotBuilt(path)) }
}

/// The path of a program that is not ours, as `etcd`: in `$KUBEBUILDER_ASSETS`, else on `PATH`.
///
/// # Errors
/// [`BinaryError::NotInstalled`].
pub fn tool(name: &str) -> Result<PathBuf, BinaryError> {
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = assets.into_iter().chain(env::split_paths(&path)).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).ok_or_else(|| BinaryError::NotInstalled(name.to_owned()))
}

/// `AUTOTILER_SHARED/data`, by default `../shared/data` seen from the workspace; `None` after a printed line where
/// it is absent, for the test to skip.
pub fn shared_data() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = env::var_os("AUTOTILER_SHARED").map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let data = shared.join("data");
    if !data.is_dir() {
        eprintln!("skipped: {} is absent", data.display());
        return None;
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_is_not_built_is_named_with_the_remedy() {
        let error = binary("autotiler-nonesuch").unwrap_err().to_string();
        assert!(error.contains("autotiler-nonesuch is not there"), "{error}");
        assert!(error.contains("cargo build --bins"), "{error}");
    }
}

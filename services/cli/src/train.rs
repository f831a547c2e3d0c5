//! `autotiler train`: hands over to `autotiler-train`, so that this program needs no libtorch.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::Context as _;

const PROGRAM: &str = "autotiler-train";

/// Train a detector, or all learned tilers of a network by one recipe.
///
/// All arguments go to `autotiler-train`, which is built with libtorch (`make train`); `autotiler train -- --help`
/// and `autotiler train tilers --help` show them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to train and how: `tilers --model DIR --data VOCDIR --preset lite|paper|omni`, or `detector ...`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    args: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(PROGRAM)));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(PROGRAM));
    // On success exec does not return.
    let error = Command::new(&program).args(&args.args).exec();
    Err(error).with_context(|| {
        format!("starting {}: build it with `make train`, which fetches libtorch", program.display())
    })
}

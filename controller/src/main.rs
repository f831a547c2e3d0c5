//! `autotiler-controller`: see `--help`.

use anyhow::Context;
use autotiler_controller::{Args, run};
use autotiler_runtime::cancel_on_signal;
use clap::Parser;
use prometheus::Registry;

fn main() -> anyhow::Result<()> {
    let (config, log) = Args::parse().into_config()?;
    log.install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ended = runtime.block_on(async { run(config, Registry::new(), cancel_on_signal()?).await });
    runtime.shutdown_background();
    ended
}

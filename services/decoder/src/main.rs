//! The `autotiler-decoder` process.

use anyhow::Context;
use autotiler_decoder::{Args, Service};
use autotiler_runtime::cancel_on_signal;
use clap::Parser;

fn main() -> anyhow::Result<()> {
    let (config, log) = Args::parse().into_config();
    log.install()?;
    let service = Service::prepare(config)?;
    // Two threads: the work itself has one of its own, and takes the rest of the machine.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let served =
        runtime.block_on(async { service.run(cancel_on_signal()?).await.map_err(anyhow::Error::from) });
    // What passed the drain's deadline is not waited for a second time.
    runtime.shutdown_background();
    served
}

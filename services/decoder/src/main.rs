//! The `autotiler-decoder` process.

use autotiler_decoder::{Args, Service};
use clap::Parser;

fn main() -> anyhow::Result<()> {
    let (config, log) = Args::parse().into_config();
    log.install()?;
    Ok(Service::prepare(config)?.run_to_the_end()?)
}

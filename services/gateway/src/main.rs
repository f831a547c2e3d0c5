//! `autotiler-gateway`: what devices say, for Prometheus, programs and people. See `--help`.

use autotiler_gateway::{Args, run};
use autotiler_runtime::cancel_on_signal;
use clap::Parser;
use prometheus::Registry;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    args.log.install()?;
    let cancel = cancel_on_signal()?;
    run(args.config()?, Registry::new(), cancel).await
}

//! `autotiler-edge`: the device process. See `--help`.

use std::process::ExitCode;

use autotiler_edge::{Args, run};
use autotiler_runtime::cancel_on_signal;
use clap::Parser;
use prometheus::Registry;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    args.log.install()?;
    // The stages have threads of their own; the link alone is async.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(async {
        let cancel = cancel_on_signal()?;
        run(args.config(), Registry::new(), cancel).await
    })?;
    tracing::info!(
        captured = report.captured,
        sent = report.sent,
        received = report.received,
        dropped = ?report.dropped,
        lost = ?report.lost,
        "accounts closed"
    );
    Ok(ExitCode::SUCCESS)
}

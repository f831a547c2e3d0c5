//! `autotiler-shaper`: a link with the rates of a schedule. See `--help`.

use std::{
    io::Write as _,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context as _;
use autotiler_shaper::{Args, InForce, SourceError, play};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let source = args.source();
    let schedule = source.read()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).context("installing signal handlers")?;
    }
    let mut link = args.open(schedule.rate_at(Duration::ZERO))?;
    let refused = |error: SourceError| eprintln!("autotiler-shaper: {:#}", anyhow::Error::new(error));
    let reader_gone = stop.clone();
    let tell = |now: InForce| {
        let line = serde_json::to_string(&now).unwrap_or_default();
        // Nobody reads any more: the link goes back to what it was.
        if writeln!(std::io::stdout(), "{line}").is_err() {
            reader_gone.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    play(link.as_mut(), &source, schedule, (args.end, args.repeat), &stop, tell, refused)?;
    Ok(())
}

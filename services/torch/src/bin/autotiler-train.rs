//! Trains detectors and tilers. The `autotiler` command starts this program for `autotiler train ...`, so
//! that it needs no libtorch itself.

mod autotiler_train {
    pub(crate) mod detector;
    pub(crate) mod pictures;
    pub(crate) mod tiler;
}

use anyhow::Result;
use autotiler_train::{detector, tiler};
use clap::{Parser, Subcommand};

/// Train the networks of Auto-Tiler.
///
/// Training runs on libtorch, resumes where it was stopped, and repeats exactly for one seed, one number of
/// threads and one machine.
#[derive(Debug, Parser)]
#[command(name = "autotiler-train", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Detector(detector::Args),
    Tiler(tiler::Args),
}

fn main() -> Result<()> {
    match Args::parse().what {
        What::Detector(args) => detector::run(&args),
        What::Tiler(args) => tiler::run(&args),
    }
}

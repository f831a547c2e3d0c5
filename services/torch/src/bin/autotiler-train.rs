//! Trains detectors and tilers. The `autotiler` command starts this program for `autotiler train ...`, so
//! that it needs no libtorch itself.

mod autotiler_train {
    pub(crate) mod detector;
    pub(crate) mod device;
    pub(crate) mod display;
    pub(crate) mod environment;
    pub(crate) mod tilers;
}

use anyhow::Result;
use autotiler_train::{detector, environment, tilers};
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
    Tilers(tilers::Args),
}

fn main() -> Result<()> {
    let args = Args::parse();
    environment::set();
    match args.what {
        What::Detector(args) => detector::run(&args),
        What::Tilers(args) => tilers::run(&args),
    }
}

//! `autotiler`: bring a network, fit and score tilers, see the way of a frame.

mod access;
mod bench;
mod common;
mod demo;
mod device;
mod eval;
mod explain;
mod fit;
mod import;
mod inspect;
mod profile;
mod set;
mod simulate;
mod train;

use clap::{Parser, Subcommand};

/// Split inference with auto-tilers: one network cut in two, its feature map sent as HEVC.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  autotiler demo                                    the whole way of a frame on this machine
  autotiler import --cfg X.cfg --weights X.weights --names X.names --out models/x
  autotiler inspect models/x                        layers, shapes, MACs, partition points
  autotiler fit --model models/x --data VOCDIR --layer 16 --cr 1
  autotiler eval --model models/x --data VOCDIR --set test_voc --point layer=16,cr=1,bits=8k";

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn a Darknet network into a model directory.
    Import(import::Args),
    /// List a model's layers, shapes, MACs, partition points and tilers.
    Inspect(inspect::Args),
    /// Fit a tiler without training (KLT or plain tiling) to a few dozen pictures.
    Fit(fit::Args),
    /// Train a detector or a learned tiler (needs libtorch: runs `autotiler-train`).
    Train(train::Args),
    /// Score operating points on a data set through the real codec.
    Eval(Box<eval::Args>),
    /// Measure what each way to share the work costs on this machine, for the controller.
    Profile(Box<profile::Args>),
    /// Replay recorded links against a policy in virtual time, beside what could be had at best.
    Simulate(Box<simulate::Args>),
    /// Show why a device has its operating point, as the controller decided it.
    Explain(explain::Args),
    /// Make the keys by which nats-server knows devices and services.
    Access(access::Args),
    /// Let a device in: its credentials for nats-server.
    Device(device::Args),
    /// Run edge, decoder and NATS on this machine and show what comes out.
    Demo(demo::Args),
    /// Measure stages, codec, transport and rate control on this machine, as ratios.
    Bench(bench::Args),
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().command {
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Access(args) => access::run(&args),
        Command::Device(args) => device::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes in one line; a backtrace helps nobody who mistyped a path.
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

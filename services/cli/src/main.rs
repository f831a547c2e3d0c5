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

use std::{any::Any, panic, process::ExitCode};

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

fn main() -> ExitCode {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_closed_pipe(panic.payload()) {
            before(panic);
        }
    }));
    let command = Cli::parse().command;
    match panic::catch_unwind(|| run(command)) {
        Ok(code) => code,
        // `| head` has seen enough: everything that was started is stopped by now.
        Err(payload) if is_closed_pipe(payload.as_ref()) => ExitCode::SUCCESS,
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Whether this is `println!` finding its reader gone. The signal that ends other programs then is off in ours, and stays
/// so: a broken pipe to ffmpeg or the broker must end one connection only. The words are the standard library's.
fn is_closed_pipe(payload: &dyn Any) -> bool {
    payload
        .downcast_ref::<String>()
        .is_some_and(|words| words.starts_with("failed printing to stdout") && words.contains("Broken pipe"))
}

fn run(command: Command) -> ExitCode {
    let done = match command {
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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes in one line; a backtrace helps nobody who mistyped a path.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! `kubectl autotiler`: who is where and why, pins, suspension, checks, and credentials of devices.
//!
//! On PATH as `kubectl-autotiler`, kubectl finds it by itself. It speaks to the API server with the caller's rights,
//! and to the controller's admin port through it.

mod check;
mod cluster;
mod controller;
mod explain;
mod hold;
mod reach;
mod secrets;
mod suspend;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Auto-Tiler in a cluster: who is where and why, pins, suspension, checks, and credentials of devices.
#[derive(Debug, Parser)]
#[command(name = "kubectl-autotiler", bin_name = "kubectl autotiler", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    cluster: cluster::Options,
    #[command(flatten)]
    controller: controller::Options,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  kubectl autotiler check                                  what is usually wrong, each with its fix
  kubectl autotiler top --watch                            all devices
  kubectl autotiler explain cam-0 --history                why it is where it is
  kubectl autotiler pin cam-0 --point device-only --for 10m
  kubectl autotiler suspend north";

#[derive(Debug, Subcommand)]
enum Command {
    /// List all devices with their point, link, latency and state.
    Top(top::Args),
    /// Show why a device has its operating point, as the controller decided it.
    Explain(explain::Args),
    /// Hold a device at one operating point, whatever its policy finds.
    Pin(hold::PinArgs),
    /// Let a device follow its policy again.
    Unpin(hold::UnpinArgs),
    /// Freeze a policy: nothing is decided, its devices keep what they have.
    Suspend(suspend::Args),
    /// Let a suspended policy decide again.
    Resume(suspend::Args),
    /// Look for the usual mistakes, and say the fix of each.
    Check(check::Args),
    /// Ask addresses whether they answer; for `helm test`.
    Reach(reach::Args),
    /// Let devices in: their credentials for nats-server.
    #[command(subcommand)]
    Device(secrets::DeviceCommand),
    /// Make the keys of an installation, as Secrets.
    #[command(subcommand)]
    Access(secrets::AccessCommand),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { cluster, controller, command }: Cli) -> anyhow::Result<ExitCode> {
    match command {
        Command::Top(args) => top::run(&args, &cluster, &controller).await?,
        Command::Explain(args) => explain::run(&args, &cluster, &controller).await?,
        Command::Pin(args) => hold::pin(&args, &cluster).await?,
        Command::Unpin(args) => hold::unpin(&args, &cluster).await?,
        Command::Suspend(args) => suspend::set(&args, true, &cluster).await?,
        Command::Resume(args) => suspend::set(&args, false, &cluster).await?,
        Command::Check(args) => return check::run(&args, &cluster, &controller).await,
        Command::Reach(args) => return reach::run(&args).await,
        Command::Device(command) => secrets::device(&command, &cluster).await?,
        Command::Access(command) => secrets::access(&command, &cluster).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn its_options_do_not_contradict_one_another() {
        super::Cli::command().debug_assert();
    }
}

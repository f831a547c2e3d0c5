//! `autotiler device`: lets devices in.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use autotiler_access::{DeviceSigner, Role, Validity};
use autotiler_core::DeviceId;
use clap::Subcommand;

use crate::access::Files;

/// Let a device in: its credentials for nats-server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign credentials for one more device; the server needs no change.
    Add(Add),
}

/// Sign credentials for one more device; the server needs no change.
///
/// With them the device may publish its own frames and telemetry and read its own orders and detections, and nothing
/// else: the server refuses it the rest. Signing a device again gives it a second key; the first one stays good until
/// it expires.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_ADD)]
struct Add {
    /// The device's name, as `autotiler-edge --device` has it.
    name: DeviceId,
    /// The key that signs devices: account.key of `autotiler access init`.
    #[arg(long, value_name = "KEYFILE")]
    account: PathBuf,
    /// Where its credentials go; by default NAME.creds.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// When they end, from now; without it never.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

const AFTER_ADD: &str = "\
Examples:
  autotiler device add cam-0 --account access/account.key --out cam-0.creds
  autotiler device add cam-0 --account access/account.key --out cam-0.creds --expires 90days --force

In a cluster: kubectl autotiler device add cam-0";

/// Goes on in the subcommand.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Add(add) => add_one(add),
    }
}

fn add_one(Add { name, account, out, expires, force }: &Add) -> anyhow::Result<()> {
    let read = fs::read_to_string(account).with_context(|| {
        format!(
            "reading the key that signs devices, {}: it is the account.key that `autotiler access init` wrote",
            account.display()
        )
    })?;
    let signer: DeviceSigner = read.parse().with_context(|| format!("reading {}", account.display()))?;
    let issued_at = SystemTime::now();
    let validity = Validity { issued_at, expires_at: expires.map(|expires| issued_at + expires) };
    let credentials = signer.credentials(&Role::Device(name.clone()), validity)?;
    let path = out.clone().unwrap_or_else(|| format!("{name}.creds").into());
    let mut files = Files::default();
    files.secret(path.clone(), credentials.reveal().to_owned());
    files.write(*force).context("name another file with --out, or replace it with --force")?;
    println!("{}", path.display());
    Ok(())
}

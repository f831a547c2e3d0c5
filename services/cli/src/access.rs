//! `autotiler access`: the keys of an installation.

mod files;

use std::{path::PathBuf, time::SystemTime};

use anyhow::Context as _;
use autotiler_access::{Authority, ServiceRole, Validity};
use clap::Subcommand;

pub(crate) use files::Files;

/// Make the keys by which nats-server knows devices and services.
///
/// Each device then has credentials of its own: it publishes its own frames and telemetry, reads its own orders and
/// detections, and the server refuses it everything else. A new device is one signature (`autotiler device add`) and no
/// change of the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make all keys anew, what the server must know of them, and the services' credentials.
    Init(Init),
}

/// Make all keys anew, what the server must know of them, and the services' credentials.
///
/// Writes into DIR: resolver.conf (for nats-server; no secret), nats-server.conf (a whole configuration, to start from),
/// account.key (signs devices), decoder.creds, gateway.creds, controller.creds, monitor.creds, and in seeds/ the keys
/// that only a later change of the accounts would need: keep those away from any server.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_INIT)]
struct Init {
    /// The folder to write to; made where it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace what is there. All credentials that were signed before stop working.
    #[arg(long)]
    force: bool,
}

const AFTER_INIT: &str = "\
Example:
  autotiler access init --out access
  nats-server -c access/nats-server.conf &
  autotiler device add cam-0 --account access/account.key --out cam-0.creds
  autotiler-decoder --nats-credentials access/decoder.creds ... &
  autotiler-edge --device cam-0 --nats-credentials cam-0.creds ...";

/// Goes on in the subcommand.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Init(init) => make_all(init),
    }
}

fn make_all(Init { out, force }: &Init) -> anyhow::Result<()> {
    let (authority, validity) = (Authority::create(), Validity::unending(SystemTime::now()));
    let mut files = Files::default();
    files.public(out.join("resolver.conf"), authority.server_config(validity)?);
    files.public(out.join("nats-server.conf"), SERVER.to_owned());
    files.secret(out.join("account.key"), authority.devices().to_text()?);
    for service in ServiceRole::ALL {
        let credentials = authority.service(service, validity)?;
        files.secret(out.join(format!("{}.creds", service.name())), credentials.reveal().to_owned());
    }
    for (name, seed) in authority.seeds()? {
        files.secret(out.join("seeds").join(name), seed);
    }
    let written = files.write(*force).with_context(|| {
        "keys that are replaced cut off everybody who was let in by them: \
         name another folder with --out, or replace all of them with --force"
    })?;
    for path in written {
        println!("{}", path.display());
    }
    Ok(())
}

const SERVER: &str = "\
# nats-server -c nats-server.conf. Frames may be large; orders are kept in JetStream.
port: 4222
max_payload: 8MB
jetstream { store_dir: jetstream }
# For TLS: tls { cert_file: server.crt, key_file: server.key }, and tls:// with --nats-ca at the clients.
include resolver.conf
";

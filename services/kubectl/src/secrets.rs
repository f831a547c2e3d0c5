//! Credentials as Secrets: the keys of an installation, and those of one more device.

mod init;
mod store;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use autotiler_access::{DeviceSigner, Role, Validity};
use autotiler_core::DeviceId;
use clap::Subcommand;

use crate::cluster;
use store::{Store, Written};

/// The credentials in a Secret of a device or a service.
const CREDENTIALS: &str = "nats.creds";
/// The key that signs devices, in the Secret PREFIX-account.
const ACCOUNT: &str = "account.key";
/// What nats-server includes, in the Secret PREFIX-server.
const RESOLVER: &str = "resolver.conf";

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Sign credentials for one more device; the server needs no change.
    Add(Add),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Make all keys of an installation, once; what is there is kept.
    Init(init::Init),
}

/// Sign credentials for one more device; the server needs no change.
///
/// Takes the signing key from the Secret PREFIX-account of the release, and prints the credentials file, or keeps it as
/// the Secret PREFIX-device-NAME with the key nats.creds.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Add {
    /// The device's name, as `autotiler-edge --device` has it.
    name: DeviceId,
    /// The Helm release; its Secrets begin with RELEASE-nats.
    #[arg(long, value_name = "RELEASE", default_value = "autotiler")]
    release: String,
    /// What the release's Secrets begin with, where it is not RELEASE-nats.
    #[arg(long, value_name = "PREFIX")]
    secret_prefix: Option<String>,
    /// Keep the credentials as a Secret instead of printing them.
    #[arg(long)]
    store: bool,
    /// Replace the Secret if it is there; the credentials in it stay good until they expire.
    #[arg(long, requires = "store")]
    force: bool,
    /// When the credentials end, from now; without it never.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  kubectl autotiler device add cam-7 -n autotiler > cam-7.creds      for a device outside the cluster
  kubectl autotiler device add cam-7 -n autotiler --store            for a pod: Secret autotiler-nats-device-cam-7";

/// Goes on in the subcommand.
pub(crate) async fn device(command: &DeviceCommand, cluster: &cluster::Options) -> anyhow::Result<()> {
    let DeviceCommand::Add(add) = command;
    let prefix = add.secret_prefix.clone().unwrap_or_else(|| format!("{}-nats", add.release));
    let store = Store::new(&cluster.connect().await?, &prefix);
    let issued_at = SystemTime::now();
    let validity = Validity { issued_at, expires_at: add.expires.map(|expires| issued_at + expires) };
    let credentials = signer(&store).await?.credentials(&Role::Device(add.name.clone()), validity)?;
    if !add.store {
        print!("{}", credentials.reveal());
        return Ok(());
    }
    let part = device_part(&add.name)?;
    match store.put(&part, CREDENTIALS, credentials.reveal(), add.force).await? {
        Written::Kept => bail!("Secret {} is there already: replace it with --force", store.name(&part)),
        Written::Made => println!("secret/{}", store.name(&part)),
    }
    Ok(())
}

/// Goes on in the subcommand.
pub(crate) async fn access(command: &AccessCommand, cluster: &cluster::Options) -> anyhow::Result<()> {
    let AccessCommand::Init(init) = command;
    init::run(init, cluster).await
}

/// The key that signs devices.
async fn signer(store: &Store) -> anyhow::Result<DeviceSigner> {
    let name = store.name("account");
    let text = store.get("account", ACCOUNT).await?;
    let text = text.with_context(|| {
        format!(
            "no Secret {name} with the key {ACCOUNT} in namespace {}: name the release's namespace (-n), its name \
             (--release), or make its keys with `kubectl autotiler access init`",
            store.namespace
        )
    })?;
    text.parse().with_context(|| format!("reading {ACCOUNT} of Secret {name}"))
}

/// What the name of a device's Secret ends with. A Secret's name is narrower than a device's.
fn device_part(device: &DeviceId) -> anyhow::Result<String> {
    let name = device.as_str();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.bytes().all(fits) || name.ends_with('-') {
        bail!(
            "device {name} cannot name a Secret, which has small letters, digits and '-': print its credentials \
             instead, without --store"
        );
    }
    Ok(format!("device-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_cannot_name_a_secret_is_told_the_way_out() {
        let part = |name: &str| device_part(&name.parse().unwrap()).map_err(|error| error.to_string());
        assert_eq!(part("cam-0").unwrap(), "device-cam-0");
        for name in ["Cam", "cam_0", "cam-"] {
            assert!(part(name).unwrap_err().contains("without --store"));
        }
    }
}

//! The keys of an installation, made once: for the chart's hook, which may run again and again.

use std::time::SystemTime;

use anyhow::{Context as _, bail};
use autotiler_access::{Authority, DeviceSigner, Role, ServiceRole, Validity};
use autotiler_core::DeviceId;

use super::{
    ACCOUNT, CREDENTIALS, RESOLVER, device_part, signer,
    store::{Store, Written},
};
use crate::cluster;

/// Make all keys of an installation, once; what is there is kept.
///
/// Writes the Secrets PREFIX-server (resolver.conf, to be included by nats-server), PREFIX-account (account.key, which
/// signs devices), PREFIX-decoder, PREFIX-gateway, PREFIX-controller and PREFIX-device-NAME (each nats.creds). Called
/// again it adds what is missing and changes nothing else. The seeds of operator and accounts are thrown away: whoever
/// wants to keep them makes the keys with `autotiler access init` and puts them into Secrets of these names.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// What the names of the Secrets begin with.
    #[arg(long, value_name = "PREFIX", default_value = "autotiler-nats")]
    secret_prefix: String,
    /// A device that gets credentials too; again for each.
    #[arg(long = "device", value_name = "NAME")]
    devices: Vec<DeviceId>,
}

const EXAMPLES: &str = "\
Example:
  kubectl autotiler access init --secret-prefix autotiler-nats -n autotiler --device cam-0 --device cam-1";

/// Services that the chart runs.
const SERVICES: [ServiceRole; 3] = [ServiceRole::Decoder, ServiceRole::Gateway, ServiceRole::Controller];

/// Makes what is missing.
pub(super) async fn run(init: &Init, cluster: &cluster::Options) -> anyhow::Result<()> {
    let store = Store::new(&cluster.connect().await?, &init.secret_prefix);
    let validity = Validity::unending(SystemTime::now());
    let parts: Vec<_> = init.devices.iter().map(device_part).collect::<Result<_, _>>()?;
    let signer = match store.get("server", RESOLVER).await? {
        Some(_) => complete(&store, validity).await?,
        None => make_all(&store, validity).await?,
    };
    for (device, part) in init.devices.iter().zip(parts) {
        let credentials = signer.credentials(&Role::Device(device.clone()), validity)?;
        tell(&store, &part, store.put(&part, CREDENTIALS, credentials.reveal(), false).await?);
    }
    Ok(())
}

/// Everything anew. The server's Secret comes last: while it is not there nothing was ever let in by the others, so
/// that a run that was cut short is simply done again.
async fn make_all(store: &Store, validity: Validity) -> anyhow::Result<DeviceSigner> {
    let authority = Authority::create();
    for service in SERVICES {
        let credentials = authority.service(service, validity)?;
        let written = store.put(service.name(), CREDENTIALS, credentials.reveal(), true).await?;
        tell(store, service.name(), written);
    }
    let signer = authority.devices();
    tell(store, "account", store.put("account", ACCOUNT, &signer.to_text()?, true).await?);
    let config = authority.server_config(validity)?;
    match store.put("server", RESOLVER, &config, false).await? {
        Written::Made => tell(store, "server", Written::Made),
        Written::Kept => bail!(
            "Secret {} was made by somebody else in the meantime: delete the Secrets {}-* and run this again, alone",
            store.name("server"),
            store.name("").trim_end_matches('-')
        ),
    }
    Ok(signer)
}

/// What is missing beside a server that runs.
async fn complete(store: &Store, validity: Validity) -> anyhow::Result<DeviceSigner> {
    tell(store, "server", Written::Kept);
    let signer = signer(store).await.with_context(|| lost(store, "account"))?;
    tell(store, "account", Written::Kept);
    for service in SERVICES {
        let there = store.get(service.name(), CREDENTIALS).await?.is_some();
        let written = match service {
            _ if there => Written::Kept,
            ServiceRole::Controller => bail!(lost(store, service.name())),
            other => {
                let credentials = signer.credentials(&Role::Service(other), validity)?;
                store.put(other.name(), CREDENTIALS, credentials.reveal(), true).await?
            }
        };
        tell(store, service.name(), written);
    }
    Ok(signer)
}

fn lost(store: &Store, part: &str) -> String {
    format!(
        "Secret {} is gone, and nothing that is left can make it again: delete Secret {} too and run this again; \
         nats-server must be restarted and every device signed anew",
        store.name(part),
        store.name("server")
    )
}

fn tell(store: &Store, part: &str, written: Written) {
    let what = match written {
        Written::Made => "made",
        Written::Kept => "kept",
    };
    println!("secret/{} {what}", store.name(part));
}

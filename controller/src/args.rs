//! Options of the process, by flag or environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use autotiler_core::DeviceId;
use autotiler_runtime::LogOptions;
use autotiler_transport::{ConnectOptions, NatsOptions};
use clap::Parser;

/// Sets the operating point of each device: where the network is cut and how hard the feature map is squeezed.
///
/// Reads the measured capacity and latency of each device from Prometheus, predicts every candidate of the measured
/// profile, and orders the best that the policy allows, over NATS. Policies, devices and profiles come from the
/// cluster's API (AutoTilerPolicy, EdgeDevice, PartitionProfile), or from files.
#[derive(Debug, Clone, Parser)]
#[command(name = "autotiler-controller", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Args {
    /// Work from this AutoTilerPolicy in a file, without a cluster; needs --profile too.
    #[arg(long, env = "AUTOTILER_POLICY", value_name = "FILE", requires = "profiles")]
    pub policy: Option<PathBuf>,
    /// The PartitionProfile that `autotiler profile` wrote; again for each class of devices.
    #[arg(
        long = "profile",
        env = "AUTOTILER_PROFILE",
        value_name = "FILE",
        value_delimiter = ',',
        requires = "policy"
    )]
    pub profiles: Vec<PathBuf>,
    /// Without a cluster: the devices under control, separated by commas, or `all` that speak.
    #[arg(long, env = "AUTOTILER_DEVICES", default_value = "all", value_name = "NAMES", requires = "policy")]
    pub devices: String,
    /// With a cluster: the kubeconfig to find it by, instead of KUBECONFIG or the pod's own account.
    #[arg(long, env = "AUTOTILER_KUBECONFIG", value_name = "FILE", conflicts_with = "policy")]
    pub kubeconfig: Option<PathBuf>,
    /// With a cluster: only this namespace; all of them without.
    #[arg(long, env = "AUTOTILER_WATCH_NAMESPACE", value_name = "NAME", conflicts_with = "policy")]
    pub watch_namespace: Option<String>,
    /// With a cluster: where the Lease of the leader lives, by default the pod's own namespace.
    #[arg(long, env = "AUTOTILER_NAMESPACE", value_name = "NAME", conflicts_with = "policy")]
    pub namespace: Option<String>,
    /// With a cluster: how long a leader that says nothing is still taken for one.
    #[arg(long, env = "AUTOTILER_LEASE", default_value = "15s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub lease: Duration,
    /// With a cluster: most writes of status in a second; more are put off and run together.
    #[arg(long, env = "AUTOTILER_STATUS_WRITES", default_value = "5", value_name = "N", value_parser = writes)]
    pub status_writes: f64,
    /// Name in orders and in the Lease, by default that of the machine and the process.
    #[arg(long, env = "AUTOTILER_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
    /// Where /livez, /readyz, /metrics and the reasons (/v1/devices, /v1/devices/NAME, /v1/policies) are served.
    #[arg(long, env = "AUTOTILER_ADMIN", default_value = "0.0.0.0:9104", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,
    /// The broker; it must run with JetStream.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// Logs.
    #[command(flatten)]
    pub log: LogOptions,
}

const EXAMPLES: &str = "\
Examples:
  autotiler-controller                                      in a cluster, or by KUBECONFIG
  autotiler-controller --policy policy.yaml --profile street.yaml --devices all
  autotiler-controller --policy policy.yaml --profile pi.yaml --profile nano.yaml --devices cam-0,cam-1

Why a device is where it is: autotiler explain DEVICE. SIGTERM: the sweep under way is finished, the Lease is given
back; devices keep what they have.";

/// Where policies, devices and profiles come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files, read once.
    Files {
        /// The policy.
        policy: PathBuf,
        /// Profiles, the policy's own among them.
        profiles: Vec<PathBuf>,
        /// Names; none means all that speak.
        devices: Option<Vec<DeviceId>>,
    },
    /// The API server that the environment names.
    Cluster {
        /// How to find it, if not by the environment.
        kubeconfig: Option<PathBuf>,
        /// Only this namespace.
        watch_namespace: Option<String>,
        /// Of the Lease.
        namespace: Option<String>,
        /// How long a Lease lasts.
        lease: Duration,
        /// Writes of status per second.
        status_writes: f64,
    },
}

/// The process' settings, by the part that reads them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where policies come from.
    pub source: Source,
    /// Who we are.
    pub identity: String,
    /// The admin port.
    pub admin: SocketAddr,
    /// The broker.
    pub nats: ConnectOptions,
}

impl Args {
    /// The settings, and how to log.
    ///
    /// # Errors
    /// A device name that is none.
    pub fn into_config(self) -> anyhow::Result<(Config, LogOptions)> {
        let identity = self.identity.unwrap_or_else(default_identity);
        let source = match self.policy {
            Some(policy) => {
                let devices = match self.devices.as_str() {
                    "all" => None,
                    names => {
                        Some(names.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()?)
                    }
                };
                Source::Files { policy, profiles: self.profiles, devices }
            }
            None => Source::Cluster {
                kubeconfig: self.kubeconfig,
                watch_namespace: self.watch_namespace,
                namespace: self.namespace,
                lease: self.lease,
                status_writes: self.status_writes,
            },
        };
        let nats = self.nats.connect_options(format!("autotiler-controller {identity}"));
        Ok((Config { source, identity, admin: self.admin, nats }, self.log))
    }
}

fn default_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

fn writes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("writes per second must be a number from 0.1 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[&str]) -> anyhow::Result<Config> {
        let args = Args::try_parse_from([&["autotiler-controller"], more].concat())?;
        Ok(args.into_config()?.0)
    }

    #[test]
    fn without_files_it_is_a_cluster() {
        assert!(matches!(parse(&[]).unwrap().source, Source::Cluster { watch_namespace: None, .. }));
        let files =
            parse(&["--policy", "a", "--profile", "b", "--profile", "c", "--devices", "x, y"]).unwrap();
        let Source::Files { profiles, devices: Some(devices), .. } = files.source else { panic!("files") };
        assert_eq!((profiles.len(), devices.len()), (2, 2));
    }

    #[test]
    fn half_of_the_files_and_bad_names_are_refused() {
        for (bad, says) in [
            (&["--policy", "a"][..], "--profile"),
            (&["--profile", "a"], "--policy"),
            (&["--policy", "a", "--profile", "b", "--devices", "x.y"], "device name"),
            (&["--status-writes", "0"], "--status-writes"),
            (&["--lease", "soon"], "--lease"),
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }
}

//! Options of the process, by flag or environment.

use std::{net::SocketAddr, time::Duration};

use autotiler_runtime::LogOptions;
use autotiler_transport::NatsOptions;
use clap::Parser;

use crate::run::Config;

/// Telemetry that may wait to be read: a second's words of ten thousand devices, and room for a burst.
const SUBSCRIPTION: usize = 65_536;

/// Shows the telemetry that devices publish on NATS to Prometheus: one set of series for each device that speaks.
#[derive(Debug, Clone, Parser)]
#[command(name = "autotiler-gateway", version)]
pub struct Args {
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, env = "AUTOTILER_ADMIN", default_value = "0.0.0.0:9464", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,
    /// A device that says nothing for so long loses its series.
    #[arg(long, env = "AUTOTILER_SILENCE", default_value = "5s", value_name = "TIME", value_parser = read_silence)]
    pub silence: Duration,
    /// Most devices that are shown at once; what others say is counted and passed over.
    #[arg(long, env = "AUTOTILER_MAX_DEVICES", default_value_t = 20_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_devices: u32,
    /// The broker.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// Logs.
    #[command(flatten)]
    pub log: LogOptions,
}

impl Args {
    /// What the process needs.
    pub fn config(self) -> Config {
        let mut nats = self.nats.connect_options("autotiler-gateway");
        nats.subscription_capacity = SUBSCRIPTION;
        Config { admin: self.admin, silence: self.silence, max_devices: self.max_devices as usize, nats }
    }
}

fn read_silence(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_secs(2)..=Duration::from_secs(3600)).contains(&time);
    if fits { Ok(time) } else { Err("must be from 2s (devices speak each second) to 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_needs_to_be_said_and_bad_options_are_refused_by_name() {
        let config = Args::try_parse_from(["autotiler-gateway"]).unwrap().config();
        assert_eq!((config.silence, config.max_devices), (Duration::from_secs(5), 20_000));
        for (flag, value) in [("--silence", "1s"), ("--max-devices", "0"), ("--admin", "here")] {
            let error = Args::try_parse_from(["autotiler-gateway", flag, value]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}

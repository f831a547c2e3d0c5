//! Options of the process, by flag or environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use autotiler_core::Digest;
use autotiler_hevc::DecoderOptions;
use autotiler_model::Model;
use autotiler_runtime::LogOptions;
use autotiler_transport::NatsOptions;
use clap::Parser;
use reqwest::Url;

use crate::run::Config;

/// Telemetry that may wait to be read: a second's words of ten thousand devices, and room for a burst.
const SUBSCRIPTION: usize = 65_536;

/// Shows what devices publish on NATS: to Prometheus as series, to programs as a JSON API, to people as a live page.
#[derive(Debug, Clone, Parser)]
#[command(name = "autotiler-gateway", version)]
pub struct Args {
    /// Where the live page and its API are served.
    #[arg(long, env = "AUTOTILER_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, env = "AUTOTILER_ADMIN", default_value = "0.0.0.0:9464", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,
    /// The controller's admin port, as http://autotiler-controller:9104: who decides, and why. Without it the page shows
    /// no policies and no reasons.
    #[arg(long, env = "AUTOTILER_CONTROLLER", value_name = "URL", value_parser = read_url)]
    pub controller: Option<Url>,
    /// A model directory whose class names boxes are labelled with; may be given for several networks. Only its manifest
    /// is read. Without it boxes have numbers.
    #[arg(long, env = "AUTOTILER_MODEL", value_name = "DIR", value_delimiter = ',')]
    pub model: Vec<PathBuf>,
    /// A file with the token (16 bytes or more) that opens pins and suspensions. Without it everything is read-only.
    #[arg(long, env = "AUTOTILER_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Namespace of the EdgeDevices that may be pinned; without it they are looked for everywhere.
    #[arg(long, env = "AUTOTILER_NAMESPACE", value_name = "NAME", requires = "token_file")]
    pub namespace: Option<String>,
    /// ffmpeg, which decodes the frames that are looked at.
    #[arg(long, env = "AUTOTILER_FFMPEG", default_value = "ffmpeg", value_name = "PROGRAM")]
    pub ffmpeg: PathBuf,
    /// A device that says nothing for so long loses its series, and its place on the page.
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
    ///
    /// # Errors
    /// A model directory without a manifest.
    pub fn config(self) -> anyhow::Result<Config> {
        let mut nats = self.nats.connect_options("autotiler-gateway");
        nats.subscription_capacity = SUBSCRIPTION;
        let names = |dir: &PathBuf| {
            let manifest = Model::manifest(dir).with_context(|| format!("--model {}", dir.display()))?;
            Ok((manifest.digest, manifest.classes))
        };
        let names: Vec<(Digest, Vec<String>)> =
            self.model.iter().map(names).collect::<anyhow::Result<_>>()?;
        Ok(Config {
            listen: self.listen,
            admin: self.admin,
            controller: self.controller,
            names,
            token_file: self.token_file,
            namespace: self.namespace,
            codec: DecoderOptions { ffmpeg: self.ffmpeg, ..DecoderOptions::default() },
            silence: self.silence,
            max_devices: self.max_devices as usize,
            nats,
        })
    }
}

fn read_silence(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_secs(2)..=Duration::from_secs(3600)).contains(&time);
    if fits { Ok(time) } else { Err("must be from 2s (devices speak each second) to 1h".to_owned()) }
}

fn read_url(text: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|_| "must be a URL, like http://autotiler-controller:9104".to_owned())?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    if fits { Ok(url) } else { Err("must start with http:// or https:// and name a host".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_needs_to_be_said_and_bad_options_are_refused_by_name() {
        let config = Args::try_parse_from(["autotiler-gateway"]).unwrap().config().unwrap();
        assert_eq!((config.silence, config.max_devices), (Duration::from_secs(5), 20_000));
        assert_eq!((config.listen.port(), config.admin.port(), config.controller), (8080, 9464, None));
        for (flag, value) in [
            ("--silence", "1s"),
            ("--max-devices", "0"),
            ("--admin", "here"),
            ("--listen", "8080"),
            ("--controller", "controller:9104"),
        ] {
            let error = Args::try_parse_from(["autotiler-gateway", flag, value]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn class_names_come_from_a_manifest_and_a_missing_one_is_named() {
        let street = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/street");
        let args = Args::try_parse_from(["autotiler-gateway", "--model", street]).unwrap();
        assert_eq!(args.config().unwrap().names[0].1[0], "car");
        let args = Args::try_parse_from(["autotiler-gateway", "--model", "/absent"]).unwrap();
        assert!(args.config().unwrap_err().to_string().contains("--model /absent"));
    }
}

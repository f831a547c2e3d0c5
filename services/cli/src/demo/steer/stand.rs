//! The servers' side: broker with JetStream, decoder, gateway, Prometheus, controller.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use autotiler_crds::{PartitionProfile, manifest};
use serde_json::json;

use super::{
    super::{
        processes::{Process, Programs, answers, free_address, wait_for},
        run::LOG,
    },
    ground::Ground,
};

/// The policy, but for what is known only now.
const POLICY: &str = include_str!("policy.yaml");

/// All of them at work, the last started stopped first.
pub(super) struct Stand {
    _processes: Vec<Process>,
    nats: String,
    page: SocketAddr,
}

impl Stand {
    /// Starts them one after the other, each when the one before is ready.
    pub(super) fn start(
        programs: &Programs,
        ground: &Ground,
        model: &Path,
        profile: &Path,
        device: &str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut processes = Vec::new();
        let address = ground.broker_address()?;
        let mut broker = ground.at_broker("nats-server");
        let store = folder.join("jetstream");
        // Orders of a demo before this one are none of ours.
        let _ = fs::remove_dir_all(&store);
        broker.args([
            "--addr",
            &address.ip().to_string(),
            "--port",
            &address.port().to_string(),
            "--jetstream",
        ]);
        broker.arg("--store_dir").arg(&store);
        quiet(&mut broker);
        let mut broker = Process::spawn("nats-server", &mut broker)?;
        wait_for(&mut broker, || TcpStream::connect(address).is_ok())?;
        processes.push(broker);
        let nats = format!("nats://{address}");

        let mut start = |name, mut command: Command, path: &'static str, admin: SocketAddr| {
            let flag = if name == "prometheus" { "--web.listen-address" } else { "--admin" };
            command.arg(format!("{flag}={admin}"));
            let mut process = Process::spawn(name, &mut command)?;
            wait_for(&mut process, || answers(admin, path))?;
            processes.push(process);
            Ok::<_, anyhow::Error>(())
        };
        let mut decoder = programs.decoder();
        decoder.arg("--model").arg(model).args(["--nats", &nats, "--score-threshold", "0.005", "--log", LOG]);
        start("autotiler-decoder", decoder, "/readyz", free_address()?)?;
        let mut gateway = programs.gateway();
        // The page says why a camera is where it is; whom it asks for that starts last.
        let (page, scraped, asked, decides) =
            (free_address()?, free_address()?, free_address()?, free_address()?);
        // Until then it has nobody to ask, which is no news.
        let log = format!("{LOG},autotiler_gateway::controller=error");
        gateway.args(["--nats", &nats, "--log", &log, "--listen", &page.to_string()]);
        gateway.arg("--model").arg(model).args(["--controller", &format!("http://{decides}")]);
        start("autotiler-gateway", gateway, "/readyz", scraped)?;
        let mut prometheus = Command::new("prometheus");
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "autotiler",
                "honor_labels": true,
                "static_configs": [{"targets": [scraped.to_string()]}],
            }],
        });
        let config = write(folder, "prometheus.yml", &serde_yaml::to_string(&config)?)?;
        let data = folder.join("prometheus");
        let _ = fs::remove_dir_all(&data);
        prometheus.arg(format!("--config.file={}", config.display()));
        prometheus.arg(format!("--storage.tsdb.path={}", data.display())).arg("--log.level=error");
        quiet(&mut prometheus);
        start("prometheus", prometheus, "/-/ready", asked)?;
        let object: PartitionProfile = manifest::read(profile)?;
        let name = object.metadata.name.context("the profile has no metadata.name")?;
        let policy = POLICY.replace("PROFILE", &name).replace("PROMETHEUS", &format!("http://{asked}"));
        let policy = write(folder, "policy.yaml", &policy)?;
        let mut controller = programs.controller();
        controller.arg("--policy").arg(policy).arg("--profile").arg(profile);
        controller.args(["--devices", device, "--nats", &nats, "--log", LOG]);
        start("autotiler-controller", controller, "/readyz", decides)?;
        processes.reverse();
        Ok(Self { _processes: processes, nats, page })
    }

    /// The broker, as servers see it.
    pub(super) fn nats(&self) -> &str {
        &self.nats
    }

    /// The live page.
    pub(super) fn page(&self) -> String {
        format!("http://{}", self.page)
    }
}

fn quiet(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

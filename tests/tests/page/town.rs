//! A town of cameras on recorded links, every part real, for pictures of the page: edges, shapers, broker, decoder,
//! gateway, Prometheus and controller.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use autotiler_tests::{
    NatsServer, NatsServerOptions, Process, PrometheusServer, Service, binary, free_port, shared_data,
};
use tempfile::TempDir;

use crate::stand::READY;

/// What is played where no recorded links are there.
const DRAWN: &str = "services/shaper/traces/drive.csv";
/// Uplinks that were recorded while driving.
const RECORDED: [&str; 4] = [
    "att-lte-driving-up.csv",
    "verizon-evdo-driving-up.csv",
    "tmobile-lte-short-up.csv",
    "att-lte-driving-2016-up.csv",
];
/// Each camera's name, and the point at which it stays; none for one that follows its link.
pub(crate) const CAMERAS: [(&str, Option<&str>); 12] = [
    ("bridge-east", None),
    ("bridge-west", None),
    ("depot-1", None),
    ("depot-2", Some("device-only")),
    ("gate-north", None),
    ("gate-south", None),
    ("market-1", Some("layer=36,cr=4,bits=12k")),
    ("market-2", None),
    ("ring-km-4", None),
    ("ring-km-9", Some("layer=15,cr=4,bits=8k")),
    ("station", None),
    ("tram-21", None),
];
/// Between the moments at which neighbours' links begin, in lines of a trace: 17 s.
const APART: usize = 170;
const POLICY: &str = "
apiVersion: autotiler.dev/v1alpha1
kind: AutoTilerPolicy
metadata: {name: street}
spec:
  selector: {matchLabels: {site: town}}
  profileRef: {name: street-slow-camera}
  candidates: {deviceOnly: FallbackOnly}
  objective: {minimize: Latency, constraints: {maxLatency: 1s, maxAccuracyDropPermille: 10}}
  metrics: {prometheus: {address: 'PROMETHEUS'}}
";

/// All of it at work; the last field ends last.
pub(crate) struct Town {
    _cameras: Vec<Service>,
    _links: Vec<Process>,
    _controller: Service,
    _prometheus: PrometheusServer,
    _gateway: Service,
    _decoder: Service,
    _nats: NatsServer,
    page: SocketAddr,
    pub(crate) folder: TempDir,
}

impl Town {
    pub(crate) fn start() -> Self {
        let options = NatsServerOptions { jetstream: true, ..NatsServerOptions::default() };
        let (nats, folder) = (NatsServer::start_with(options).unwrap(), tempfile::tempdir().unwrap());
        let (url, page, admin) = (nats.url(), free_port().unwrap(), free_port().unwrap());
        let model = root().join("models/street").display().to_string();
        let ready = |program: &str, name: &str, args: &[&str]| {
            let mut service =
                Service::start(program, name, [&["--nats", &url], args].concat(), folder.path()).unwrap();
            service.wait_ready(READY).unwrap();
            service
        };
        let decoder = ready("autotiler-decoder", "decoder", &["--model", &model]);
        // Who decides starts after who is asked for metrics, and that after the gateway, which asks who decides.
        let decides = format!("http://{admin}");
        let gateway = ready(
            "autotiler-gateway",
            "gateway",
            &["--listen", &page.to_string(), "--model", &model, "--controller", &decides],
        );
        let prometheus = PrometheusServer::start(&[gateway.addr()], Duration::from_secs(1)).unwrap();
        let policy = folder.path().join("policy.yaml");
        fs::write(&policy, POLICY.replace("PROMETHEUS", &prometheus.url())).unwrap();
        let follow = CAMERAS.iter().filter(|(_, point)| point.is_none()).map(|(name, _)| *name);
        let mut command = Command::new(binary("autotiler-controller").unwrap());
        command.args(["--nats", &url, "--devices", &follow.collect::<Vec<_>>().join(",")]);
        command.arg("--policy").arg(policy);
        command.arg("--profile").arg(root().join("models/street.slow-camera.profile.yaml"));
        let mut controller = Service::start_at(admin, "controller", command, folder.path()).unwrap();
        controller.wait_ready(READY).unwrap();

        let (mut cameras, mut links) = (Vec::new(), Vec::new());
        for (number, (name, point)) in CAMERAS.iter().enumerate() {
            let listen = free_port().unwrap();
            links.push(link(number, name, listen, &url, &folder));
            let (nats, seed) = (format!("nats://{listen}"), format!("world:seed={}", 100 + number));
            let mut args = vec!["--model", &model, "--nats", &nats, "--device", name, "--live", "--fps", "3"];
            args.extend(["--source", &seed, "--slowdown", "20", "--device-class", "slow-camera"]);
            args.extend(["--point", point.unwrap_or("server-only,bits=34k")]);
            args.extend(point.is_none().then_some("--follow-orders"));
            cameras.push(Service::start("autotiler-edge", name, args, folder.path()).unwrap());
        }
        Self {
            _cameras: cameras,
            _links: links,
            _controller: controller,
            _prometheus: prometheus,
            _gateway: gateway,
            _decoder: decoder,
            _nats: nats,
            page,
            folder,
        }
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.page)
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A relay that carries what one of the recorded links did, from a moment of the camera's own.
fn link(number: usize, name: &str, listen: SocketAddr, nats: &str, folder: &TempDir) -> Process {
    let recorded = shared_data().map(|data| data.join("traces").join(RECORDED[number % RECORDED.len()]));
    let text = fs::read_to_string(recorded.unwrap_or_else(|| root().join(DRAWN))).unwrap();
    let (head, lines) = text.split_once('\n').unwrap();
    let mut rates: Vec<&str> = lines.lines().filter_map(|line| Some(line.split_once(',')?.1)).collect();
    let begin = number * APART % rates.len();
    rates.rotate_left(begin);
    let bins = rates.iter().enumerate().map(|(bin, rate)| format!("{},{rate}\n", bin * 100));
    let trace = folder.path().join(format!("{name}.csv"));
    fs::write(&trace, format!("{head}\n{}", bins.collect::<String>())).unwrap();
    let mut command = Command::new(binary("autotiler-shaper").unwrap());
    command.args(["--listen", &listen.to_string(), "--to", nats.trim_start_matches("nats://"), "--repeat"]);
    command.arg("--trace").arg(trace);
    Process::start(&format!("{name}-link"), command, folder.path()).unwrap()
}

//! How many devices one controller follows: real telemetry on a real broker, a real gateway, Prometheus, API server.
//! The controller has one core to itself and shares it with all the others.
//!
//! `AUTOTILER_SCALE=10000 cargo test --release -p autotiler-tests --test steer -- --ignored --nocapture many`

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use autotiler_core::{Epoch, telemetry::Telemetry};
use autotiler_tests::{Figure, PrometheusServer, Service, wait_looking_every};
use autotiler_transport::{ConnectOptions, connect, publish_telemetry};
use tokio::runtime::Runtime;

use crate::{
    cluster::Cluster,
    device,
    stand::{READY, Stand},
};

/// Sweeps that are measured once all devices have their order.
const SWEEPS: f64 = 60.0;
/// From nothing to an order for each device, and for the sweeps.
const LONG: Duration = Duration::from_secs(400);
/// Between two looks at the controller's metrics: they have series for each device, and share its core with the sweeps.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Parts of a second in which as many parts of the devices speak: they do not all speak at once.
const TICKS: usize = 20;
/// The one core of the controller.
const CORE: usize = 0;
/// What is wanted of a thousand devices.
const DEVICES: usize = 1_000;
const SWEEP_S: f64 = 0.25;
const WRITES_PER_S: f64 = 1.0;
const MEMORY_MIB: u64 = 256;

#[test]
#[ignore = "measures for minutes"]
fn many_devices_are_followed_by_one_controller() {
    let devices: usize = env::var("AUTOTILER_SCALE").map_or(DEVICES, |count| count.parse().unwrap());
    let names: Vec<String> = (0..devices).map(|number| format!("cam-{number}")).collect();
    let cluster = Cluster::crowded(&names);
    let stand = &cluster.stand;
    let nats = stand.nats.url();
    let args = ["--listen", "127.0.0.1:0", "--max-devices", "20000", "--nats", &nats];
    let mut gateway = Service::start("autotiler-gateway", "gateway", args, stand.folder.path()).unwrap();
    gateway.wait_ready(READY).unwrap();
    let prometheus = PrometheusServer::start(&[gateway.addr()], Duration::from_secs(1)).unwrap();
    let epoch = Arc::new(AtomicU32::new(0));
    let runtime = speak(&nats, names, epoch.clone());

    cluster.apply(&policy(stand, &prometheus.url()));
    // The first reports of thousands of devices would take half an hour at the usual rate.
    let mut controller = cluster.controller_with("one", &["--status-writes", "500"]);
    controller.process().pin(CORE).unwrap();
    let metric = |controller: &Service, name: &str| controller.metrics().unwrap_or_default().sum(name, &[]);
    let orders = |controller: &Service| metric(controller, "autotiler_controller_orders_total");
    until("an order for each device", || orders(&controller) >= devices as f64);
    // All obey. Their status says so once, some together with their order; then nothing changes any more.
    epoch.store(1, Ordering::Relaxed);
    let writes = |controller: &Service| metric(controller, "autotiler_controller_status_writes_total");
    let sweeps = |controller: &Service| metric(controller, "autotiler_controller_sweep_seconds_count");
    until("a report of each device", || writes(&controller) >= devices as f64);
    let settled = sweeps(&controller) + 10.0;
    until("the last reports", || sweeps(&controller) >= settled);

    let before = (sweeps(&controller), orders(&controller), writes(&controller));
    let (start, used) = (Instant::now(), controller.process().processor_time().unwrap());
    let buckets = Buckets::read(&controller);
    until("the sweeps", || sweeps(&controller) >= before.0 + SWEEPS);
    let (elapsed, used) = (start.elapsed(), controller.process().processor_time().unwrap() - used);
    let steady = Buckets::read(&controller).since(&buckets);
    let sweep_p99 = steady.quantile("sweep", 0.99);
    let writes_per_s = (writes(&controller) - before.2) / elapsed.as_secs_f64();
    let mib = controller.process().resident_bytes().unwrap_or_default() >> 20;
    let asked = devices <= DEVICES;
    Figure {
        what: &format!("{devices} devices, one replica on one core"),
        wanted: if asked { "sweep p99 <= 250 ms, <= 1 API write/s, 256 MiB" } else { "reported" },
        measured: format!(
            "sweep p99 at most {sweep_p99} s (deciding {} s), {writes_per_s:.2} writes/s, {mib} MiB, {:.0} % of the \
             core, {} orders in {SWEEPS} sweeps",
            steady.quantile("decide", 0.99),
            100.0 * used.as_secs_f64() / elapsed.as_secs_f64(),
            orders(&controller) - before.1
        ),
        reached: asked.then_some(sweep_p99 <= SWEEP_S && writes_per_s <= WRITES_PER_S && mib <= MEMORY_MIB),
    }
    .print();
    drop(runtime);
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_looking_every(LOOK_EVERY, what, LONG, || condition().then_some(())).unwrap();
}

/// All devices say each second that all is well on a wide link, and which order they have.
fn speak(nats: &str, names: Vec<String>, epoch: Arc<AtomicU32>) -> Runtime {
    let runtime = Runtime::new().unwrap();
    let options = ConnectOptions::new(vec![nats.parse().unwrap()], "many");
    runtime.spawn(async move {
        let connection = connect(&options).await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / TICKS as u32);
        let parts: Vec<_> = names.chunks(names.len().div_ceil(TICKS)).collect();
        for second in 1_u64.. {
            for part in &parts {
                ticks.tick().await;
                for name in *part {
                    let epoch = Epoch(epoch.load(Ordering::Relaxed));
                    let word = Telemetry {
                        uplink_bps: Some(50_000_000),
                        rtt_us: Some(20_000),
                        captured: 10 * second,
                        ..device::word(name, epoch, 1_000 * second)
                    };
                    let _ = publish_telemetry(&connection, &word).await;
                }
            }
        }
    });
    runtime
}

fn policy(stand: &Stand, prometheus: &str) -> String {
    let policy = stand.policy("north", "").replace(&stand.prometheus.url(), prometheus);
    // A second between sweeps, as is usual, and time to answer for ten thousand series.
    policy.replace("interval: 250ms", "interval: 1s").replace("maxAge: 2s", "maxAge: 10s")
}

/// The controller's histograms: name, bound in seconds, observations within.
struct Buckets(Vec<(String, f64, f64)>);

impl Buckets {
    fn read(controller: &Service) -> Self {
        let metrics = controller.metrics().unwrap();
        let of = |what: &str| {
            let name = format!("autotiler_controller_{what}_seconds_bucket");
            let samples = metrics.samples(&name, &[]);
            let bound = |le: Option<&str>| le.and_then(|le| le.parse().ok()).unwrap_or(f64::INFINITY);
            samples.map(|one| (what.to_owned(), bound(one.label("le")), one.value)).collect::<Vec<_>>()
        };
        Self(["sweep", "decide"].into_iter().flat_map(of).collect())
    }

    /// What was observed after `before`.
    fn since(mut self, before: &Self) -> Self {
        for (now, then) in self.0.iter_mut().zip(&before.0) {
            now.2 -= then.2;
        }
        self
    }

    /// The smallest bound that `share` of the observations stay within.
    fn quantile(&self, what: &str, share: f64) -> f64 {
        let of = || self.0.iter().filter(|(name, ..)| name == what);
        let all = of().map(|(.., count)| *count).fold(0.0, f64::max);
        let reached = of().filter(|(.., count)| *count >= share * all);
        reached.map(|(_, le, _)| *le).fold(f64::INFINITY, f64::min)
    }
}

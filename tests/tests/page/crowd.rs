//! Devices that say each second how they do, without being there: each on a link that follows `drive.csv` from a moment
//! of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use autotiler_core::{Digest, Epoch, OperatingPoint, telemetry::Telemetry};
use autotiler_transport::{ConnectOptions, connect, publish_telemetry};
use tokio::{runtime::Runtime, time::MissedTickBehavior};

const DRIVE: &str = include_str!("../../../services/shaper/traces/drive.csv");
/// Lines of a second in it.
const A_SECOND: usize = 10;

type Words = Arc<Mutex<BTreeMap<String, Telemetry>>>;

/// Many devices.
pub(crate) struct Crowd {
    _runtime: Runtime,
    words: Words,
}

impl Crowd {
    /// `count` devices, `cam-00` and on, that speak from now on, one after the other.
    pub(crate) fn start(nats: &str, count: usize) -> Self {
        let link: Vec<u64> = DRIVE.lines().filter_map(|line| line.split_once(',')?.1.parse().ok()).collect();
        let words: Words = Arc::new(Mutex::new((0..count).map(|at| (name(at), first(at))).collect()));
        let (runtime, said) = (Runtime::new().unwrap(), words.clone());
        let options = ConnectOptions::new(vec![nats.parse().unwrap()], "crowd");
        runtime.spawn(async move {
            let connection = connect(&options).await.unwrap();
            let start = Instant::now();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / count as u32);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for at in (0..count).cycle() {
                ticks.tick().await;
                let word = said.lock().unwrap().get_mut(&name(at)).map(|word| {
                    live_on(word, start.elapsed(), at, &link);
                    word.clone()
                });
                if let Some(word) = word {
                    // While the broker is away nobody hears it.
                    let _ = publish_telemetry(&connection, &word).await;
                }
            }
        });
        Self { _runtime: runtime, words }
    }

    /// Changes what `device` says from its next word on.
    pub(crate) fn alter(&self, device: &str, alter: impl FnOnce(&mut Telemetry)) {
        alter(self.words.lock().unwrap().get_mut(device).unwrap());
    }

    /// Has `device` obey an order for `point`.
    pub(crate) fn switch(&self, device: &str, point: &str) {
        let point: OperatingPoint = point.parse().unwrap();
        self.alter(device, |word| {
            (word.point, word.assigned) = (point, point);
            (word.epoch, word.switches) = (Epoch(word.epoch.0 + 1), word.switches + 1);
        });
    }

    /// Has `device` say nothing more.
    pub(crate) fn hush(&self, device: &str) {
        self.words.lock().unwrap().remove(device).unwrap();
    }
}

/// What the device at `at` is called.
pub(crate) fn name(at: usize) -> String {
    format!("cam-{at:02}")
}

fn first(at: usize) -> Telemetry {
    let point = "layer=36,cr=4,bits=12k".parse().unwrap();
    let mut word = Telemetry::at_start(name(at).parse().unwrap(), "pi-5".to_owned(), Digest([7; 32]), point);
    (word.epoch, word.frames_per_second) = (Epoch(1), 10.0);
    word.stage_us.head = Some(42_000);
    word.stage_us.codec = Some(9_000);
    word.server_us.tail = Some(8_000);
    word
}

/// Brings `word` to `uptime`: frames go on, and the link is as it was recorded.
fn live_on(word: &mut Telemetry, uptime: Duration, at: usize, link: &[u64]) {
    let second = uptime.as_secs() as usize;
    let capacity_bps = link[(second + 3 * at) * A_SECOND % link.len()].max(8_000);
    word.uptime_ms = uptime.as_millis() as u64;
    word.captured = word.uptime_ms / 100;
    (word.sent, word.received) = (word.captured, word.captured);
    word.uplink_bps = Some(capacity_bps);
    word.rtt_us = Some(20_000);
    let total_us = 80_000 + 12_000 * 1_000_000 / capacity_bps;
    (word.total_us.p50, word.total_us.p95) = (Some(total_us), Some(total_us * 5 / 4));
}

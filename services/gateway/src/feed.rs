//! What happens, gathered twice a second and written once for all who listen.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use autotiler_core::DeviceId;
use serde::Serialize;
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval},
};

use crate::{
    api::{Device, MomentView},
    controller::{Desk, Entry, PolicyState},
    fleet::Fleet,
    live::Lives,
};

/// How often changes are gathered. Devices speak each second.
const PERIOD: Duration = Duration::from_millis(500);
/// Words that a slow listener may be behind; then everything is said anew.
const BEHIND: usize = 64;

/// The newest words. Clones share them.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    words: broadcast::Sender<Arc<Word>>,
    last: AtomicU64,
}

/// One event, as it goes over the wire.
#[derive(Debug)]
pub struct Word {
    /// Rises by one.
    pub id: u64,
    /// `devices`, `moment` or `decision`.
    pub event: &'static str,
    /// JSON.
    pub data: String,
}

/// Somebody's ear.
#[derive(Debug)]
pub struct Listening {
    /// Words after this one have not been heard.
    pub since: u64,
    /// They come here.
    pub words: broadcast::Receiver<Arc<Word>>,
}

/// What has been told.
#[derive(Debug, Default)]
struct Told {
    /// Of each device that spoke: when last, and how many moments it had had.
    devices: HashMap<DeviceId, (Instant, u64)>,
    policies: Vec<PolicyState>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Devices {
    now_ms: u64,
    controller: &'static str,
    broker: &'static str,
    changed: Vec<Device>,
    gone: Vec<String>,
    /// Only where they are others than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<PolicyState>>,
}

#[derive(Serialize)]
struct Decision {
    device: String,
    #[serde(flatten)]
    entry: Entry,
}

impl Default for Feed {
    fn default() -> Self {
        let (words, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Shared { words, last: AtomicU64::new(0) }))
    }
}

impl Feed {
    /// Listens from now on.
    pub fn listen(&self) -> Listening {
        let words = self.0.words.subscribe();
        Listening { since: self.last(), words }
    }

    /// Id of the newest word.
    pub fn last(&self) -> u64 {
        self.0.last.load(Ordering::Acquire)
    }

    /// Gathers for ever what `fleet` and `desk` have of new, and whether `lives` has a broker.
    pub async fn gather(&self, fleet: &Fleet, desk: &Desk, lives: &Lives) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::default();
        loop {
            ticks.tick().await;
            self.gather_once(fleet, desk, lives, &mut told);
        }
    }

    /// Says what is new since `told`.
    fn gather_once(&self, fleet: &Fleet, desk: &Desk, lives: &Lives, told: &mut Told) {
        let (now, news) = (Instant::now(), desk.take_news());
        let heed = self.0.words.receiver_count() > 0;
        let (mut speaking, mut changed, mut moments) = (HashMap::new(), Vec::new(), Vec::new());
        fleet.each(now, |heard| {
            let device = &heard.telemetry.device;
            let before = told.devices.get(device);
            if heed && before.is_none_or(|(at, _)| *at != heard.at) {
                changed.push(Device::of(heard, desk));
                let taken = before.map_or(0, |(_, taken)| *taken);
                let fresh = heard.trail.moments_after(taken);
                moments.extend(fresh.map(|moment| MomentView::of(device, moment)));
            }
            speaking.insert(device.clone(), (heard.at, heard.trail.taken()));
        });
        let silent = told.devices.keys().filter(|device| !speaking.contains_key(*device));
        let gone = silent.map(DeviceId::to_string).collect();
        let policies = desk.policies();
        let others = (policies != told.policies).then(|| policies.clone());
        *told = Told { devices: speaking, policies };
        if !heed {
            return;
        }
        changed.sort_by(|a, b| a.name.cmp(&b.name));
        let (now_ms, controller, broker) = (fleet.unix_ms(now), desk.reach().label(), lives.broker());
        self.say("devices", &Devices { now_ms, controller, broker, changed, gone, policies: others });
        moments.sort_by_key(|moment| moment.at_ms);
        moments.iter().for_each(|moment| self.say("moment", moment));
        for news in news {
            self.say("decision", &Decision { device: news.device.to_string(), entry: news.entry });
        }
    }

    fn say(&self, event: &'static str, what: &impl Serialize) {
        let data = match serde_json::to_string(what) {
            Ok(data) => data,
            Err(error) => {
                tracing::error!(%error, event, "writing an event");
                return;
            }
        };
        let id = self.0.last.fetch_add(1, Ordering::AcqRel) + 1;
        // Nobody may listen any more.
        let _ = self.0.words.send(Arc::new(Word { id, event, data }));
    }
}

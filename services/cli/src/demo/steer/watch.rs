//! Listens to what cameras say of themselves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use autotiler_core::telemetry::Telemetry;
use autotiler_transport::{ConnectOptions, Connection, TelemetrySubscriber, connect};
use tokio::runtime::{Builder, Runtime};

/// A word and when it was heard.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// This machine's clock, in milliseconds since 1970.
    pub(super) unix_ms: u64,
    pub(super) word: Telemetry,
}

type Words = Arc<Mutex<BTreeMap<String, Vec<Heard>>>>;

/// All that was heard so far.
pub(super) struct Watch {
    _listening: Runtime,
    _connection: Connection,
    words: Words,
}

impl Watch {
    /// Listens until it is dropped.
    pub(super) fn start(nats: &str) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = ConnectOptions::new(vec![nats.parse()?], "autotiler-demo");
        let (connection, mut subscriber) = runtime.block_on(async {
            let connection = connect(&options).await.context("connecting to nats-server")?;
            let subscriber = TelemetrySubscriber::subscribe(&connection).await;
            Ok::<_, anyhow::Error>((connection, subscriber.context("subscribing to telemetry")?))
        })?;
        let words = Words::default();
        let heard = words.clone();
        runtime.spawn(async move {
            while let Some(word) = subscriber.next().await {
                let Ok(word) = word else { continue };
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let name = word.device.as_str().to_owned();
                locked(&heard)
                    .entry(name)
                    .or_default()
                    .push(Heard { unix_ms: unix.as_millis() as u64, word });
            }
        });
        Ok(Self { _listening: runtime, _connection: connection, words })
    }

    /// The newest word of a camera.
    pub(super) fn newest(&self, camera: &str) -> Option<Telemetry> {
        locked(&self.words).get(camera)?.last().map(|heard| heard.word.clone())
    }

    /// All words of a camera.
    pub(super) fn all(&self, camera: &str) -> Vec<Heard> {
        locked(&self.words).get(camera).cloned().unwrap_or_default()
    }

    /// When a camera's own clock was at 0, by this machine's, in milliseconds since 1970. A word is heard a little late,
    /// and much so where it waits behind frames: the earliest is the truest.
    pub(super) fn zero_unix_ms(&self, camera: &str) -> Option<u64> {
        let zeros =
            self.all(camera).into_iter().map(|heard| heard.unix_ms.saturating_sub(heard.word.uptime_ms));
        zeros.min()
    }
}

fn locked(words: &Words) -> MutexGuard<'_, BTreeMap<String, Vec<Heard>>> {
    // Nothing that runs under this lock can leave it torn.
    words.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Looking on at one device: what it sends as a picture, and what was found in it.
//!
//! A device's frames are asked for only while somebody looks, a few of them each second are decoded, and everybody who
//! looks at one device is shown the same. Nothing is taken from a decoder, and nothing is kept.

mod look;
mod shot;
mod studio;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use autotiler_core::{DeviceId, Digest};
use autotiler_hevc::DecoderOptions;
use autotiler_transport::{Connection, LinkState};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use shot::{Answered, Found, Image, Shot, ShotKind};
use studio::Studio;

/// Devices that are looked at, at the same time.
const MOST: usize = 16;

/// Class names by the digest of their network.
pub type ClassNames = HashMap<u64, Vec<String>>;

/// Everybody who looks. Clones share them.
#[derive(Debug, Clone)]
pub struct Lives(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: OnceLock<Connection>,
    studio: Studio,
    names: Arc<ClassNames>,
    views: Mutex<HashMap<DeviceId, Weak<View>>>,
}

/// One device that is looked at; its frames are no longer asked for when the last one who looks is gone.
#[derive(Debug)]
struct View {
    shots: watch::Receiver<Option<Arc<Shot>>>,
    _end: DropGuard,
}

/// Somebody's look at a device.
#[derive(Debug)]
pub struct Looking {
    shots: watch::Receiver<Option<Arc<Shot>>>,
    _view: Arc<View>,
}

/// Why nobody can look now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLook {
    /// There is no broker yet.
    #[error("nats-server has not been reached yet")]
    NoBroker,
    /// Too many devices are looked at.
    #[error("{MOST} devices are looked at already: try again when somebody has left")]
    TooMany,
}

impl Lives {
    /// Nobody looks yet. `names` says what networks call what they find.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(names: &[(Digest, Vec<String>)], codec: DecoderOptions) -> io::Result<Self> {
        let names = names.iter().map(|(network, names)| (network.prefix(), names.clone())).collect();
        let studio = Studio::open(codec)?;
        Ok(Self(Arc::new(Shared {
            connection: OnceLock::new(),
            studio,
            names: Arc::new(names),
            views: Mutex::default(),
        })))
    }

    /// The broker is there: from now on devices can be looked at.
    pub fn connect(&self, connection: Connection) {
        // A second connection would change nothing for those who look already.
        let _ = self.0.connection.set(connection);
    }

    /// Whether the broker is reached now: `up` or `away`.
    pub fn broker(&self) -> &'static str {
        let up = |connection: &Connection| *connection.link().borrow() == LinkState::Up;
        if self.0.connection.get().is_some_and(up) { "up" } else { "away" }
    }

    /// Looks at `device` until the result is dropped.
    ///
    /// # Errors
    /// [`NoLook`].
    pub fn look(&self, device: &DeviceId) -> Result<Looking, NoLook> {
        let connection = self.0.connection.get().ok_or(NoLook::NoBroker)?;
        // Nothing that runs under this lock can leave the map torn.
        let mut views = self.0.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|_, view| view.strong_count() > 0);
        let view = match views.get(device).and_then(Weak::upgrade) {
            Some(view) => view,
            None if views.len() >= MOST => return Err(NoLook::TooMany),
            None => {
                let view = Arc::new(self.open(connection.clone(), device.clone()));
                views.insert(device.clone(), Arc::downgrade(&view));
                view
            }
        };
        let mut shots = view.shots.clone();
        shots.mark_changed();
        Ok(Looking { shots, _view: view })
    }

    /// Devices that are looked at.
    pub fn len(&self) -> usize {
        let views = self.0.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.values().filter(|view| view.strong_count() > 0).count()
    }

    /// Whether nobody looks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn open(&self, connection: Connection, device: DeviceId) -> View {
        let (sender, shots) = watch::channel(None);
        let end = CancellationToken::new();
        let (studio, names) = (self.0.studio.clone(), self.0.names.clone());
        let ended = end.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = look::look(&connection, &device, &studio, &names, &sender) => {
                    tracing::debug!(%device, "nothing more is seen");
                }
                () = ended.cancelled() => {}
            }
        });
        View { shots, _end: end.drop_guard() }
    }
}

impl Looking {
    /// The next shot that was not seen yet, at first the newest; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Arc<Shot>> {
        loop {
            self.shots.changed().await.ok()?;
            if let Some(shot) = self.shots.borrow_and_update().clone() {
                return Some(shot);
            }
        }
    }
}

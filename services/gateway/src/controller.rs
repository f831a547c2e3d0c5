//! What the controller knows of the devices, asked at its admin port: policies, orders, and why each was made.
//!
//! The controller may be absent or away; what it said is then not shown as the present.

mod answer;
mod follow;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use autotiler_core::DeviceId;
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;

pub use answer::{Decided, Entry, Explained, Judged, PolicyState, Predicted};
pub use follow::follow;

/// Longest wait for the controller.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Asks the controller. Clones share connections.
#[derive(Debug, Clone)]
pub struct Controller {
    client: Client,
    base: Url,
}

/// Why the controller gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It could not be reached, or broke off.
    #[error("asking the controller at {base}")]
    Unreachable {
        /// Where.
        base: Url,
        /// The client's own words.
        #[source]
        source: reqwest::Error,
    },
    /// It follows no such device.
    #[error("the controller follows no device {0}")]
    NoDevice(DeviceId),
    /// It, or who answers in its place, said something else.
    #[error("the controller at {base} answers {status}: is this its admin port?")]
    Status {
        /// Where.
        base: Url,
        /// The status.
        status: StatusCode,
    },
    /// More than `MOST_BYTES`.
    #[error("the answer of the controller at {0} is too long")]
    TooLong(Url),
    /// No JSON, or of another shape.
    #[error("reading the answer of the controller at {base}")]
    Json {
        /// Where.
        base: Url,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
}

/// What the controller said last. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Desk(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    reach: Reach,
    devices: BTreeMap<DeviceId, Ruled>,
    policies: Vec<PolicyState>,
    news: Vec<News>,
}

/// Whether the controller can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody said where it is.
    #[default]
    Absent,
    /// It does not answer.
    Away,
    /// It answered the last time.
    Up,
}

impl Reach {
    /// JSON value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Away => "away",
            Self::Up => "up",
        }
    }
}

/// What the controller has decided for a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruled {
    /// The policy that it follows.
    pub policy: String,
    /// Of its newest order; 0 before the first.
    pub epoch: u32,
    /// Whether the device obeys it.
    pub synced: bool,
    /// Expected loss of accuracy at the ordered point, in thousandths.
    pub accuracy_drop_permille: Option<u16>,
    /// When the newest decision that we know was made, in milliseconds since 1970.
    newest_ms: u64,
}

/// A decision that was not known before.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Whom it is about.
    pub device: DeviceId,
    /// What was decided.
    pub entry: Entry,
}

impl Controller {
    /// Who asks at `base`, the controller's admin port.
    ///
    /// # Errors
    /// When the system gives no certificates or no resolver.
    pub fn new(base: Url) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base })
    }

    /// Everything about one device.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn device(&self, device: &DeviceId) -> Result<Explained, AskError> {
        self.ask(&format!("v1/devices/{device}")).await.map_err(|error| match error {
            AskError::Status { status: StatusCode::NOT_FOUND, .. } => AskError::NoDevice(device.clone()),
            other => other,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        let base = || self.base.clone();
        let unreachable = |source| AskError::Unreachable { base: base(), source };
        let url = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        let mut answer = self.client.get(url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(AskError::Status { base: base(), status: answer.status() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(AskError::TooLong(base()));
            }
        }
        serde_json::from_slice(&body).map_err(|source| AskError::Json { base: base(), source })
    }
}

impl Desk {
    /// Whether the controller can be asked.
    pub fn reach(&self) -> Reach {
        self.locked().reach
    }

    /// What it decided for `device`; none while it is away.
    pub fn device(&self, device: &DeviceId) -> Option<Ruled> {
        let said = self.locked();
        (said.reach == Reach::Up).then(|| said.devices.get(device).cloned()).flatten()
    }

    /// Its policies; none while it is away.
    pub fn policies(&self) -> Vec<PolicyState> {
        let said = self.locked();
        if said.reach == Reach::Up { said.policies.clone() } else { Vec::new() }
    }

    /// A policy by its name; none while the controller is away.
    pub fn policy(&self, name: &str) -> Option<PolicyState> {
        self.policies().into_iter().find(|policy| policy.name == name)
    }

    /// Decisions that came since the last call.
    pub fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.locked().news)
    }

    fn locked(&self) -> MutexGuard<'_, Said> {
        // Entries are replaced whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

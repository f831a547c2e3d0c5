//! What the controller knows of the devices, asked at its admin port: policies, orders, and why each was made.
//!
//! The controller may be absent or away; what it said is then not shown as the present.

mod answer;
mod follow;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use autotiler_core::DeviceId;
use reqwest::{Client, StatusCode, Url, header::HOST};
use serde::de::DeserializeOwned;
use tokio::net::lookup_host;

pub use answer::{Decided, Entry, Explained, Judged, PolicyState, Predicted};
pub use follow::follow;

/// Longest wait for the controller.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Asks the controller: of several replicas behind one name the one that leads. Clones share connections.
#[derive(Debug, Clone)]
pub struct Controller {
    client: Client,
    base: Url,
    /// Where the leader was last.
    leader: Arc<Mutex<Option<IpAddr>>>,
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
    /// It leaves decisions to another one.
    #[error("no controller at {0} leads now")]
    StandsBy(Url),
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
        Ok(Self { client, base, leader: Arc::default() })
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
        self.ask_each(self.replicas().await, path).await
    }

    async fn ask_each<T: DeserializeOwned>(&self, replicas: Vec<Url>, path: &str) -> Result<T, AskError> {
        let mut last = AskError::StandsBy(self.base.clone());
        for replica in replicas {
            match self.ask_at(&replica, path).await {
                // Whoever leads may be behind the next address.
                Err(error @ AskError::Unreachable { .. }) => last = error,
                Err(AskError::StandsBy(_)) => last = AskError::StandsBy(self.base.clone()),
                answered => {
                    *self.last_leader() = address(&replica);
                    return answered;
                }
            }
        }
        Err(last)
    }

    /// Every address behind the name, the last leader's first. With TLS the name itself: certificates hold it.
    async fn replicas(&self) -> Vec<Url> {
        let named = || vec![self.base.clone()];
        let (Some(name), Some(port), "http") =
            (self.base.domain(), self.base.port_or_known_default(), self.base.scheme())
        else {
            return named();
        };
        let Ok(found) = lookup_host((name, port)).await else { return named() };
        let mut addresses: Vec<IpAddr> = found.map(|found| found.ip()).collect();
        let leader = *self.last_leader();
        addresses.sort_by_key(|address| Some(*address) != leader);
        let at = |address| {
            let mut url = self.base.clone();
            url.set_ip_host(address).map(|()| url).ok()
        };
        addresses.into_iter().filter_map(at).collect()
    }

    fn last_leader(&self) -> MutexGuard<'_, Option<IpAddr>> {
        // Replaced whole.
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_at<T: DeserializeOwned>(&self, replica: &Url, path: &str) -> Result<T, AskError> {
        let base = || self.base.clone();
        let unreachable = |source| AskError::Unreachable { base: base(), source };
        let url = format!("{}/{path}", replica.as_str().trim_end_matches('/'));
        let mut asked = self.client.get(url);
        if let Some(name) = self.base.domain() {
            // Whatever stands before it may tell services apart by their names.
            let port = self.base.port().map_or_else(String::new, |port| format!(":{port}"));
            asked = asked.header(HOST, format!("{name}{port}"));
        }
        let mut answer = asked.send().await.map_err(unreachable)?;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Err(AskError::StandsBy(base()));
        }
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

fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
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

#[cfg(test)]
mod tests {
    use axum::{Json, Router, http::StatusCode, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    /// A replica that answers `/v1/devices` so.
    async fn replica(answer: Result<Json<Vec<String>>, StatusCode>) -> Url {
        let router = Router::new().route("/v1/devices", get(async move || answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn the_replica_that_leads_is_found_behind_those_that_do_not() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let gone: Url = format!("http://{gone}").parse().unwrap();
        let stands_by = replica(Err(StatusCode::SERVICE_UNAVAILABLE)).await;
        let leads = replica(Ok(Json(vec!["cam-0".to_owned()]))).await;
        let controller = Controller::new("http://controller:9104".parse().unwrap()).unwrap();
        let ask = async |replicas: &[&Url]| {
            let replicas = replicas.iter().map(|url| (*url).clone()).collect();
            controller.ask_each::<Vec<String>>(replicas, "v1/devices").await
        };
        assert_eq!(ask(&[&stands_by, &gone, &leads]).await.unwrap(), ["cam-0"]);
        assert!(matches!(ask(&[&gone, &stands_by]).await, Err(AskError::StandsBy(_))));
        assert!(matches!(ask(&[&gone]).await, Err(AskError::Unreachable { .. })));
        // Another answer is an answer, and nobody else is asked.
        let refuses = replica(Err(StatusCode::FORBIDDEN)).await;
        assert!(matches!(ask(&[&refuses, &leads]).await, Err(AskError::Status { .. })));
    }

    #[tokio::test]
    async fn an_address_is_asked_as_it_is_and_a_name_at_each_of_its_addresses() {
        let replicas = async |url: &str| Controller::new(url.parse().unwrap()).unwrap().replicas().await;
        assert_eq!(replicas("http://127.0.0.1:9104/").await, ["http://127.0.0.1:9104/".parse().unwrap()]);
        assert_eq!(replicas("https://localhost:9104/").await, ["https://localhost:9104/".parse().unwrap()]);
        let found = replicas("http://localhost:9104/admin").await;
        assert!(found.contains(&"http://127.0.0.1:9104/admin".parse().unwrap()), "{found:?}");
    }
}

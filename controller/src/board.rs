//! Where people look: the last sweep of every device with its reasons, and how each policy does.

mod series;
mod standing;
mod tally;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use autotiler_core::{DeviceId, Digest, order::Order, telemetry::Telemetry};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

pub use series::BoardSeries;
pub use standing::{LeftOut, Standing};
pub use tally::Tally;

use crate::{
    catalog::{Matches, Mode, PolicyName},
    control::{Assigned, Decided, Drifted, Forecast, HistoryEntry},
};

/// A device whose last sweep is older has gone silent, in milliseconds.
const SILENT_MS: u64 = 15_000;
/// A device that has not spoken may yet do so, for this time after the first sweeps.
const PATIENCE: Duration = Duration::from_millis(SILENT_MS);

/// The newest of everything. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    devices: BTreeMap<DeviceId, Seen>,
    policies: BTreeMap<PolicyName, PolicyState>,
    /// Who follows whom, and since when that is known.
    matches: Option<(Arc<Matches>, Instant)>,
    /// Why nothing is known here: this process does not decide.
    stands_by: Option<String>,
}

/// A device that speaks.
#[derive(Debug, Clone)]
enum Seen {
    InControl(Arc<Explained>),
    LeftOut(PolicyName, LeftOut),
}

/// A device's last sweep.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The device.
    pub device: DeviceId,
    /// The policy that it follows.
    pub policy: PolicyName,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Which profile fits it.
    pub device_class: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Of the newest order; 0 when there is none.
    pub epoch: u32,
    /// The newest order.
    pub order: Option<Order>,
    /// What was known when it was written; none if another process wrote it.
    pub assigned: Option<Arc<Assigned>>,
    /// Whether the device has applied it.
    pub synced: bool,
    /// Whether its flap budget is spent.
    pub limited: bool,
    /// What the device said last.
    pub telemetry: Arc<Telemetry>,
    /// Inputs, candidates, outcome.
    pub decided: Decided,
    /// The newest prediction that has been tested.
    pub forecast: Option<Forecast>,
    /// Stages that have long taken another time than the profile says.
    pub drifted: Option<Drifted>,
    /// The last decisions, newest first.
    pub history: Vec<HistoryEntry>,
}

impl Explained {
    /// Predicted time from capture to detections at the point in force, in microseconds.
    pub fn predicted_us(&self) -> Option<u64> {
        let judged = self.decided.choice.as_ref()?.find(self.telemetry.point)?;
        Some(judged.predicted.total_us)
    }

    /// Whether the device has gone silent; `now_ms` is since 1970.
    pub fn is_silent(&self, now_ms: u64) -> bool {
        now_ms > self.at_ms.saturating_add(SILENT_MS)
    }
}

/// How a policy does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyState {
    /// Its name.
    pub name: PolicyName,
    /// Devices that follow it.
    pub matched: usize,
    /// Of these, devices that speak and fit its profile.
    pub shown: usize,
    /// Signals that could not be asked for, and why.
    pub errors: Vec<(&'static str, String)>,
    /// Devices that it selects and another policy has.
    pub lost: Vec<(DeviceId, PolicyName)>,
    /// Devices that speak and that it cannot decide for.
    pub left_out: Vec<(DeviceId, LeftOut)>,
    /// Digest of its profile; none while that is not there.
    pub profile: Option<Digest>,
    /// Whether everything stays as it is.
    pub suspended: bool,
    /// Largest loss of accuracy that it allows, in thousandths.
    pub max_accuracy_drop_permille: u16,
}

impl Board {
    /// Says that this process does not decide, and who does, where that is known.
    pub fn stand_by(&self, leader: Option<&str>) {
        let leads = leader.map_or_else(|| "nobody leads yet".to_owned(), |leader| format!("{leader} leads"));
        self.locked().stands_by = Some(format!("this controller stands by: {leads}"));
    }

    /// Says that this process decides from now on.
    pub fn lead(&self) {
        self.locked().stands_by = None;
    }

    /// Shows a device's sweep.
    pub fn put(&self, explained: Explained) {
        self.locked().devices.insert(explained.device.clone(), Seen::InControl(Arc::new(explained)));
    }

    /// Shows a policy's sweep, and the devices that it left out.
    pub fn put_policy(&self, state: PolicyState) {
        let mut shown = self.locked();
        for (device, why) in &state.left_out {
            shown.devices.insert(device.clone(), Seen::LeftOut(state.name.clone(), why.clone()));
        }
        shown.policies.insert(state.name.clone(), state);
    }

    /// Takes down devices that follow no policy any more.
    pub fn follow(&self, matches: Arc<Matches>) {
        let mut shown = self.locked();
        shown.devices.retain(|device, _| matches.winner.contains_key(device));
        let since = shown.matches.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        shown.matches = Some((matches, since));
    }

    /// Takes down policies that are not to be `kept`.
    pub fn retain_policies(&self, kept: impl Fn(&PolicyName) -> bool) {
        self.locked().policies.retain(|policy, _| kept(policy));
    }

    /// A device's last sweep.
    pub fn device(&self, device: &DeviceId) -> Option<Arc<Explained>> {
        self.locked().devices.get(device).and_then(Seen::explained)
    }

    /// All devices' last sweeps, by name.
    pub fn devices(&self) -> Vec<Arc<Explained>> {
        self.locked().devices.values().filter_map(Seen::explained).collect()
    }

    /// What is known of `device`; none while it may yet speak, after a start.
    pub fn standing(&self, device: &DeviceId) -> Option<Standing> {
        let shown = self.locked();
        let (matches, since) = shown.matches.as_ref()?;
        match (matches.winner.get(device), shown.devices.get(device)) {
            (None, _) => Some(Standing::NoPolicy),
            (_, Some(Seen::InControl(explained))) => Some(Standing::InControl(explained.clone())),
            (_, Some(Seen::LeftOut(policy, why))) => Some(Standing::LeftOut(policy.clone(), why.clone())),
            (Some(policy), None) => {
                (since.elapsed() >= PATIENCE).then(|| Standing::Silent(policy.name.clone()))
            }
        }
    }

    /// All policies.
    pub fn policies(&self) -> Vec<PolicyState> {
        self.locked().policies.values().cloned().collect()
    }

    /// Its series, for a registry.
    ///
    /// # Errors
    /// Never in practice: the names of the series are fixed and right.
    pub fn series(&self) -> Result<BoardSeries, prometheus::Error> {
        BoardSeries::new(self.clone())
    }

    /// `/v1/devices`, `/v1/devices/NAME` and `/v1/policies`, as JSON; 503 where another one leads.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/devices", get(devices))
            .route("/v1/devices/{name}", get(device))
            .route("/v1/policies", get(policies))
            .layer(from_fn_with_state(self.clone(), only_the_leader))
            .with_state(self.clone())
    }

    fn locked(&self) -> MutexGuard<'_, Shown> {
        // Entries are replaced whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn explained(&self) -> Option<Arc<Explained>> {
        match self {
            Self::InControl(explained) => Some(explained.clone()),
            Self::LeftOut(..) => None,
        }
    }
}

/// An empty list would be taken for what is.
async fn only_the_leader(State(board): State<Board>, request: Request, next: Next) -> Response {
    let stands_by = board.locked().stands_by.clone();
    match stands_by {
        Some(says) => (StatusCode::SERVICE_UNAVAILABLE, format!("{says}\n")).into_response(),
        None => next.run(request).await,
    }
}

/// A line of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    device: DeviceId,
    policy: PolicyName,
    point: Option<autotiler_core::OperatingPoint>,
    epoch: u32,
    synced: bool,
    guarded: bool,
    uplink_bps: Option<u64>,
    total_p50_us: Option<u64>,
    total_p95_us: Option<u64>,
    frames_per_second: f64,
}

async fn devices(State(board): State<Board>) -> Json<Vec<Line>> {
    let line = |explained: Arc<Explained>| Line {
        device: explained.device.clone(),
        policy: explained.policy.clone(),
        point: explained.order.as_ref().map(|order| order.point),
        epoch: explained.epoch,
        synced: explained.synced,
        guarded: explained.telemetry.guarded_for_ms.is_some(),
        uplink_bps: explained.telemetry.uplink_bps,
        total_p50_us: explained.telemetry.total_us.p50,
        total_p95_us: explained.telemetry.total_us.p95,
        frames_per_second: explained.telemetry.frames_per_second,
    };
    Json(board.devices().into_iter().map(line).collect())
}

async fn device(State(board): State<Board>, Path(name): Path<String>) -> Response {
    let found = name.parse().ok().and_then(|device| board.standing(&device));
    match found {
        Some(Standing::InControl(explained)) => Json(&*explained).into_response(),
        Some(Standing::LeftOut(policy, why)) => {
            let says = format!("{} cannot decide for {name}: {why}\n", policy.0);
            (StatusCode::NOT_FOUND, says).into_response()
        }
        _ => {
            let known: Vec<_> = board.devices().iter().take(20).map(|one| one.device.to_string()).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            (StatusCode::NOT_FOUND, format!("no device {name:?} is under control here; there are: {known}\n"))
                .into_response()
        }
    }
}

async fn policies(State(board): State<Board>) -> Json<Vec<PolicyState>> {
    Json(board.policies())
}

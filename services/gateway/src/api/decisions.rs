//! Why a device is where it is, asked of the controller at once.

use autotiler_core::OperatingPoint;
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, Problem, devices::device_id};
use crate::controller::{AskError, Entry, Explained, Judged};

/// What the controller decided for a device, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decisions {
    /// The policy that decides.
    pub policy: String,
    /// `Enforce`, or `Advise`: nothing is sent.
    pub mode: String,
    /// When it was swept last, in milliseconds since 1970.
    pub at_ms: u64,
    /// Of the newest order.
    pub epoch: u32,
    /// Whether the device obeys it.
    pub synced: bool,
    /// Whether its budget of switches is spent.
    pub limited: bool,
    /// The point in force for the controller.
    #[schema(value_type = Option<String>)]
    pub current: Option<OperatingPoint>,
    /// Slow mean of the uplink's capacity, in bit/s.
    pub mean_uplink_bps: Option<f64>,
    /// What the last sweep came to.
    #[schema(value_type = Object)]
    pub outcome: serde_json::Value,
    /// What was ordered, as it was predicted then.
    pub chosen: Option<Judged>,
    /// The next best then.
    pub runner_up: Option<Judged>,
    /// Every candidate of the last sweep.
    pub candidates: Vec<Judged>,
    /// The last decisions, newest first.
    pub history: Vec<Entry>,
}

impl From<Explained> for Decisions {
    fn from(explained: Explained) -> Self {
        let Explained { policy, mode, at_ms, epoch, synced, limited, assigned, decided, history } = explained;
        let (chosen, runner_up) = assigned.map_or((None, None), |known| (known.chosen, known.runner_up));
        Self {
            policy,
            mode,
            at_ms,
            epoch,
            synced,
            limited,
            current: decided.current,
            mean_uplink_bps: decided.mean_uplink_bps,
            outcome: decided.outcome,
            chosen,
            runner_up,
            candidates: decided.choice.map(|choice| choice.judged).unwrap_or_default(),
            history,
        }
    }
}

/// What the controller decided for a device, with every candidate and the last decisions.
#[utoipa::path(get, path = "/api/v1/devices/{name}/decisions", tag = "devices", params(("name" = String, Path, description = "The device")),
    responses((status = 200, body = Decisions),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "The controller does not follow it"),
              (status = 501, body = Problem, content_type = "application/problem+json", description = "No controller is named"),
              (status = 502, body = Problem, content_type = "application/problem+json", description = "The controller is away")))]
pub(super) async fn decisions(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Decisions>, Problem> {
    let device = device_id(&name)?;
    let Some(controller) = &api.controller else {
        let detail = "no controller is named here: start the gateway with --controller URL";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail));
    };
    match controller.device(&device).await {
        Ok(explained) => Ok(Json(explained.into())),
        Err(error @ AskError::NoDevice(_)) => Err(Problem::of(StatusCode::NOT_FOUND, &error)),
        Err(error) => Err(Problem::of(StatusCode::BAD_GATEWAY, &error)),
    }
}

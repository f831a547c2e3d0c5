//! Pins and suspensions, for whoever has the token.

use autotiler_core::OperatingPoint;
use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Api, Problem, devices::device_id};
use crate::writer::{Cluster, NotWritten, Writer};

/// Where a device is to be held.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PinRequest {
    /// The operating point; without bits the controller finds those.
    #[schema(value_type = String, example = "layer=36,cr=4,bits=12k")]
    point: OperatingPoint,
    /// When the pin ends, as RFC 3339; without it, when it is removed.
    #[serde(default)]
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Holds a device at a point, whatever its policy finds.
#[utoipa::path(post, path = "/api/v1/devices/{name}/pin", tag = "changes", security(("token" = [])),
    params(("name" = String, Path, description = "The device")), request_body = PinRequest,
    responses((status = 204),
              (status = 400, body = Problem, content_type = "application/problem+json", description = "No such point or time"),
              (status = 401, body = Problem, content_type = "application/problem+json", description = "No token, or a wrong one"),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "No such EdgeDevice"),
              (status = 501, body = Problem, content_type = "application/problem+json", description = "Read-only, or no cluster"),
              (status = 502, body = Problem, content_type = "application/problem+json", description = "The API server refused")))]
pub(super) async fn pin(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Result<Json<PinRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let cluster = allowed(&api, &headers)?;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Json(request) = request.map_err(|error| bad(error.body_text()))?;
    let pin =
        Cluster::pin_at(request.point, request.until.as_deref()).map_err(|error| bad(error.to_string()))?;
    done(cluster.pin(&device_id(&name)?, Some(&pin)).await)
}

/// Takes a device's pin away.
#[utoipa::path(delete, path = "/api/v1/devices/{name}/pin", tag = "changes", security(("token" = [])),
    params(("name" = String, Path, description = "The device")),
    responses((status = 204),
              (status = 401, body = Problem, content_type = "application/problem+json", description = "No token, or a wrong one"),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "No such EdgeDevice"),
              (status = 501, body = Problem, content_type = "application/problem+json", description = "Read-only, or no cluster"),
              (status = 502, body = Problem, content_type = "application/problem+json", description = "The API server refused")))]
pub(super) async fn unpin(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let cluster = allowed(&api, &headers)?;
    done(cluster.pin(&device_id(&name)?, None).await)
}

/// Freezes a policy: nothing is decided, devices keep what they have.
#[utoipa::path(post, path = "/api/v1/policies/{namespace}/{name}/suspend", tag = "changes", security(("token" = [])),
    params(("namespace" = String, Path, description = "The policy's namespace"), ("name" = String, Path, description = "The policy")),
    responses((status = 204),
              (status = 401, body = Problem, content_type = "application/problem+json", description = "No token, or a wrong one"),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "No such policy"),
              (status = 501, body = Problem, content_type = "application/problem+json", description = "Read-only, or no cluster"),
              (status = 502, body = Problem, content_type = "application/problem+json", description = "The API server refused")))]
pub(super) async fn suspend(
    State(api): State<Api>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    done(allowed(&api, &headers)?.suspend(&namespace, &name, true).await)
}

/// Lets a policy decide again.
#[utoipa::path(post, path = "/api/v1/policies/{namespace}/{name}/resume", tag = "changes", security(("token" = [])),
    params(("namespace" = String, Path, description = "The policy's namespace"), ("name" = String, Path, description = "The policy")),
    responses((status = 204),
              (status = 401, body = Problem, content_type = "application/problem+json", description = "No token, or a wrong one"),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "No such policy"),
              (status = 501, body = Problem, content_type = "application/problem+json", description = "Read-only, or no cluster"),
              (status = 502, body = Problem, content_type = "application/problem+json", description = "The API server refused")))]
pub(super) async fn resume(
    State(api): State<Api>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    done(allowed(&api, &headers)?.suspend(&namespace, &name, false).await)
}

/// The cluster, for whoever has the token. The token comes first: without it nobody learns what is here.
fn allowed<'a>(api: &'a Api, headers: &HeaderMap) -> Result<&'a Cluster, Problem> {
    let not_here = |detail: &str| Problem::new(StatusCode::NOT_IMPLEMENTED, detail);
    let Some(writer) = api.writer.as_deref() else {
        return Err(not_here("everything is read-only here: start the gateway with --token-file FILE"));
    };
    let Writer { token, cluster } = writer;
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let said = said.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match token.opens(said.unwrap_or_default()) {
        Ok(true) => {}
        Ok(false) => {
            let detail = "this needs the gateway's token: Authorization: Bearer TOKEN";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        Err(error) => return Err(Problem::of(StatusCode::INTERNAL_SERVER_ERROR, &error)),
    }
    let none = "there is no cluster here: pins and suspensions are objects of Kubernetes; change the controller's files";
    cluster.as_ref().ok_or_else(|| not_here(none))
}

fn done(written: Result<(), NotWritten>) -> Result<StatusCode, Problem> {
    written.map(|()| StatusCode::NO_CONTENT).map_err(|error| {
        let status = match &error {
            NotWritten::NoDevice(_) | NotWritten::NoPolicy { .. } => StatusCode::NOT_FOUND,
            NotWritten::Several { .. } => StatusCode::CONFLICT,
            NotWritten::Refused(_) => StatusCode::BAD_GATEWAY,
        };
        Problem::of(status, &error)
    })
}

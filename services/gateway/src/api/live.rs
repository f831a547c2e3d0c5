//! What a device sends and what is found in it, while somebody looks.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};

use super::{Api, KEEP_ALIVE, Problem, devices::device_id};
use crate::live::{Looking, NoLook};

/// Longest wait for a frame of which a picture can be made.
const PATIENCE: Duration = Duration::from_secs(5);

/// A device's newest frames as server-sent events of the kind `frame` (a `Shot`), at most five a second.
///
/// Its frames are asked for only while somebody listens. A device that works alone (`device-only`) sends none.
#[utoipa::path(get, path = "/api/v1/devices/{name}/frames", tag = "streams", params(("name" = String, Path, description = "The device")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
              (status = 503, body = Problem, content_type = "application/problem+json", description = "No broker, or too many look")))]
pub(super) async fn frames(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = api.place()?;
    let looking = look(&api, &name)?;
    let shots = stream::unfold((looking, place), async |(mut looking, place)| {
        let shot = looking.next().await?;
        let event = Event::default().event("frame").json_data(&*shot);
        let event = event.inspect_err(|error| tracing::error!(%error, "writing a frame")).ok()?;
        Some((Ok(event), (looking, place)))
    });
    Ok(Sse::new(shots).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A device's newest frame as a picture: the tiled plane as PNG, or, where it sends pictures, the picture as JPEG.
#[utoipa::path(get, path = "/api/v1/devices/{name}/image", tag = "devices", params(("name" = String, Path, description = "The device")),
    responses((status = 200, body = Vec<u8>, content_type = "image/png"),
              (status = 503, body = Problem, content_type = "application/problem+json", description = "No broker, or too many look"),
              (status = 504, body = Problem, content_type = "application/problem+json", description = "It sends no frame")))]
pub(super) async fn image(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Problem> {
    let mut looking = look(&api, &name)?;
    let first = async {
        loop {
            if let Some(image) = looking.next().await?.image.clone() {
                return Some(image);
            }
        }
    };
    let image = tokio::time::timeout(PATIENCE, first).await.ok().flatten().ok_or_else(|| {
        let detail = format!("{name} sent no frame within {} s: does it work alone now?", PATIENCE.as_secs());
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
    })?;
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(image.media_type))];
    Ok((media_type, image.bytes.clone()).into_response())
}

fn look(api: &Api, name: &str) -> Result<Looking, Problem> {
    let device = device_id(name)?;
    api.lives.look(&device).map_err(|error: NoLook| Problem::of(StatusCode::SERVICE_UNAVAILABLE, &error))
}

//! What happens, as server-sent events: everything first, then what changes.

use std::{convert::Infallible, time::Instant};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError};

use super::{Api, DeviceList, KEEP_ALIVE, Problem};
use crate::feed::Listening;

/// Where a listener stands.
struct Listener {
    api: Api,
    listening: Listening,
    /// Everything is said anew before the next change: at the start, and to one who was too slow.
    anew: bool,
    _place: OwnedSemaphorePermit,
}

impl Api {
    /// A place for one more stream.
    ///
    /// # Errors
    /// A 503 where all are taken.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open here: try again later")
        })
    }
}

/// Telemetry, switches, guard moves and decisions as server-sent events.
///
/// First `snapshot` (a `DeviceList`); then `devices` twice a second (`{nowMs, controller, broker, changed, gone, policies}`: those
/// that spoke, the names of those that fell silent, and the policies if they changed), `moment` (a `MomentView`) and `decision` (`{device, ...Decision}`) as they come.
/// Whoever comes back with `Last-Event-ID` gets a snapshot again, for changes are not kept.
#[utoipa::path(get, path = "/api/v1/events", tag = "streams",
    responses((status = 200, body = String, content_type = "text/event-stream"),
              (status = 503, body = Problem, content_type = "application/problem+json", description = "Too many streams")))]
pub(super) async fn events(
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = api.place()?;
    let listening = api.feed.listen();
    let listener = Listener { api, listening, anew: true, _place: place };
    let words = stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    });
    Ok(Sse::new(words).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.anew) {
                let list = DeviceList::at(&self.api, Instant::now());
                let id = self.listening.since.to_string();
                let event = Event::default().id(id).event("snapshot").json_data(list);
                return event.inspect_err(|error| tracing::error!(%error, "writing a snapshot")).ok();
            }
            match self.listening.words.recv().await {
                // What a snapshot held already does no harm, but needs not be said.
                Ok(word) if word.id <= self.listening.since => {}
                Ok(word) => {
                    return Some(
                        Event::default().id(word.id.to_string()).event(word.event).data(&*word.data),
                    );
                }
                Err(RecvError::Lagged(_)) => {
                    self.listening.since = self.api.feed.last();
                    self.anew = true;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

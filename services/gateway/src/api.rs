//! The JSON API and the page, as one router. Every path and every shape stands in `/api/v1/openapi.json`, made from
//! the same lines as the routes.

mod decisions;
mod devices;
mod events;
mod live;
mod openapi;
mod page;
mod problem;
mod write;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::{Next, from_fn},
    response::Response,
};
use tokio::sync::Semaphore;

pub use decisions::Decisions;
pub use devices::{Device, DeviceDetail, DeviceList, MomentView};
pub use openapi::document;
pub use problem::Problem;

use crate::{
    controller::Controller, controller::Desk, feed::Feed, fleet::Fleet, live::Lives, writer::Writer,
};

/// Streams of events that are open at the same time.
const MOST_STREAMS: usize = 256;
/// A stream on which nothing happens says so that often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The page is all its own: nothing from elsewhere, nothing inline, in nobody's frame.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the routes work with. Clones share it.
#[derive(Debug, Clone)]
pub struct Api {
    /// Devices that speak.
    pub fleet: Fleet,
    /// What the controller said last.
    pub desk: Desk,
    /// Who asks the controller, where one is named.
    pub controller: Option<Controller>,
    /// What happens, for all who listen.
    pub feed: Feed,
    /// Everybody who looks at a device.
    pub lives: Lives,
    /// Who changes objects of the cluster; none where everything is read-only.
    pub writer: Option<Arc<Writer>>,
    streams: Arc<Semaphore>,
}

impl Api {
    /// An API over all of these.
    pub fn new(
        fleet: Fleet,
        desk: Desk,
        controller: Option<Controller>,
        feed: Feed,
        lives: Lives,
        writer: Option<Writer>,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(MOST_STREAMS));
        Self { fleet, desk, controller, feed, lives, writer: writer.map(Arc::new), streams }
    }

    /// The page, the API, and its description.
    pub fn router(self) -> Router {
        let (routes, _) = openapi::routes().split_for_parts();
        routes
            .merge(page::routes())
            .fallback(async || Problem::not_found("nothing is served at this path; see api/v1/openapi.json"))
            .with_state(self)
            .layer(from_fn(harden))
    }
}

/// Says to browsers what they must not do.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

//! Admin endpoints over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;

/// A bound admin port, not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
}

/// What can go wrong with the admin port.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken or not ours.
    #[error("binding the admin port at {addr}")]
    Bind {
        /// The address as asked for.
        addr: SocketAddr,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The listener failed while serving.
    #[error("serving the admin port")]
    Serve(#[source] io::Error),
}

#[derive(Debug, Clone)]
struct Served {
    registry: Registry,
    readiness: Readiness,
}

impl Admin {
    /// Takes `addr` (port 0 for a free one) to show `registry` and `readiness` there.
    ///
    /// # Errors
    /// [`AdminError::Bind`].
    pub async fn bind(
        addr: SocketAddr,
        registry: Registry,
        readiness: Readiness,
    ) -> Result<Self, AdminError> {
        let bind = |source| AdminError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        tracing::info!(%local_addr, "admin port");
        Ok(Self { listener, local_addr, router: router(registry, readiness) })
    }

    /// Serves `more` beside its own routes.
    #[must_use]
    pub fn with(mut self, more: Router) -> Self {
        self.router = self.router.merge(more);
        self
    }

    /// The address that it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until `cancel` is cancelled. Cancel it last, so that a drain can be watched.
    ///
    /// # Errors
    /// [`AdminError::Serve`].
    pub async fn serve(self, cancel: CancellationToken) -> Result<(), AdminError> {
        // Not axum's graceful shutdown: an idle keep-alive connection of a scraper would hold it up.
        tokio::select! {
            served = async { axum::serve(self.listener, self.router).await } => served.map_err(AdminError::Serve),
            () = cancel.cancelled() => Ok(()),
        }
    }
}

/// The routes alone, for tests and for a process that serves more on the same port.
pub fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Served { registry, readiness })
}

async fn readyz(State(served): State<Served>) -> Response {
    match served.readiness.missing() {
        missing if missing.is_empty() => "ok\n".into_response(),
        missing => {
            let body = format!("waiting for: {}\n", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn metrics(State(served): State<Served>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&served.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "encoding metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use prometheus::IntCounter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    use super::*;

    async fn fetch(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_names_what_is_missing_and_livez_does_not_care() {
        let readiness = Readiness::new();
        let (nats, model) = (readiness.require("nats"), readiness.require("model"));
        let router = router(Registry::new(), readiness);
        nats.release();
        let (status, body) = fetch(&router, "/readyz").await;
        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "waiting for: model\n"));
        assert_eq!(fetch(&router, "/livez").await.0, StatusCode::OK);
        model.release();
        assert_eq!(fetch(&router, "/readyz").await.0, StatusCode::OK);
        nats.hold();
        assert_eq!(fetch(&router, "/readyz").await.1, "waiting for: nats\n");
    }

    #[tokio::test]
    async fn metrics_are_those_of_the_registry() {
        let registry = Registry::new();
        let frames = IntCounter::new("autotiler_test_frames_total", "Frames.").unwrap();
        registry.register(Box::new(frames.clone())).unwrap();
        frames.inc_by(3);
        let (status, body) = fetch(&router(registry, Readiness::new()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("\nautotiler_test_frames_total 3\n"), "{body}");
    }

    #[tokio::test]
    async fn serves_on_a_socket_until_cancelled() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = Admin::bind(loopback, Registry::new(), Readiness::new()).await.unwrap();
        let addr = admin.local_addr();
        let taken = Admin::bind(addr, Registry::new(), Readiness::new()).await.unwrap_err();
        assert!(taken.to_string().contains(&addr.to_string()));

        let cancel = CancellationToken::new();
        let serving = tokio::spawn(admin.serve(cancel.clone()));
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"HTTP/1.1 200");
        cancel.cancel();
        serving.await.unwrap().unwrap();
    }
}

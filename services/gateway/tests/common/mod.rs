//! An API over nothing but what a test gives it, called in process.

#![allow(dead_code, reason = "each test uses a part")]

use std::time::{Duration, Instant};

use autotiler_core::telemetry::Telemetry;
use autotiler_gateway::{
    Api, Fleet,
    controller::{Controller, Desk},
    feed::Feed,
    live::Lives,
    writer::Writer,
};
use autotiler_hevc::DecoderOptions;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::Value;
use tower::ServiceExt;

/// Longest wait of any test.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What an API stands on.
pub(crate) struct Stand {
    pub(crate) fleet: Fleet,
    pub(crate) desk: Desk,
    pub(crate) feed: Feed,
    pub(crate) lives: Lives,
    pub(crate) router: Router,
}

impl Stand {
    pub(crate) fn new(controller: Option<Controller>, writer: Option<Writer>) -> Self {
        let fleet = Fleet::new(Duration::from_secs(5), 100).unwrap();
        let (desk, feed) = (Desk::default(), Feed::default());
        let lives = Lives::new(&[], DecoderOptions::default()).unwrap();
        let api = Api::new(fleet.clone(), desk.clone(), controller, feed.clone(), lives.clone(), writer);
        Self { fleet, desk, feed, lives, router: api.router() }
    }

    pub(crate) fn speak(&self, telemetry: Telemetry) {
        self.fleet.hear(telemetry, Instant::now()).unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, None).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, bytes: bytes.to_vec() }
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The detail of a problem of `status`.
    pub(crate) fn problem(&self, status: StatusCode) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status.as_u16());
        body["detail"].as_str().unwrap().to_owned()
    }
}

/// A device that follows its order.
pub(crate) fn telemetry(device: &str) -> Telemetry {
    let json = format!(
        r#"{{"device":"{device}","deviceClass":"pi-5","network":"{}","uptimeMs":1000,"epoch":7,
        "point":"layer=36,cr=4,bits=12k","assigned":"layer=36,cr=4,bits=12k","guardedForMs":null,"guardMoves":3,
        "switches":2,"lastSwitchGapUs":100000,"refused":null,"uplinkBps":2000000,"rttUs":null,"queueAgeUs":1000,
        "backlogBits":12000,"framesPerSecond":9.5,"stageUs":{{"head":60000,"codec":9000,"boxes":null}},
        "serverUs":{{"queueP95":4000,"decode":null,"tail":null}},"totalUs":{{"p50":70000,"p95":90000}},
        "captured":10,"sent":9,"received":8,"dropped":{{"stale":1}},"lost":{{"no_answer":1}},"cutPermille":250}}"#,
        "11".repeat(32)
    );
    Telemetry::try_from_json(json.as_bytes()).unwrap()
}

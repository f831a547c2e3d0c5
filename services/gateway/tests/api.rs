//! The API in process: shapes, problems, the description, the page, and the stream of events.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

mod common;

use std::collections::BTreeSet;

use autotiler_core::{Epoch, telemetry::Telemetry};
use autotiler_gateway::{api, controller::Controller};
use axum::{
    Json, Router,
    body::Body,
    extract::Path,
    http::{Method, Request, StatusCode, header},
    routing::get,
};
use common::{LONG, Stand, telemetry};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

#[tokio::test]
async fn devices_are_listed_by_name_and_what_is_not_known_is_null() {
    let stand = Stand::new(None, None);
    stand.speak(telemetry("cam-1"));
    stand.speak(telemetry("cam-0"));
    let list = stand.get("/api/v1/devices").await.json();
    let names: Vec<_> = list["devices"].as_array().unwrap().iter().map(|device| &device["name"]).collect();
    assert_eq!(names, ["cam-0", "cam-1"]);
    assert_eq!((&list["controller"], &list["writable"]), (&json!("absent"), &json!(false)));
    assert_eq!(list["broker"], "away");
    let device = &list["devices"][0];
    assert_eq!(device["point"], "layer=36,cr=4,bits=12k");
    assert_eq!(device["route"], "split");
    assert_eq!(device["uplinkTrailKbps"], json!([2000]));
    assert_eq!(device["stagesUs"], json!({"head": 60000, "codec": 9000, "serverQueue": 4000}));
    for unknown in ["rttUs", "synced", "policy", "accuracyDropPermille", "guardedForMs", "refused"] {
        assert_eq!(device[unknown], Value::Null, "{unknown}");
    }
}

#[tokio::test]
async fn a_device_has_its_past_and_a_silent_one_is_a_problem() {
    let stand = Stand::new(None, None);
    let first = telemetry("cam-0");
    stand.speak(first.clone());
    stand.speak(Telemetry { guarded_for_ms: Some(5), point: "device-only".parse().unwrap(), ..first });
    let device = stand.get("/api/v1/devices/cam-0").await.json();
    // Of the words of one second the newest stands for it.
    let newest = device["trail"].as_array().unwrap().last().unwrap();
    assert_eq!((&newest["point"], &newest["guarded"]), (&json!("device-only"), &json!(true)));
    let moment = &device["moments"][0];
    assert_eq!((&moment["kind"], &moment["to"]), (&json!("guarded"), &json!("device-only")));

    let detail = stand.get("/api/v1/devices/cam-9").await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("cam-9") && detail.contains("1 others"), "{detail}");
    let detail = stand.get("/api/v1/devices/ca*").await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("letters"), "{detail}");
    let detail = stand.get("/api/v1/devices/cam-0/decisions").await.problem(StatusCode::NOT_IMPLEMENTED);
    assert!(detail.contains("--controller"), "{detail}");
    let detail = stand.get("/api/v1/devices/cam-0/frames").await.problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(detail.contains("nats-server"), "{detail}");
    stand.get("/api/v1/nothing").await.problem(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_described_path_is_served_and_every_route_is_described() {
    let document = serde_json::to_value(api::document()).unwrap();
    let stand = Stand::new(None, None);
    stand.speak(telemetry("cam-0"));
    assert_eq!(stand.get("/api/v1/openapi.json").await.json(), document);

    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace("{name}", "cam-0").replace("{namespace}", "default");
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            if path == "/api/v1/events" {
                continue; // It has no end; a test of its own reads it.
            }
            let request: Method = method.to_uppercase().parse().unwrap();
            let answer = stand.ask(request, &real, None, None).await;
            let status = answer.status.as_u16().to_string();
            let known = operation["responses"].as_object().unwrap();
            assert!(known.contains_key(&status), "{method} {path} answers {status}, described are {known:?}");
        }
    }
    let wanted = [
        "delete /api/v1/devices/{name}/pin",
        "get /api/v1/devices",
        "get /api/v1/devices/{name}",
        "get /api/v1/devices/{name}/decisions",
        "get /api/v1/devices/{name}/frames",
        "get /api/v1/devices/{name}/image",
        "get /api/v1/events",
        "get /api/v1/openapi.json",
        "get /api/v1/policies",
        "post /api/v1/devices/{name}/pin",
        "post /api/v1/policies/{namespace}/{name}/resume",
        "post /api/v1/policies/{namespace}/{name}/suspend",
    ];
    assert_eq!(described, wanted.map(str::to_owned).into());
    // Each reference leads somewhere, and what streams carry is described too.
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(name), "{name} is not described");
    }
    for name in ["DeviceList", "MomentView", "Shot", "Problem", "Decisions"] {
        assert!(schemas.contains_key(name), "{name} is not described");
    }
}

#[tokio::test]
async fn the_page_is_whole_and_takes_nothing_from_elsewhere() {
    let stand = Stand::new(None, None);
    let page = stand.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let mut due = vec![String::from_utf8(page.bytes).unwrap()];
    let mut seen = BTreeSet::new();
    while let Some(text) = due.pop() {
        for outside in ["http://", "https://", "//cdn"] {
            // Namespaces of SVG are names, no addresses.
            assert!(!text.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        for file in text.split('"').filter(|part| is_file(part)) {
            let path = format!("/{}", file.trim_start_matches("./"));
            if seen.insert(path.clone()) {
                let answer = stand.get(&path).await;
                assert_eq!(answer.status, StatusCode::OK, "{path}");
                due.push(String::from_utf8(answer.bytes).unwrap());
            }
        }
    }
    assert!(
        seen.contains("/main.js") && seen.contains("/stage.js") && seen.contains("/style.css"),
        "{seen:?}"
    );
}

fn is_file(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'-');
    [".js", ".css", ".svg"].iter().any(|end| part.ends_with(end)) && part.bytes().all(plain)
}

/// Reads server-sent events as they come.
struct Events {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Events {
    async fn open(stand: &Stand) -> Self {
        let request =
            Request::get("/api/v1/events").header("Last-Event-ID", "3").body(Body::empty()).unwrap();
        let response = stand.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: its kind and its data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let found = field("event:").zip(field("data:"));
                let found = found.map(|(kind, data)| (kind.to_owned(), serde_json::from_str(data).unwrap()));
                self.text = rest.to_owned();
                match found {
                    Some(found) => return found,
                    None => continue, // a comment that keeps the stream alive
                }
            }
            let bytes = tokio::time::timeout(LONG, self.body.next()).await.unwrap().unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event of a kind for which `fits` holds.
    async fn wait_for(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                match self.next().await {
                    (found, data) if found == kind && fits(&data) => return data,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LONG, found).await.unwrap()
    }
}

#[tokio::test]
async fn a_listener_is_told_everything_and_then_what_changes() {
    let stand = Stand::new(None, None);
    let (feed, fleet, desk) = (stand.feed.clone(), stand.fleet.clone(), stand.desk.clone());
    let lives = stand.lives.clone();
    let gathering = tokio::spawn(async move { feed.gather(&fleet, &desk, &lives).await });
    let calm = telemetry("cam-0");
    stand.speak(calm.clone());
    let mut events = Events::open(&stand).await;
    let (kind, snapshot) = events.next().await;
    assert_eq!((kind.as_str(), &snapshot["devices"][0]["name"]), ("snapshot", &json!("cam-0")));

    let to = "server-only,bits=60k".parse().unwrap();
    stand.speak(Telemetry { point: to, assigned: to, epoch: Epoch(8), switches: 3, ..calm });
    stand.speak(telemetry("cam-1"));
    let both = |data: &Value| data["changed"].as_array().unwrap().len() == 2;
    let devices = events.wait_for("devices", both).await;
    assert_eq!(devices["changed"][0]["point"], "server-only,bits=60k");
    assert_eq!(devices["broker"], "away");
    let moment = events.wait_for("moment", |_| true).await;
    assert_eq!((&moment["kind"], &moment["epoch"]), (&json!("switched"), &json!(8)));
    // Nobody spoke since, so nobody is told of again: the beat goes on without them.
    events.wait_for("devices", |data| data["changed"] == json!([])).await;
    gathering.abort();
}

/// A controller that answers as the real one does.
async fn controller() -> Controller {
    let list = json!([{"device": "cam-0", "policy": "north/street", "point": "device-only", "epoch": 7,
        "synced": true, "guarded": false}]);
    let policies = json!([{"name": "north/street", "matched": 1, "shown": 1, "errors": [["rtt", "timeout"]],
        "lost": [], "leftOut": [], "profile": null, "suspended": false, "maxAccuracyDropPermille": 20}]);
    let judged = json!({"point": "device-only", "minBits": null, "accuracyDropPermille": 4, "allowed": true,
        "predicted": {"deviceUs": 1, "waitUs": 0, "transferUs": 2, "queueUs": 0, "serverUs": 0, "totalUs": 3},
        "uplinkBps": 0, "ruledOut": {"Breaks": "Latency"}});
    let one = json!({"device": "cam-0", "policy": "north/street", "mode": "Enforce", "deviceClass": "pi-5",
        "atMs": 5, "epoch": 7, "order": null, "synced": true, "limited": false,
        "assigned": {"epoch": 7, "seen": {}, "chosen": judged, "runnerUp": null},
        "decided": {"uplink": {"state": "fresh"}, "current": "device-only", "meanUplinkBps": 1.5e6,
            "choice": {"judged": [judged], "best": 0, "runnerUp": null, "unmet": null}, "outcome": "pinned"},
        "history": [{"epoch": 7, "atMs": 4, "from": null, "to": "device-only", "reason": "Degraded",
            "detail": "predicted 3 ms", "uplinkBps": null}]});
    let device = move |Path(name): Path<String>| {
        let one = one.clone();
        async move { if name == "cam-0" { Ok(Json(one)) } else { Err(StatusCode::NOT_FOUND) } }
    };
    let router = Router::new()
        .route("/v1/devices", get(async || Json(list)))
        .route("/v1/policies", get(async || Json(policies)))
        .route("/v1/devices/{name}", get(device));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Controller::new(url.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn what_the_controller_decided_is_shown_with_its_reasons() {
    let controller = controller().await;
    let stand = Stand::new(Some(controller.clone()), None);
    stand.speak(telemetry("cam-0"));
    stand.speak(telemetry("cam-1"));
    let decisions = stand.get("/api/v1/devices/cam-0/decisions").await.json();
    assert_eq!(decisions["policy"], "north/street");
    assert_eq!(decisions["history"][0]["detail"], "predicted 3 ms");
    assert_eq!(decisions["candidates"][0]["ruledOut"], json!({"Breaks": "Latency"}));
    let detail = stand.get("/api/v1/devices/cam-1/decisions").await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("cam-1"), "{detail}");

    let following = tokio::spawn(autotiler_gateway::controller::follow(controller, stand.desk.clone()));
    let known = async {
        loop {
            let list = stand.get("/api/v1/devices").await.json();
            if list["controller"] == "up" {
                return list;
            }
            tokio::task::yield_now().await;
        }
    };
    let list = tokio::time::timeout(LONG, known).await.unwrap();
    let [first, second] = [&list["devices"][0], &list["devices"][1]];
    assert_eq!((&first["policy"], &first["synced"]), (&json!("north/street"), &json!(true)));
    assert_eq!(first["accuracyDropPermille"], 4);
    assert_eq!(first["accuracyBudgetPermille"], 20);
    assert_eq!((&second["policy"], &second["synced"]), (&Value::Null, &Value::Null));
    assert_eq!(stand.get("/api/v1/policies").await.json()[0]["errors"], json!([["rtt", "timeout"]]));
    following.abort();
}

#[tokio::test]
async fn a_controller_that_is_away_is_a_problem_and_not_the_past() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let controller = Controller::new(format!("http://{gone}").parse().unwrap()).unwrap();
    let stand = Stand::new(Some(controller.clone()), None);
    let following = tokio::spawn(autotiler_gateway::controller::follow(controller, stand.desk.clone()));
    let away = async {
        while stand.get("/api/v1/devices").await.json()["controller"] != "away" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, away).await.unwrap();
    assert_eq!(stand.get("/api/v1/policies").await.json(), json!([]));
    let detail = stand.get("/api/v1/devices/cam-0/decisions").await.problem(StatusCode::BAD_GATEWAY);
    assert!(detail.contains(&gone.to_string()), "{detail}");
    following.abort();
}

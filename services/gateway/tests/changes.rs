//! Pins and suspensions: who may, and what is written to an API server that records it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

mod common;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use autotiler_gateway::writer::{Cluster, Token, Writer};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode, header},
};
use common::Stand;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "a-token-of-this-test-alone";
const PIN: &str = "/api/v1/devices/cam-0/pin";
const SUSPEND: &str = "/api/v1/policies/north/street/suspend";

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

fn writer(cluster: Option<Cluster>) -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    (folder, Writer { token: Token::at(&path).unwrap(), cluster })
}

/// An API server with EdgeDevices called cam-0 in `namespaces`, and what it was asked.
fn server(namespaces: &'static [&'static str]) -> (Cluster, Asked) {
    let asked = Asked::default();
    let record = asked.clone();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let record = record.clone();
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let query = request.uri().query().unwrap_or_default().to_owned();
            let body = to_bytes(Body::new(request.into_body()), 1 << 20).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            record.lock().unwrap().push((format!("{method} {path}?{query}"), body));
            let (status, answer) = answer(&method, &path, namespaces);
            let response = Response::builder().status(status).body(Body::from(answer.to_string())).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    (Cluster::new(kube::Client::new(service, "default"), None), asked)
}

fn answer(method: &Method, path: &str, namespaces: &[&str]) -> (StatusCode, Value) {
    let named = |namespace: &&str| json!({"metadata": {"name": "cam-0", "namespace": namespace}});
    if method == Method::GET {
        let items: Vec<Value> = namespaces.iter().map(named).collect();
        let list = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items});
        return (StatusCode::OK, list);
    }
    let failure = |code: u16, reason: &str| {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason,
            "reason": reason, "code": code});
        (StatusCode::from_u16(code).unwrap(), status)
    };
    match path.rsplit('/').next() {
        Some("cam-0") => (
            StatusCode::OK,
            json!({"apiVersion": "autotiler.dev/v1alpha1", "kind": "EdgeDevice",
            "metadata": {"name": "cam-0"}, "spec": {"deviceClass": "pi-5"}}),
        ),
        Some("street") => failure(403, "Forbidden"),
        _ => failure(404, "NotFound"),
    }
}

#[tokio::test]
async fn nothing_is_changed_without_a_token_file_a_token_or_a_cluster() {
    let read_only = Stand::new(None, None);
    for (method, path) in [(Method::POST, PIN), (Method::DELETE, PIN), (Method::POST, SUSPEND)] {
        let answer = read_only.ask(method, path, Some(TOKEN), None).await;
        assert!(answer.problem(StatusCode::NOT_IMPLEMENTED).contains("--token-file"));
    }
    let (_folder, writer) = writer(None);
    let stand = Stand::new(None, Some(writer));
    assert_eq!(stand.get("/api/v1/devices").await.json()["writable"], true);
    for token in [None, Some(""), Some("another-token-of-no-use"), Some(&TOKEN[1..])] {
        let answer = stand.ask(Method::POST, SUSPEND, token, None).await;
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        answer.problem(StatusCode::UNAUTHORIZED);
    }
    let answer = stand.ask(Method::POST, SUSPEND, Some(TOKEN), None).await;
    assert!(answer.problem(StatusCode::NOT_IMPLEMENTED).contains("no cluster"));
}

#[tokio::test]
async fn a_pin_is_written_whole_where_the_device_is_and_taken_away() {
    let (cluster, asked) = server(&["north"]);
    let (_folder, writer) = writer(Some(cluster));
    let stand = Stand::new(None, Some(writer));
    let pin = json!({"point": "device-only", "until": "2030-01-31T12:00:00Z"});
    let answer = stand.ask(Method::POST, PIN, Some(TOKEN), Some(pin)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!(stand.ask(Method::DELETE, PIN, Some(TOKEN), None).await.status, StatusCode::NO_CONTENT);
    let asked = asked.lock().unwrap();
    let paths: Vec<_> = asked.iter().map(|(path, _)| path.as_str()).collect();
    let patch = "PATCH /apis/autotiler.dev/v1alpha1/namespaces/north/edgedevices/cam-0?&fieldManager=autotiler-gateway";
    assert!(
        paths[0].starts_with("GET /apis/autotiler.dev/v1alpha1/edgedevices?") && paths[0].contains("cam-0")
    );
    assert_eq!((paths[1], paths[3]), (patch, patch));
    // What the pin before had and this one has not is null, or a merge would keep it.
    let pin = json!({"route": "DeviceOnly", "partitionLayer": null, "compressionRatio": null, "targetBits": null,
        "until": "2030-01-31T12:00:00Z"});
    assert_eq!(asked[1].1, json!({"spec": {"pin": pin}}));
    assert_eq!(asked[3].1, json!({"spec": {"pin": null}}));
}

#[tokio::test]
async fn what_cannot_be_written_says_why() {
    let ask = async |namespaces, method, path: &str, body| {
        let (cluster, _) = server(namespaces);
        let (_folder, writer) = writer(Some(cluster));
        Stand::new(None, Some(writer)).ask(method, path, Some(TOKEN), body).await
    };
    let split = || Some(json!({"point": "layer=36,cr=4,bits=12k"}));
    let detail = ask(&[], Method::POST, PIN, split()).await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("cam-0"), "{detail}");
    let detail = ask(&["a", "b"], Method::POST, PIN, split()).await.problem(StatusCode::CONFLICT);
    assert!(detail.contains("a, b") && detail.contains("--namespace"), "{detail}");
    for bad in [json!({"point": "layer=36"}), json!({}), json!({"point": "device-only", "until": "soon"})] {
        ask(&["a"], Method::POST, PIN, Some(bad)).await.problem(StatusCode::BAD_REQUEST);
    }
    let detail = ask(&[], Method::POST, SUSPEND, None).await.problem(StatusCode::BAD_GATEWAY);
    assert!(detail.contains("Forbidden"), "{detail}");
    let absent = "/api/v1/policies/north/absent/resume";
    let detail = ask(&[], Method::POST, absent, None).await.problem(StatusCode::NOT_FOUND);
    assert!(detail.contains("north/absent"), "{detail}");
    let escaping = "/api/v1/policies/north/..%2F..%2Fsecrets/suspend";
    ask(&[], Method::POST, escaping, None).await.problem(StatusCode::NOT_FOUND);
}

use axum::{Router, routing::post};
use tokio::net::TcpListener;

use super::*;

/// Something that answers every query with `status` and `body`.
async fn answering(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let router = Router::new().route("/api/v1/query", post(move || async move { (status, body) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn settings(address: String) -> PrometheusSettings {
    PrometheusSettings {
        address,
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(300),
        device_label: "device".to_owned(),
        uplink_bandwidth: "up_bps".to_owned(),
        rtt: "rtt".to_owned(),
        server_queue: "queue".to_owned(),
    }
}

async fn uplink(address: String) -> Result<Samples, ObserveError> {
    Observer::try_new().unwrap().observe(&settings(address)).await.uplink
}

const TWO: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
  {"metric":{"__name__":"up_bps","device":"a","instance":"x","autotiler_part":"value"},"value":[100.5,"8000000"]},
  {"metric":{"device":"a","instance":"x","autotiler_part":"time"},"value":[100.5,"98.5"]},
  {"metric":{"__name__":"up_bps","device":"a","instance":"old","autotiler_part":"value"},"value":[100.5,"1"]},
  {"metric":{"device":"a","instance":"old","autotiler_part":"time"},"value":[100.5,"3"]},
  {"metric":{"__name__":"up_bps","device":"b","autotiler_part":"value"},"value":[100.5,"NaN"]},
  {"metric":{"device":"b","autotiler_part":"time"},"value":[100.5,"100.5"]},
  {"metric":{"device":"c","autotiler_part":"value"},"value":[100.5,"7"]}]}}"#;

#[tokio::test]
async fn values_come_with_the_age_of_their_sample() {
    let samples = uplink(answering(200, TWO).await).await.unwrap();
    assert_eq!(samples["a"], Sample { value: 8e6, age: Duration::from_secs(2) }, "the newest series counts");
    assert!(samples["b"].value.is_nan(), "what it is worth is not judged here");
    assert!(!samples.contains_key("c"), "a value without a time is none");
}

#[tokio::test]
async fn each_failure_names_the_address_and_the_cause() {
    let nothing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", nothing.local_addr().unwrap());
    drop(nothing);
    let page = answering(404, "<html>not here</html>").await;
    let refused = answering(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#).await;
    let empty = answering(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#).await;
    for (address, label, says) in [
        (closed, "unreachable", "refused"),
        (page, "not_prometheus", "HTTP 404"),
        (refused, "refused", "up_bps"),
        (empty, "empty", "is the metric's name right"),
    ] {
        let error = uplink(address.clone()).await.unwrap_err();
        assert_eq!(error.label(), label);
        let text = error.to_string();
        assert!(text.contains(&address) && text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = uplink(format!("http://{}", listener.local_addr().unwrap())).await.unwrap_err();
    assert!(matches!(error, ObserveError::Slow { .. }), "{error}");
}

#[test]
fn the_query_is_asked_for_its_times_too() {
    assert_eq!(
        joined("m"),
        r#"label_replace((m), "autotiler_part", "value", "", "") or label_replace(timestamp(m), "autotiler_part", "time", "", "")"#
    );
}

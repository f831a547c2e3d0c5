//! The same over TLS.

use std::fs;

use autotiler_transport::{ConnectError, ConnectOptions, connect, publish_telemetry, testing::RawClient};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    site::{LONG, Site},
    work::word,
};

#[tokio::test]
async fn a_device_speaks_over_tls_with_the_installations_own_authority() {
    let keys = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (keys.path().join("server.crt"), keys.path().join("server.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let site = Site::start_with(&format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}"));

    // It speaks to nobody in the clear.
    let greeting = RawClient::greeted(site.server.port()).unwrap().line().unwrap();
    let info: Value = serde_json::from_str(greeting.strip_prefix("INFO ").unwrap()).unwrap();
    assert_eq!(info["tls_required"], true);

    let options = site.options(&site.device("cam"));
    let options = ConnectOptions { urls: vec![site.server.tls_url()], ca: Some(certificate), ..options };
    let cam = timeout(LONG, connect(&options)).await.expect("in time").unwrap();
    publish_telemetry(&cam, &word("cam")).await.unwrap();
    cam.flush().await;
    assert_eq!(cam.refusals(), 0);

    let options = ConnectOptions { ca: Some(keys.path().join("none.crt")), ..options };
    let error = timeout(LONG, connect(&options)).await.expect("in time").unwrap_err();
    assert!(matches!(error, ConnectError::Authorities { .. }), "{error}");
    assert!(error.to_string().contains("none.crt"), "{error}");
}

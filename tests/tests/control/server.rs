//! The harness itself: what a test does to its API server.

use std::time::Duration;

use autotiler_tests::KubeServer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

#[tokio::test]
async fn comes_back_at_the_same_port_with_what_was_stored() {
    let mut server = KubeServer::start().unwrap();
    let url = server.url();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().unwrap());
    let metadata = ObjectMeta { name: Some("kept".to_owned()), ..ObjectMeta::default() };
    maps.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await.unwrap();
    server.kill().unwrap();
    let late = tokio::time::timeout(Duration::from_secs(2), maps.get("kept")).await;
    assert!(!matches!(late, Ok(Ok(_))));
    server.resume().unwrap();
    assert_eq!(server.url(), url);
    maps.get("kept").await.unwrap();
    server.stop().unwrap();
}

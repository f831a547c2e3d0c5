//! The examples are good, each object of `broken.yaml` breaks its rule, and what it says mends it.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path};

use autotiler_core::{decision::Policy, profile::Profile};
use autotiler_crds::{
    AutoTilerPolicy, EdgeDevice, PartitionProfile,
    manifest::{self, ManifestError},
};
use json_patch::merge;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Broken {
    kind: String,
    message: String,
    patch: Value,
    fixed: Value,
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn parse(kind: &str, value: &Value) -> Result<(), ManifestError> {
    let text = value.to_string();
    match kind {
        "AutoTilerPolicy" => manifest::parse::<AutoTilerPolicy>(&text).map(drop),
        "EdgeDevice" => manifest::parse::<EdgeDevice>(&text).map(drop),
        _ => manifest::parse::<PartitionProfile>(&text).map(drop),
    }
}

#[test]
fn a_broken_rule_is_said_and_the_fix_mends_it() {
    let all: Vec<Broken> = serde_yaml::from_str(&text("tests/broken.yaml")).unwrap();
    for Broken { kind, message, patch, fixed } in all {
        let file = match kind.as_str() {
            "AutoTilerPolicy" => "policy",
            "EdgeDevice" => "device",
            _ => "profile",
        };
        let mut object: Value = serde_yaml::from_str(&text(&format!("examples/{file}.yaml"))).unwrap();
        parse(&kind, &object).unwrap();
        merge(&mut object, &patch);
        match parse(&kind, &object) {
            Err(ManifestError::Rule { message: said, .. }) => assert!(said.contains(&message), "{said}"),
            other => panic!("{message}: {other:?}"),
        }
        merge(&mut object, &fixed);
        parse(&kind, &object).unwrap_or_else(|error| panic!("{message}: {error}"));
    }
}

#[test]
fn the_examples_are_what_decisions_are_made_of() {
    let policy: AutoTilerPolicy = manifest::parse(&text("examples/policy.yaml")).unwrap();
    let mut expected = Policy::default();
    expected.constraints.max_latency = Some(std::time::Duration::from_millis(150));
    expected.constraints.max_uplink_bps = Some(4_000_000);
    assert_eq!(Policy::try_from(&policy.spec).unwrap(), expected);
    let object: PartitionProfile = manifest::parse(&text("examples/profile.yaml")).unwrap();
    let mut other = object.spec.clone();
    other.points[1].device.p50_us += 1;
    assert_ne!(object.spec.digest(), other.digest(), "a digest covers what was measured");
    let profile = Profile::try_from(&object.spec).unwrap();
    assert_eq!(profile.points().len(), 3);
    assert_eq!(profile.points()[1].server[1].time.as_micros(), 25_900);
    assert_eq!(profile.points()[1].tiler.unwrap().to_string().get(..4), Some("0a1b"));
}

#[test]
fn a_spec_that_no_decision_can_be_made_by_names_its_field() {
    let mut policy: AutoTilerPolicy = manifest::parse(&text("examples/policy.yaml")).unwrap();
    policy.spec.metrics.prometheus.interval = "0s".parse().unwrap();
    let error = Policy::try_from(&policy.spec).unwrap_err().to_string();
    assert_eq!(error, "spec.metrics.prometheus.interval must be longer than 0s");
    let mut profile: PartitionProfile = manifest::parse(&text("examples/profile.yaml")).unwrap();
    profile.spec.points[1].rates.reverse();
    let error = Profile::try_from(&profile.spec).unwrap_err().to_string();
    assert!(error.starts_with("spec.points: layer=36,cr=4 must have rates"), "{error}");
    profile.spec.points[1].rates[0].bits = 0;
    let error = Profile::try_from(&profile.spec).unwrap_err().to_string();
    assert!(error.starts_with("spec.points[1].rates[0].bits: "), "{error}");
}

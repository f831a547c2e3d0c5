//! A device's word for tests.

use autotiler_core::telemetry::Telemetry;

/// A device that guards.
#[allow(clippy::unwrap_used, reason = "a constant of tests")]
pub(crate) fn telemetry(device: &str) -> Telemetry {
    let json = format!(
        r#"{{"device":"{device}","deviceClass":"pi-5","network":"{}","uptimeMs":1000,"epoch":7,
        "point":"device-only","assigned":"layer=36,cr=4,bits=12k","guardedForMs":120,"guardMoves":3,"switches":2,
        "lastSwitchGapUs":100000,"refused":null,"uplinkBps":2000000,"rttUs":20000,"queueAgeUs":1000,
        "backlogBits":12000,"framesPerSecond":9.5,"stageUs":{{"head":60000,"codec":null,"boxes":900}},
        "serverUs":{{"queueP95":4000,"decode":null,"tail":null}},"totalUs":{{"p50":70000,"p95":90000}},
        "captured":10,"sent":9,"received":8,"dropped":{{"stale":1}},"lost":{{"no_answer":1}},"cutPermille":250}}"#,
        "11".repeat(32)
    );
    Telemetry::try_from_json(json.as_bytes()).unwrap()
}

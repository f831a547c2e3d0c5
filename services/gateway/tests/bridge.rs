//! Telemetry through a real nats-server into a scrape.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use autotiler_core::telemetry::Telemetry;
use autotiler_gateway::{
    Config, Fleet,
    fleet::{Heard, PassedOver},
    run,
};
use autotiler_hevc::DecoderOptions;
use autotiler_transport::{ConnectOptions, connect, publish_telemetry, subject, testing::NatsServer};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(5);

fn telemetry(device: &str) -> Telemetry {
    let json = format!(
        r#"{{"device":"{device}","deviceClass":"pi-5","network":"{}","uptimeMs":1000,"epoch":7,
        "point":"device-only","assigned":"layer=36,cr=4,bits=12k","guardedForMs":120,"guardMoves":3,"switches":2,
        "lastSwitchGapUs":100000,"refused":{{"epoch":8,"reason":"unknown_tiler","detail":""}},
        "uplinkBps":2000000,"rttUs":20000,"queueAgeUs":1000,"backlogBits":12000,"framesPerSecond":9.5,
        "stageUs":{{"head":60000,"codec":null,"boxes":900}},
        "serverUs":{{"queueP95":4000,"decode":null,"tail":null}},
        "totalUs":{{"p50":70000,"p95":90000}},"captured":10,"sent":9,"received":8,
        "dropped":{{"stale":1}},"lost":{{"no_answer":1}},"cutPermille":250}}"#,
        "11".repeat(32)
    );
    Telemetry::try_from_json(json.as_bytes()).unwrap()
}

fn scrape(registry: &Registry) -> String {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn shown(fleet: &Fleet, now: Instant) -> String {
    let mut text = Vec::new();
    TextEncoder::new().encode(&fleet.series(now).unwrap(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn every_series_of_a_device_has_its_value() {
    let fleet = Fleet::new(SILENCE, 10).unwrap();
    let now = Instant::now();
    fleet.hear(telemetry("cam-0"), now).unwrap();
    let text = shown(&fleet, now);
    let network = "11".repeat(32);
    for line in [
        r#"autotiler_device_uplink_bits_per_second{device="cam-0"} 2000000"#,
        r#"autotiler_device_rtt_seconds{device="cam-0"} 0.02"#,
        r#"autotiler_device_server_queue_seconds{device="cam-0"} 0.004"#,
        r#"autotiler_device_send_queue_age_seconds{device="cam-0"} 0.001"#,
        r#"autotiler_device_backlog_bits{device="cam-0"} 12000"#,
        r#"autotiler_device_frames_per_second{device="cam-0"} 9.5"#,
        r#"autotiler_device_stage_seconds{device="cam-0",stage="head"} 0.06"#,
        r#"autotiler_device_total_seconds{device="cam-0",quantile="0.95"} 0.09"#,
        r#"autotiler_device_epoch{device="cam-0"} 7"#,
        r#"autotiler_device_guarded{device="cam-0"} 1"#,
        r#"autotiler_device_guard_moves_total{device="cam-0"} 3"#,
        r#"autotiler_device_switches_total{device="cam-0"} 2"#,
        r#"autotiler_device_refused{device="cam-0",reason="unknown_tiler"} 1"#,
        r#"autotiler_device_cut_share{device="cam-0"} 0.25"#,
        r#"autotiler_device_frames_total{device="cam-0",outcome="dropped"} 1"#,
        &format!(
            r#"autotiler_device_info{{device="cam-0",device_class="pi-5",network="{network}",point="device-only"}} 1"#
        ),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

#[test]
fn what_is_not_known_is_absent_and_not_zero() {
    let fleet = Fleet::new(SILENCE, 10).unwrap();
    let unknown = Telemetry { uplink_bps: None, rtt_us: None, refused: None, ..telemetry("cam-0") };
    fleet.hear(unknown, Instant::now()).unwrap();
    let text = shown(&fleet, Instant::now());
    for absent in ["uplink_bits", "device_rtt", "device_refused", "stage=\"codec\"", "server_decode"] {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
    assert!(text.contains("stage=\"head\""));
}

#[test]
fn a_silent_device_loses_all_its_series_and_the_others_stay() {
    let fleet = Fleet::new(SILENCE, 10).unwrap();
    let start = Instant::now();
    fleet.hear(telemetry("silent"), start).unwrap();
    fleet.hear(telemetry("speaking"), start + SILENCE / 2).unwrap();
    assert!(shown(&fleet, start + SILENCE - Duration::from_millis(1)).contains("silent"));
    let text = shown(&fleet, start + SILENCE);
    assert!(!text.contains("silent") && text.contains("speaking"), "{text}");
    assert_eq!(shown(&fleet, start + 2 * SILENCE), "");
}

#[test]
fn what_a_silent_device_has_been_through_is_there_again_when_it_is_back() {
    let fleet = Fleet::new(SILENCE, 10).unwrap();
    let start = Instant::now();
    let speak = |second: u64| {
        let said = Telemetry { uptime_ms: 60_000 + 1_000 * second, ..telemetry("cam-0") };
        fleet.hear(said, start + Duration::from_secs(second)).unwrap();
    };
    let past = |second: u64| {
        let look = |heard: &Heard| (heard.trail.samples().len(), heard.trail.moments().last().cloned());
        fleet.one(&"cam-0".parse().unwrap(), start + Duration::from_secs(second), look)
    };
    speak(0);
    speak(1);
    assert_eq!(past(8), None);
    speak(9);
    let (seconds, moment) = past(9).unwrap();
    assert_eq!((seconds, moment.unwrap().detail.as_str()), (3, "silent for 8 s"));
    assert_eq!(past(400), None);
    speak(400);
    assert_eq!(past(400).unwrap(), (1, None));
}

#[test]
fn there_is_room_for_so_many_devices_and_for_the_next_once_one_is_silent() {
    let fleet = Fleet::new(SILENCE, 2).unwrap();
    let start = Instant::now();
    for device in ["a", "b", "a"] {
        fleet.hear(telemetry(device), start).unwrap();
    }
    assert_eq!(fleet.hear(telemetry("c"), start), Err(PassedOver::Full));
    assert_eq!(fleet.hear(telemetry("c"), start + SILENCE), Ok(()));
    assert_eq!(fleet.len(start + SILENCE), 1);
}

#[test]
fn a_word_that_a_dead_link_held_up_is_neither_shown_nor_taken_for_a_restart() {
    let fleet = Fleet::new(SILENCE, 10).unwrap();
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let at = |uptime_ms: u64| Telemetry { uptime_ms, captured: uptime_ms / 100, ..telemetry("cam-0") };
    let moments = || fleet.one(&"cam-0".parse().unwrap(), start, |heard| heard.trail.moments().count());
    fleet.hear(at(60_000), start).unwrap();
    // By its new connection; and then what the dead one held.
    fleet.hear(at(63_000), start + 3 * second).unwrap();
    assert_eq!(fleet.hear(at(61_000), start + 3 * second), Err(PassedOver::HeldUp));
    let text = shown(&fleet, start + 3 * second);
    assert!(text.contains("frames_total{device=\"cam-0\",outcome=\"captured\"} 630"), "{text}");
    assert_eq!(moments(), Some(0));
    // One that did start anew says so with its first word.
    fleet.hear(at(500), start + 4 * second).unwrap();
    assert_eq!(moments(), Some(1));
}

#[tokio::test]
async fn telemetry_reaches_a_scrape_and_bad_words_are_counted_by_reason() {
    let server = NatsServer::start().unwrap();
    let nats = ConnectOptions::new(vec![server.url()], "test");
    let anywhere = ([127, 0, 0, 1], 0).into();
    let config = Config {
        listen: anywhere,
        admin: anywhere,
        controller: None,
        names: Vec::new(),
        token_file: None,
        namespace: None,
        codec: DecoderOptions::default(),
        silence: SILENCE,
        max_devices: 1,
        nats: nats.clone(),
    };
    let (registry, cancel) = (Registry::new(), CancellationToken::new());
    let running = tokio::spawn(run(config, registry.clone(), cancel.clone()));

    let speaker = connect(&nats).await.unwrap();
    let wanted = BTreeMap::from([
        ("autotiler_device_epoch{device=\"cam-0\"}", 7.0),
        ("autotiler_gateway_telemetry_refused_total{reason=\"bad_json\"}", 1.0),
        ("autotiler_gateway_telemetry_refused_total{reason=\"too_long\"}", 1.0),
        ("autotiler_gateway_telemetry_refused_total{reason=\"other_device\"}", 1.0),
        ("autotiler_gateway_telemetry_refused_total{reason=\"too_many_devices\"}", 1.0),
        ("autotiler_gateway_devices", 1.0),
    ]);
    let arrived = async {
        loop {
            let text = scrape(&registry);
            let has = |(name, least): (&&str, &f64)| {
                let line = text.lines().find_map(|line| line.strip_prefix(*name));
                line.is_some_and(|value| value.trim().parse::<f64>().is_ok_and(|value| value >= *least))
            };
            if wanted.iter().all(has) {
                break;
            }
            publish_telemetry(&speaker, &telemetry("cam-0")).await.unwrap();
            // There is room for one: it must be heard first.
            if text.contains("cam-0") {
                publish_telemetry(&speaker, &telemetry("cam-1")).await.unwrap();
            }
            let subject = subject::telemetry(&"cam-0".parse().unwrap());
            for bad in [b"{".to_vec(), vec![b' '; 100_000], telemetry("cam-1").to_json()] {
                speaker.publish_now(subject.clone(), bad.into()).await.unwrap();
            }
            speaker.flush().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, arrived).await.expect("in time");
    cancel.cancel();
    tokio::time::timeout(LONG, running).await.unwrap().unwrap().unwrap();
}

use proptest::prelude::*;

use super::*;

const JSON: &str = r#"{"device":"cam-0","deviceClass":"pi-5",
    "network":"1111111111111111111111111111111111111111111111111111111111111111","uptimeMs":1000,"epoch":7,
    "point":"device-only","assigned":"layer=36,cr=4,bits=12k","guardedForMs":120,"guardMoves":1,"switches":2,
    "lastSwitchGapUs":null,"refused":{"epoch":8,"reason":"unknown_tiler","detail":"layer 9"},
    "uplinkBps":null,"rttUs":20000,"queueAgeUs":0,"backlogBits":0,"framesPerSecond":9.5,
    "stageUs":{"head":60000,"codec":null,"boxes":900},"serverUs":{"queueP95":null,"decode":null,"tail":null},
    "totalUs":{"p50":70000,"p95":90000},"captured":10,"sent":9,"received":8,"dropped":{"stale":1},
    "lost":{"no_answer":1},"cutPermille":0,"laterField":1}"#;

fn telemetry() -> Telemetry {
    Telemetry::try_from_json(JSON.as_bytes()).unwrap()
}

#[test]
fn reads_what_the_contract_writes_and_passes_over_the_unknown() {
    let telemetry = telemetry();
    assert_eq!(telemetry.refused.as_ref().map(|refused| refused.reason), Some(RefusalReason::UnknownTiler));
    assert_eq!((telemetry.uplink_bps, telemetry.rtt_us), (None, Some(20_000)));
    assert_eq!(telemetry.stage_us.boxes, Some(900));
    let text = String::from_utf8(telemetry.to_json()).unwrap();
    for key in
        ["deviceClass", "guardedForMs", "\"uplinkBps\":null", "queueP95", "lastSwitchGapUs", "cutPermille"]
    {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn fields_out_of_range_are_named() {
    for (from, to, named) in [
        ("pi-5", "a b", "deviceClass"),
        ("pi-5", "", "deviceClass"),
        ("9.5", "-1", "framesPerSecond"),
        ("\"cutPermille\":0", "\"cutPermille\":1001", "cutPermille"),
        ("\"stale\"", "\"a b\"", "dropped"),
        ("layer 9", &"x".repeat(MAX_DETAIL_LEN + 1), "detail"),
        ("laterField", &"x".repeat(MAX_TELEMETRY_LEN), "longer"),
    ] {
        let error = Telemetry::try_from_json(JSON.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert!(BadTelemetry::LABELS.contains(&error.label()));
    }
}

#[test]
fn labels_are_the_json_names() {
    for reason in RefusalReason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.label());
    }
}

#[test]
fn long_details_are_cut_between_letters() {
    let refusal = Refusal::new(Epoch(1), RefusalReason::NotLoadable, format!("x{}", "ü".repeat(300)));
    assert_eq!(refusal.detail.len(), MAX_DETAIL_LEN - 1);
}

proptest! {
    #[test]
    fn telemetry_round_trips(
        epoch: u32, guarded in proptest::option::of(any::<u64>()), uplink in proptest::option::of(any::<u64>()),
        fps in 0.0_f64..1e4, counts: [u64; 5], head in proptest::option::of(any::<u64>()), cut in 0_u16..=1000,
        reason in 0_usize..5, detail in "\\PC{0,80}",
    ) {
        let [captured, sent, received, stale, late] = counts;
        let before = Telemetry {
            epoch: Epoch(epoch),
            guarded_for_ms: guarded,
            uplink_bps: uplink,
            frames_per_second: fps,
            stage_us: StageMicros { head, ..StageMicros::default() },
            captured, sent, received,
            dropped: [("stale".to_owned(), stale)].into(),
            lost: [("no_answer".to_owned(), late)].into(),
            cut_permille: cut,
            refused: Some(Refusal::new(Epoch(epoch), RefusalReason::ALL[reason], detail)),
            ..telemetry()
        };
        let after = Telemetry::try_from_json(&before.to_json()).unwrap();
        // Reading a decimal back may miss by the last binary digit.
        prop_assert!((after.frames_per_second - fps).abs() <= fps * 1e-12);
        prop_assert_eq!(Telemetry { frames_per_second: fps, ..after }, before);
    }
}

#[test]
fn any_bytes_are_telemetry_or_an_error() {
    bolero::check!().with_type::<(u16, Vec<u8>)>().with_iterations(3000).for_each(|(at, bytes)| {
        // Half of the time good telemetry with a changed middle: pure noise is refused at its first byte.
        let mut json = JSON.as_bytes().to_vec();
        let at = usize::from(*at) % json.len();
        let end = (at + bytes.len()).min(json.len());
        json.splice(at..end, bytes.iter().copied());
        for json in [json.as_slice(), bytes.as_slice()] {
            if let Ok(telemetry) = Telemetry::try_from_json(json) {
                assert!(Telemetry::try_from_json(&telemetry.to_json()).is_ok());
            }
        }
    });
}

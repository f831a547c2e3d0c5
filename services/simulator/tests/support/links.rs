//! Links and a profile for tests.

use std::{path::PathBuf, time::Duration};

use autotiler_core::{
    CompressionRatio, Digest, LayerIndex, Route, TargetBits,
    profile::{BatchTime, Profile, ProfilePoint, Rate, Spread},
};
use autotiler_simulator::Trace;

fn point(route: Route, device_ms: u64, rates: &[(u32, u16)]) -> ProfilePoint {
    let device = Duration::from_millis(device_ms);
    let server = BatchTime { batch: 1, time: Duration::from_millis(1) };
    let rate = |&(bits, accuracy_drop_permille): &(u32, u16)| Rate {
        bits: TargetBits::try_new(bits).expect("bits of a test are above 0"),
        accuracy_drop_permille,
    };
    ProfilePoint {
        route,
        tiler: None,
        device: Spread { p50: device, p95: device },
        server: if route == Route::DeviceOnly { vec![] } else { vec![server] },
        rates: rates.iter().map(rate).collect(),
        memory_kib: 0,
    }
}

/// The profile of `profiles/small.yaml`.
pub(crate) fn small() -> Profile {
    let split = |layer| Route::Split {
        layer: LayerIndex(layer),
        cr: CompressionRatio::try_new(4).expect("4 is a ratio"),
    };
    let points = vec![
        point(Route::DeviceOnly, 400, &[]),
        point(split(10), 60, &[(10_000, 90), (41_000, 5)]),
        point(split(20), 110, &[(3_000, 90), (12_000, 10)]),
        point(split(30), 150, &[(4_000, 20), (9_000, 15), (25_000, 2)]),
        point(split(40), 200, &[(4_000, 18), (9_000, 12), (25_000, 1)]),
        point(Route::ServerOnly, 20, &[(19_000, 90), (75_000, 10)]),
    ];
    Profile::try_new(Digest([7; 32]), "slow".to_owned(), points).expect("the profile is sound")
}

/// The same capacity all the time.
pub(crate) fn steady(bps: f64, seconds: f64) -> Trace {
    Trace::new("steady", std::iter::repeat_n(bps, (seconds * 10.0) as usize))
}

/// Five minutes like those that a car records: 1 Mbit/s that wavers, fades of some seconds, and outages.
pub(crate) fn rough() -> Trace {
    let bin = |at: usize| {
        let second = at / 10;
        // A fixed sequence without a pattern that a rule could learn.
        let noise = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let wavers = 0.7 + 0.6 * (noise as f64 / (1_u64 << 24) as f64);
        match second % 60 {
            20..26 => 0.0,
            40..46 => 8e4 * wavers,
            _ => 1e6 * wavers,
        }
    };
    Trace::new("rough", (0..3_000).map(bin))
}

/// The recorded traces; none where they are not.
pub(crate) fn recorded() -> Vec<Trace> {
    let shared = std::env::var_os("AUTOTILER_SHARED").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = shared.unwrap_or(beside).join("data/traces");
    let names = ["att-lte-driving", "tmobile-lte-short", "verizon-evdo-driving", "att-lte-driving-2016"];
    let read = |name: &str| {
        let file = folder.join(format!("{name}-up.csv"));
        let text = std::fs::read_to_string(&file).ok()?;
        Some(Trace::parse(name, &file.display().to_string(), &text).expect("a recorded trace is sound"))
    };
    names.into_iter().filter_map(read).collect()
}

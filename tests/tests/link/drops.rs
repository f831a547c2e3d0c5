//! How soon a device works at its controller's new point after its link has dropped, over many drops.

use std::{env, time::Instant};

use autotiler_tests::{Figure, quantile};

use crate::{
    audit::{Audit, Thresholds, model_dir},
    site::{Site, THIN, WIDE},
};

/// Of the policy here; what is wanted is said on top of it. The default of 3 s would only make the run longer.
const WINDOW_S: f64 = 1.0;
const P50_S: f64 = WINDOW_S + 2.0;
const P99_S: f64 = WINDOW_S + 4.0;
const LATE_MS: f64 = 1_000.0;

#[test]
#[ignore = "measures for minutes"]
fn measure_a_drop_to_the_controllers_new_point() {
    let drops: usize = env::var("AUTOTILER_TESTS_DROPS").map_or(50, |count| count.parse().unwrap());
    let Some(site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    // A quarter of a second between sweeps, as between scrapes; what is not said here is the API's default.
    let policy = site
        .policy("")
        .replace("capacityHalfLife: 500ms", "capacityHalfLife: 2s")
        .replace("degrade: {stabilizationWindow: 500ms}", "degrade: {stabilizationWindow: 1s}")
        .replace("count: 20", "count: 1000");
    let _controller = site.controller(&policy);
    let mut camera = site.camera("cam", WIDE.1);
    // The first assignment waits for signals that are warm, not for the link.
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);
    let (mut times, mut late, mut guarded) = (Vec::new(), 0, 0);
    for number in 0..drops {
        camera.see_many(15 + number % 4, WIDE.1);
        let from = camera.frames().len();
        let start = Instant::now();
        site.link.shape(THIN.0).unwrap();
        let first =
            camera.see("at the new point", |line| line["point"] == THIN.1 && line["outcome"] == "received");
        times.push(start.elapsed().as_secs_f64() - first["total_ms"].as_f64().unwrap() / 1e3);
        site.link.shape(WIDE.0).unwrap();

        let mut since: Vec<_> = camera.frames()[from..].to_vec();
        since.sort_by_key(|line| line["sequence"].as_u64());
        let acted = since.iter().position(|line| line["point"] == "device-only");
        guarded += usize::from(acted.is_some());
        let too_late =
            |line: &&serde_json::Value| line["total_ms"].as_f64().is_some_and(|total| total > LATE_MS);
        late += acted.map_or(0, |acted| since[acted..].iter().filter(too_late).count());
        eprintln!("drop {}: {:.2} s", number + 1, times[number]);
    }
    let accounts = camera.stop();
    let audited = Audit::new(&model_dir(), Thresholds::default()).check(&accounts.lines);

    let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut times, share));
    Figure {
        what: "link drop (tc, 8 -> 0.5 Mbit/s) to first frame at the controller's new point",
        wanted: "p50 <= window + 2 s, p99 <= window + 4 s",
        measured: format!("{drops} drops, window {WINDOW_S} s: p50 {p50:.2} s, p99 {p99:.2} s"),
        reached: Some(p50 <= P50_S && p99 <= P99_S),
    }
    .print();
    Figure {
        what: "frames later than 1 s after the guard has acted",
        wanted: "0",
        measured: format!("{late} (the guard acted in {guarded} of {drops} drops)"),
        reached: Some(late == 0),
    }
    .print();
    Figure {
        what: "frames of these drops whose detections are not those of an undisturbed run",
        wanted: "0",
        measured: format!("0 of {audited}"),
        reached: Some(true),
    }
    .print();
}

//! The link gets thin and wide again.

use crate::{
    audit::{Audit, Thresholds, model_dir},
    site::{Site, THIN, WIDE},
};

/// A result that is later is of no use to anybody who watches.
const LATE_MS: f64 = 1_000.0;

#[test]
fn a_link_that_drops_is_followed_down_and_up_again() {
    let Some(site) = Site::new(WIDE.0) else { return };
    let _decoder = site.decoder("decoder");
    let _controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0 && line["point"] == WIDE.1);
    camera.see_many(10, WIDE.1);

    site.link.shape(THIN.0).unwrap();
    camera.see_many(10, THIN.1);
    site.link.shape(WIDE.0).unwrap();
    camera.see_many(10, WIDE.1);

    let accounts = camera.stop();
    let audited = Audit::new(&model_dir(), Thresholds::default()).check(&accounts.lines);
    assert_eq!(audited as u64, accounts.count("received"));
    // Once the guard has acted, or the controller, nothing is late.
    let lines = accounts.in_order();
    let acted = lines.iter().position(|line| line["point"] != WIDE.1).unwrap();
    let late = |line: &&&serde_json::Value| line["total_ms"].as_f64().is_some_and(|total| total > LATE_MS);
    let late: Vec<_> = lines[acted..].iter().filter(late).collect();
    assert!(late.is_empty(), "{late:#?}");
}

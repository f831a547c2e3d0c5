//! A steady link, as noisy as radio is.

use crate::{
    audit::{Audit, Thresholds, model_dir},
    site::{Site, WIDE},
};

/// Where the wide link's point is still the best by some, but not by so much that noise could not matter.
const STEADY_BPS: u64 = 2_000_000;

/// Its capacity in thousandths, one after the other: ±20 %, without a pattern that a mean could smooth away.
const NOISE: [u64; 10] = [1_200, 800, 830, 1_150, 1_000, 810, 1_190, 950, 1_200, 800];

#[test]
fn noise_on_a_steady_link_moves_nobody_more_than_once() {
    let Some(site) = Site::new(STEADY_BPS) else { return };
    let _decoder = site.decoder("decoder");
    let _controller = site.controller(&site.policy(""));
    let mut camera = site.camera("cam", WIDE.1);
    camera.see("under an order", |line| line["epoch"] != 0);
    for permille in NOISE.repeat(2) {
        site.link.shape(STEADY_BPS * permille / 1_000).unwrap();
        // Half a second to a second of frames, as the wide link's point or the safe one has them.
        (0..7).for_each(|_| {
            camera.see("received", |line| line["outcome"] == "received");
        });
    }
    let accounts = camera.stop();
    let audited = Audit::new(&model_dir(), Thresholds::default()).check(&accounts.lines);
    assert_eq!(audited as u64, accounts.count("received"));
    let lines = accounts.in_order();
    let ordered: Vec<_> =
        lines.iter().filter(|line| line["point"] != "device-only" && line["epoch"] != 0).collect();
    let switches = ordered.windows(2).filter(|pair| pair[0]["point"] != pair[1]["point"]).count();
    assert!(switches <= 1, "{switches} switches");
}

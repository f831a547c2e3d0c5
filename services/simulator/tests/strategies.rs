//! What must hold of every strategy on every link.

#[path = "support/links.rs"]
mod links;

use std::time::Duration;

use autotiler_core::{
    decision::{BitsMode, Policy},
    profile::Profile,
};
use autotiler_simulator::{
    Effective, Outcome, Plan, Settings, Trace, World, clairvoyant, oracle, run, study,
    way::{Way, ways},
};
use proptest::prelude::*;

use links::{recorded, rough, small, steady};

/// The beam of the clairvoyant is finite, so it may miss the least by this share.
const BEAM_SLACK: f64 = 0.02;

fn fixed_bits() -> Policy {
    let mut policy = Policy::default();
    policy.behavior.bits = BitsMode::Fixed;
    policy
}

fn play(world: &World<'_>, profile: &Profile, policy: &Policy, ways: &[Way]) -> Outcome {
    run(world, Plan::Policy { profile, policy, ways })
}

fn mean(world: &World<'_>, arrivals: &[f64]) -> f64 {
    Effective::of(world, arrivals).spread().mean_s
}

/// Any link, from dead to wide, in pieces that are long enough to matter.
fn any_link() -> impl Strategy<Value = Trace> {
    let piece = (prop_oneof![Just(0.0), 2e4_f64..2e5, 2e5_f64..2e6, 2e6_f64..2e7], 1_usize..60);
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| {
        let bins = pieces.into_iter().flat_map(|(bps, bins)| std::iter::repeat_n(bps, bins));
        Trace::new("any", bins.chain(std::iter::repeat_n(1e6, 30)))
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (2.0_f64..20.0, 0_u64..200, 1.0_f64..8.0).prop_map(|(fps, rtt, overlap)| Settings {
        frames_per_second: fps,
        rtt: Duration::from_millis(rtt),
        overlap,
        ..Settings::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_frame_is_delivered_or_dropped_or_under_way_at_the_end(
        link in any_link(), settings in any_settings(), seed in 0_u64..100,
    ) {
        let (profile, policy) = (small(), Policy::default());
        let ways = ways(&profile, &policy);
        let world = World::new(&link, settings, seed);
        let fixed = ways.iter().map(|way| run(&world, Plan::Fixed(way)));
        for outcome in fixed.chain([play(&world, &profile, &policy, &ways)]) {
            let Outcome { captured, delivered, dropped, unfinished, .. } = outcome;
            prop_assert_eq!(captured, world.frames() as u64);
            prop_assert_eq!(captured, delivered + dropped + unfinished);
            // One picture waits, one frame waits, one is being sent, and the device works on the rest.
            prop_assert!(unfinished <= 3 + (8.0 * settings.frames_per_second).ceil() as u64);
        }
    }

    #[test]
    fn nobody_beats_the_oracle_and_only_by_a_hair_the_clairvoyant(
        link in any_link(), settings in any_settings(), seed in 0_u64..100,
    ) {
        let (profile, policy) = (small(), fixed_bits());
        let ways = ways(&profile, &policy);
        let world = World::new(&link, settings, seed);
        let best = mean(&world, &oracle::arrivals_s(&world, &ways));
        let knowing = mean(&world, &clairvoyant::arrivals_s(&world, &ways));
        prop_assert!(best <= knowing + 1e-9, "oracle {best}, clairvoyant {knowing}");
        let fixed = ways.iter().filter(|way| way.eligible).map(|way| run(&world, Plan::Fixed(way)));
        for outcome in fixed.chain([play(&world, &profile, &policy, &ways)]) {
            let got = outcome.effective.spread().mean_s;
            prop_assert!(best <= got + 1e-9, "oracle {best}, got {got}");
            prop_assert!(knowing <= got * (1.0 + BEAM_SLACK) + 1e-9, "clairvoyant {knowing}, got {got}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run(link in any_link(), seed in 0_u64..100) {
        let (profile, policy) = (small(), Policy::default());
        let ways = ways(&profile, &policy);
        let once = || play(&World::new(&link, Settings::default(), seed), &profile, &policy, &ways);
        prop_assert_eq!(once(), once());
    }

    #[test]
    fn cuts_stay_within_their_share(link in any_link(), cut in 0_u16..=1000) {
        let mut policy = Policy::default();
        policy.behavior.bits = BitsMode::OnDevice { max_cut_permille: cut };
        let profile = small();
        let ways = ways(&profile, &policy);
        let outcome = play(&World::new(&link, Settings::default(), 1), &profile, &policy, &ways);
        // Frames that are cut and then dropped for a newer one are not sent.
        let most = f64::from(cut) / 1000.0 * outcome.captured as f64;
        prop_assert!(outcome.cut as f64 <= most + 1e-9, "{} of {}", outcome.cut, outcome.captured);
    }
}

#[test]
fn a_wide_steady_link_leaves_no_regret_and_no_switch() {
    let link = steady(100e6, 120.0);
    let report = study(&link, &small(), &Policy::default(), Settings::default(), 1);
    assert!(report.figures.regret.abs() < 0.01, "{:?}", report.figures);
    assert_eq!((report.figures.guard_moves_per_min, report.figures.late_share), (0.0, 0.0));
    assert!(report.figures.switches_per_min <= 0.5, "one, from the point of the start");
}

#[test]
fn a_dead_link_is_left_for_the_device_alone() {
    let link = Trace::new("dead", [vec![2e6; 100], vec![0.0; 400]].concat());
    let report = study(&link, &small(), &Policy::default(), Settings::default(), 1);
    let after = report.timeline.iter().find(|(at, _)| *at > 11.0).expect("frames go on");
    assert_eq!(after.1.to_string(), "device-only");
    assert!(report.figures.late_share < 0.02, "{:?}", report.figures);
}

#[test]
fn noise_of_a_fifth_on_a_steady_link_switches_at_most_once_in_ten_minutes() {
    for bps in [0.3e6, 0.6e6, 1e6, 1.5e6, 3e6, 8e6] {
        let settings = Settings { capacity_noise: 0.2, ..Settings::default() };
        let report = study(&steady(bps, 1200.0), &small(), &Policy::default(), settings, 1);
        // The first leads from the point of the start to the one for this link.
        let switches = report.figures.switches_per_min * 20.0;
        assert!(switches <= 3.0, "{bps} bit/s: {switches} in 20 minutes");
    }
}

#[test]
fn on_a_rough_link_the_policy_beats_every_static_point() {
    let report = study(&rough(), &small(), &Policy::default(), Settings::default(), 1);
    let figures = &report.figures;
    assert!(figures.mean_ms < 0.95 * figures.best_static_mean_ms, "{figures:?}");
    assert!(figures.switches_per_min <= 2.0 && figures.guard_moves_per_min <= 15.0, "{figures:?}");
}

#[test]
fn on_recorded_links_the_policy_keeps_its_promises() {
    let links = recorded();
    if links.is_empty() {
        println!("skipped: no recorded traces; set AUTOTILER_SHARED to the folder that has data/traces");
        return;
    }
    for link in links {
        let figures = study(&link, &small(), &Policy::default(), Settings::default(), 1).figures;
        assert!(figures.mean_ms <= 1.03 * figures.best_static_mean_ms, "{figures:?}");
        assert!(figures.late_share <= 0.005 && figures.regret_calm <= 0.1, "{figures:?}");
        assert!(figures.switches_per_min <= 2.0 && figures.guard_moves_per_min <= 15.0, "{figures:?}");
    }
}

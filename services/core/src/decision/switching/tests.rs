use proptest::prelude::*;

use super::*;
use crate::{
    decision::{Inputs, Policy, choose, predict::tests::inputs},
    profile::tests::small,
};

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

struct Device {
    switching: Switching,
    policy: Policy,
}

impl Device {
    fn new() -> Self {
        Self { switching: Switching::default(), policy: Policy::default() }
    }

    /// One sweep that commits what is proposed.
    fn sweep(&mut self, seconds: f64, bps: f64) -> Verdict {
        let choice = choose(&small(), &self.policy, &inputs(bps));
        let Policy { objective, behavior, .. } = &self.policy;
        let (verdict, proposal) = self.switching.consider(at(seconds), &choice, *objective, behavior);
        if let Some(proposal) = proposal {
            self.switching.commit(at(seconds), &proposal);
        }
        verdict
    }

    fn point(&self) -> String {
        self.switching.current().unwrap().to_string()
    }
}

#[test]
fn the_first_assignment_is_made_at_once() {
    let mut device = Device::new();
    assert_eq!(device.sweep(0.0, 50e6), Verdict::Switch);
    assert_eq!(device.point(), "server-only,bits=75k");
    assert_eq!(device.switching.spent(at(0.0), &device.policy.behavior), 0, "and is no switch");
}

#[test]
fn goes_down_after_three_seconds_and_up_after_five() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    assert_eq!(device.sweep(10.0, 300e3), Verdict::Held(Held::Window { left_ms: 3_000 }));
    assert_eq!(device.sweep(12.5, 300e3), Verdict::Held(Held::Window { left_ms: 500 }));
    assert_eq!(device.sweep(13.0, 300e3), Verdict::Switch);
    assert_eq!(device.point(), "layer=20,cr=4,bits=12k");
    assert_eq!(device.sweep(14.0, 50e6), Verdict::Held(Held::Window { left_ms: 5_000 }));
    assert_eq!(device.sweep(19.0, 50e6), Verdict::Switch);
    assert_eq!(device.point(), "server-only,bits=75k");
}

#[test]
fn a_short_dip_and_a_small_gain_move_nothing() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    device.sweep(10.0, 300e3);
    assert_eq!(device.sweep(12.0, 50e6), Verdict::Best);
    assert_eq!(device.sweep(13.5, 300e3), Verdict::Held(Held::Window { left_ms: 3_000 }));
    let mut device = Device::new();
    device.sweep(0.0, 600e3);
    assert_eq!(device.point(), "layer=10,cr=4,bits=41k");
    let held = device.sweep(60.0, 560e3);
    assert!(
        matches!(held, Verdict::Held(Held::Improvement { needed_percent: 5, .. }) | Verdict::Best),
        "{held:?}"
    );
}

#[test]
fn a_guard_that_comes_and_goes_stops_a_window_and_does_not_begin_it_anew() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    assert_eq!(device.sweep(10.0, 300e3), Verdict::Held(Held::Window { left_ms: 3_000 }));
    for (second, left_ms) in [(11.0, 2_000), (13.0, 1_000)] {
        device.switching.skip_to(at(second));
        assert_eq!(device.sweep(second + 1.0, 300e3), Verdict::Held(Held::Window { left_ms }));
    }
    device.switching.skip_to(at(15.0));
    assert_eq!(device.sweep(16.0, 300e3), Verdict::Switch);
}

#[test]
fn the_budget_ends_flapping() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    let mut switches = 0;
    let mut budgets = 0;
    for second in 0..120 {
        let bps = if second / 6 % 2 == 0 { 300e3 } else { 50e6 };
        match device.sweep(f64::from(second), bps) {
            Verdict::Switch => switches += 1,
            Verdict::Held(Held::Budget { left_ms }) => {
                assert!(left_ms <= 60_000);
                budgets += 1;
            }
            _ => {}
        }
    }
    assert!(switches <= 8 && budgets > 0, "{switches} switches, {budgets} times held");
}

#[test]
fn what_the_policy_forbids_is_left_at_once() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    device.policy.candidates.server_only = crate::decision::Permission::Forbidden;
    assert_eq!(device.sweep(0.1, 50e6), Verdict::Switch);
    assert_eq!(device.point(), "layer=10,cr=4,bits=41k");
}

#[test]
fn with_nothing_to_choose_from_a_device_stays() {
    let mut device = Device::new();
    device.sweep(0.0, 50e6);
    device.policy.constraints.max_accuracy_drop_permille = 0;
    device.policy.candidates.layers = vec![crate::LayerIndex(99)];
    device.policy.candidates.device_only = crate::decision::Permission::Forbidden;
    assert_eq!(device.sweep(1.0, 50e6), Verdict::Nothing);
    assert_eq!(device.point(), "server-only,bits=75k");
}

proptest! {
    #[test]
    fn dwell_windows_and_budget_hold_for_every_sequence(
        links in proptest::collection::vec((1e3_f64..20e6, 0.2_f64..4.0), 1..150),
    ) {
        let policy = Policy::default();
        let behavior = &policy.behavior;
        let mut switching = Switching::default();
        let (mut now, mut last, mut made) = (0.0, None::<f64>, Vec::<f64>::new());
        for (bps, step) in links {
            let inputs = Inputs { ..inputs(bps) };
            let choice = choose(&small(), &policy, &inputs);
            let before = switching.current();
            let (verdict, proposal) =
                switching.consider(at(now), &choice, policy.objective, behavior);
            prop_assert_eq!(verdict == Verdict::Switch, proposal.is_some());
            if let Some(proposal) = proposal {
                prop_assert_ne!(Some(proposal.to), before);
                if !proposal.forced {
                    let since = now - last.unwrap();
                    if proposal.direction == Direction::Recover {
                        prop_assert!(since >= 5.0 - 1e-6);
                    }
                    made.push(now);
                    let recent = made.iter().filter(|at| now - **at < 60.0).count();
                    prop_assert!(recent <= 4, "{recent} switches in a minute");
                }
                switching.commit(at(now), &proposal);
                last = Some(now);
            }
            now += step;
        }
    }

    #[test]
    fn the_same_sequence_gives_the_same_decisions(
        links in proptest::collection::vec(1e3_f64..20e6, 1..60),
    ) {
        let run = || {
            let mut device = Device::new();
            let verdicts: Vec<_> =
                links.iter().enumerate().map(|(second, bps)| device.sweep(second as f64, *bps)).collect();
            (verdicts, device.switching.current())
        };
        prop_assert_eq!(run(), run());
    }
}

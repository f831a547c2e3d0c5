use std::sync::Arc;

use autotiler_core::{
    DeviceId, Digest, Epoch,
    decision::{Held, Verdict},
    profile::{BatchTime, ProfilePoint, Rate, Spread},
    telemetry::Telemetry,
};

use super::*;
use crate::catalog::tests::policy;

fn point(route: Route, device_ms: u64, bits: &[u32]) -> ProfilePoint {
    let ms = Duration::from_millis(device_ms);
    let rate = |&bits: &u32| Rate {
        bits: autotiler_core::TargetBits::try_new(bits).unwrap(),
        accuracy_drop_permille: 10,
    };
    let server = [BatchTime { batch: 1, time: Duration::from_millis(10) }];
    ProfilePoint {
        route,
        tiler: None,
        device: Spread { p50: ms, p95: ms },
        server: if bits.is_empty() { vec![] } else { server.to_vec() },
        rates: bits.iter().map(rate).collect(),
        memory_kib: 0,
    }
}

pub(super) fn profile() -> Profile {
    let split = "layer=20,cr=4,bits=1".parse::<OperatingPoint>().unwrap().route;
    let points = vec![
        point(Route::DeviceOnly, 400, &[]),
        point(split, 110, &[6_000, 12_000]),
        point(Route::ServerOnly, 20, &[75_000]),
    ];
    Profile::try_new(Digest([1; 32]), "slow".to_owned(), points).unwrap()
}

#[test]
fn a_forecast_is_tested_by_frames_that_come_after_it() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    let says = |world: &mut World, received, p50| {
        let telemetry = Arc::make_mut(&mut world.report.telemetry);
        telemetry.point = "server-only,bits=75k".parse().unwrap();
        (telemetry.received, telemetry.total_us.p50) = (received, p50);
    };
    says(&mut world, 10, Some(100_000));
    world.sweep(1, Some(50e6));
    assert_eq!(world.control.forecast(), None, "the point in force was another when the last one was made");
    world.sweep(2, Some(50e6));
    assert_eq!(world.control.forecast(), None, "nothing new has been measured");
    says(&mut world, 20, Some(100_000));
    world.sweep(3, Some(50e6));
    let forecast = world.control.forecast().unwrap();
    // 20 ms on the device, 60 ms round trip, 10 ms on the server, and the bits.
    assert_eq!((forecast.predicted_us, forecast.measured_us), (91_538, 100_000));
    assert!((forecast.error_ratio() - 0.08462).abs() < 1e-9);
}

pub(super) fn report(point: &str, guarded_for_ms: Option<u64>) -> Report {
    let point: OperatingPoint = point.parse().unwrap();
    let device = "cam".parse::<DeviceId>().unwrap();
    let telemetry = Telemetry {
        epoch: Epoch(1),
        guarded_for_ms,
        frames_per_second: 10.0,
        ..Telemetry::at_start(device, "slow".to_owned(), Digest([1; 32]), point)
    };
    Report { telemetry: Arc::new(telemetry), at: Duration::ZERO, frames_per_second: Some(10.0) }
}

struct World {
    policy: PolicyEntry,
    profile: Profile,
    report: Report,
    control: DeviceControl,
    pin: Option<Pin>,
    /// What a frame waits in the decoder, in seconds, where that is measured.
    queue: Option<f64>,
    epoch: u32,
}

impl World {
    fn new() -> Self {
        let policy = policy("p");
        let control = DeviceControl::new(&policy, None, Duration::ZERO);
        let report = report("device-only", None);
        Self { policy, profile: profile(), report, control, pin: None, queue: None, epoch: 0 }
    }

    /// One sweep at `second` that carries out what it wants; the link is measured as `bps`, or not at all.
    fn sweep(&mut self, second: u64, bps: Option<f64>) -> (Outcome, Option<Desired>) {
        let fresh = |value| Signal::Fresh { value, age_s: 0.2 };
        let sweep = Sweep {
            now: Duration::from_secs(second),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            policy: &self.policy,
            profile: &self.profile,
            pin: self.pin,
            signals: Signals {
                uplink: bps.map_or(Signal::Absent, fresh),
                rtt: bps.map_or(Signal::Absent, |_| fresh(0.06)),
                server_queue: self.queue.map_or(Signal::Absent, fresh),
            },
            report: &self.report,
            others_queue_s: 0.0,
        };
        let decided = self.control.sweep(&sweep);
        let desired = self.control.desired(&sweep, &decided, true);
        if let Some(desired) = desired.clone() {
            self.epoch += 1;
            let entry = HistoryEntry {
                epoch: self.epoch,
                at_ms: 0,
                from: decided.current,
                to: desired.point,
                reason: decided.word(desired.point),
                detail: decided.reason(desired.point),
                uplink_bps: decided.seen.mean_uplink_bps,
            };
            self.control.commit(&sweep, &decided, desired, entry);
        }
        (decided.outcome, desired)
    }

    fn point(&self) -> String {
        self.control.switching.current().unwrap().to_string()
    }
}

#[test]
fn the_first_fresh_sample_assigns_with_range_and_guard() {
    let mut world = World::new();
    let (_, desired) = world.sweep(0, Some(300e3));
    let desired = desired.unwrap();
    assert_eq!(desired.point.to_string(), "layer=20,cr=4,bits=6k");
    assert_eq!((desired.min_bits, desired.max_cut_permille), (None, 0), "there are no fewer bits");
    assert_eq!(desired.guard.unwrap().safe_point, OperatingPoint::device_only());
    assert_eq!(
        world.sweep(1, Some(300e3)),
        (Outcome::Decided(Verdict::Best), None),
        "the same is not ordered twice"
    );
}

#[test]
fn nothing_is_ordered_before_anything_is_known_and_absent_is_never_zero() {
    let mut world = World::new();
    assert_eq!(world.sweep(0, None), (Outcome::Blind, None));
    assert_eq!(world.sweep(1, Some(f64::NAN)).1, None);
}

#[test]
fn a_gap_is_followed_by_a_warm_up_and_a_long_one_by_the_fallback() {
    let mut world = World::new();
    world.policy.policy.fallback.action = autotiler_core::decision::FallbackAction::DeviceOnly;
    world.sweep(0, Some(50e6));
    assert_eq!(world.point(), "server-only,bits=75k");
    assert_eq!([1, 2].map(|second| world.sweep(second, None).0), [Outcome::Blind; 2]);
    assert_eq!(world.sweep(3, None).0, Outcome::Fallback);
    assert_eq!(world.point(), "device-only");
    let first = world.sweep(4, Some(50e6)).0;
    assert_eq!(first, Outcome::WarmingUp { missing: 4 });
    for second in 5..8 {
        world.sweep(second, Some(50e6));
    }
    assert!(matches!(world.sweep(8, Some(50e6)).0, Outcome::Decided(Verdict::Held(Held::Window { .. }))));
}

#[test]
fn an_overload_of_the_server_is_not_held_against_it_for_ever() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    world.queue = Some(2.0);
    for second in 1..30 {
        world.sweep(second, Some(50e6));
    }
    assert_eq!(world.point(), "device-only");
    // Nothing is sent, so nothing is measured.
    world.queue = None;
    for second in 30..90 {
        world.sweep(second, Some(50e6));
    }
    assert_eq!(world.point(), "server-only,bits=75k");
}

#[test]
fn a_guarding_device_freezes_estimator_and_decision() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    world.report = report("device-only", Some(500));
    for second in 1..60 {
        assert_eq!(world.sweep(second, Some(0.0)), (Outcome::Guarded, None));
    }
    world.report = report("server-only,bits=75k", None);
    assert_eq!(world.sweep(60, Some(50e6)).0, Outcome::Decided(Verdict::Best), "no warm-up, no pessimism");
}

#[test]
fn a_pin_holds_until_it_ends_and_suspension_freezes() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    let split = world.profile.points()[1].route;
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
    world.pin = Some(Pin { route: split, bits: None, until: Some(until) });
    assert_eq!(world.sweep(1, Some(50e6)).0, Outcome::Pinned);
    assert_eq!(world.point(), "layer=20,cr=4,bits=6k", "the fewest bits that are accurate enough");
    (2..10).for_each(|second| assert_eq!(world.sweep(second, Some(50e6)).1, None));
    for second in 10..20 {
        world.sweep(second, Some(50e6));
    }
    assert_eq!(world.point(), "server-only,bits=75k");
    world.policy.suspend = true;
    world.policy.generation += 1;
    (20..40).for_each(|second| assert_eq!(world.sweep(second, Some(1e3)), (Outcome::Suspended, None)));
}

#[test]
fn a_changed_policy_is_ordered_at_once() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    world.policy.generation = 2;
    world.policy.policy.behavior.guard = None;
    let desired = world.sweep(1, Some(50e6)).1.unwrap();
    assert_eq!((desired.point.to_string().as_str(), desired.guard), ("server-only,bits=75k", None));
    let history: Vec<_> = world.control.history().map(|entry| entry.reason).collect();
    assert_eq!(history, [Reason::PolicyChanged, Reason::FirstAssignment]);
}

#[test]
fn what_somebody_else_ordered_is_taken_for_what_is() {
    let mut world = World::new();
    world.sweep(0, Some(50e6));
    world.control.overruled(Duration::from_secs(1), OperatingPoint::device_only());
    assert_eq!(world.point(), "device-only");
    let (outcome, desired) = world.sweep(2, Some(50e6));
    assert!(matches!(outcome, Outcome::Decided(Verdict::Held(Held::Window { .. }))), "{outcome:?}");
    assert_eq!(desired.unwrap().point, OperatingPoint::device_only(), "the point stays, the terms are ours");
}

#[test]
fn a_controller_that_starts_again_orders_nothing_anew() {
    let mut world = World::new();
    let desired = world.sweep(0, Some(300e3)).1.unwrap();
    let order = Order {
        epoch: Epoch(1),
        point: desired.point,
        min_bits: desired.min_bits,
        max_cut_permille: desired.max_cut_permille,
        network: Digest([1; 32]),
        tiler: desired.tiler,
        guard: desired.guard,
        reason: String::new(),
        writer: String::new(),
        decided_at_ms: 0,
    };
    world.control = DeviceControl::new(&world.policy, Some(&order), Duration::from_secs(1));
    for second in 1..5 {
        assert_eq!(world.sweep(second, Some(300e3)), (Outcome::Decided(Verdict::Best), None));
    }
}

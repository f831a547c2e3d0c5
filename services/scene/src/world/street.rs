//! A street: what stands where, under which light, and how the camera moves.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    backdrop::{Backdrop, Layout},
    pen::{Camera, Light},
    things::{Kind, Thing, View},
};

/// Seconds after which the things of a street are where they were placed to be seen.
const MIDDLE_S: f32 = 1.0;
const LONGEST_VEHICLE_M: f32 = 9.8;
/// Metres beyond which people and traffic lights are too thin to be annotated.
const FARTHEST_THIN_M: f32 = 12.0;

/// One street with everything in it.
pub(super) struct Street {
    pub(super) light: Light,
    pub(super) backdrop: Backdrop,
    pub(super) things: Vec<Thing>,
    /// Standard deviation of the sensor's noise, of full scale.
    pub(super) noise: f32,
    /// Weight of each neighbour in the blur, 0 to 0.25.
    pub(super) blur: f32,
    camera: Motion,
}

/// How the camera stands and moves.
struct Motion {
    focal_share: f32,
    height_m: f32,
    horizon_share: f32,
    /// Shares of the picture's width per second.
    pan_per_s: f32,
    /// Amplitude of the shake, in shares of the picture.
    shake: f32,
    phase: f32,
}

impl Street {
    /// The street of a seed; `aspect` is width over height.
    pub(super) fn new(seed: u64, aspect: f32) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let light = light(rng);
        let camera = Motion {
            focal_share: rng.random_range(0.75..1.1),
            height_m: rng.random_range(1.7..3.2),
            horizon_share: rng.random_range(0.36..0.48),
            pan_per_s: rng.random_range(-0.04..0.04),
            shake: rng.random_range(0.0..0.005),
            phase: rng.random_range(0.0..TAU),
        };
        let layout = if rng.random_bool(0.55) { across(rng) } else { along(rng) };
        let mut street = Self {
            light,
            backdrop: Backdrop::new(rng, layout),
            things: Vec::new(),
            noise: rng.random_range(0.004..0.02) + 0.012 * light.lamps,
            blur: rng.random_range(0.02..0.16),
            camera,
        };
        // Half the width seen at one metre.
        let reach = 0.5 / street.camera.focal_share * aspect.sqrt();
        street.place(rng, layout, reach);
        street.things.sort_by(|a, b| b.z.total_cmp(&a.z));
        street
    }

    /// The camera after `seconds`, for a canvas of `width` by `height` pixels.
    pub(super) fn camera(&self, seconds: f32, width: f32, height: f32) -> Camera {
        let motion = &self.camera;
        let wave = |rate: f32, phase: f32| (seconds * rate + phase + motion.phase).sin() * motion.shake;
        let pan = (seconds - MIDDLE_S) * motion.pan_per_s;
        Camera {
            focal_px: motion.focal_share * (width * height).sqrt(),
            height_m: motion.height_m,
            centre_x: width * (0.5 + pan + wave(5.0, 0.0) + wave(11.0, 1.0)),
            horizon_y: height * (motion.horizon_share + wave(6.0, 2.0) + wave(13.0, 3.0)),
        }
    }

    fn place(&mut self, rng: &mut ChaCha8Rng, layout: Layout, reach: f32) {
        match layout {
            Layout::Across { lanes, near, .. } => self.place_across(rng, lanes, near, reach),
            Layout::Along { road, .. } => self.place_along(rng, road, reach),
        }
    }

    fn place_across(&mut self, rng: &mut ChaCha8Rng, lanes: [f32; 2], near: f32, reach: f32) {
        for (lane, facing) in lanes.into_iter().zip([-1.0, 1.0]) {
            // One speed for a lane: nobody drives through another.
            let speed = if rng.random_bool(0.6) { rng.random_range(1.0..7.0) } else { 0.0 };
            let mut x = rng.random_range(-1.2..0.6) * lane * reach;
            for _ in 0..rng.random_range(0..=2) {
                let kind = vehicle(rng);
                let velocity = (facing * speed, 0.0);
                let start = x - velocity.0 * MIDDLE_S;
                self.add(rng, Thing { kind, x: start, z: lane, ..still(facing, velocity) });
                x += rng.random_range(LONGEST_VEHICLE_M..LONGEST_VEHICLE_M + 4.0);
            }
        }
        let far = lanes[0] + rng.random_range(2.5..3.5);
        let strips = [(near - 1.5, near), (far, far + 1.0)];
        for (kind, most) in
            [(Kind::Person, 4), (Kind::Bicycle, 2), (Kind::Dog, 2), (Kind::TrafficLight, 2), (Kind::Sign, 2)]
        {
            for _ in 0..rng.random_range(0..=most) {
                // Dogs stay near: far away they would be a few pixels.
                let far_share = match kind {
                    Kind::Dog => 0.0,
                    Kind::Person | Kind::TrafficLight => 0.15,
                    _ => 0.35,
                };
                let strip = usize::from(rng.random_bool(far_share));
                let (from, to) = strips[strip];
                let z = rng.random_range(from.max(4.0)..to.max(4.5));
                self.put_walking(rng, kind, z, reach);
            }
        }
        for kind in [Kind::Tree, Kind::LampPost, Kind::Bush, Kind::Bin] {
            if rng.random_bool(0.5) {
                let z = far + rng.random_range(0.0..1.2);
                self.put(rng, kind, z, reach, (0.0, 0.0), 1.0);
            }
        }
    }

    fn place_along(&mut self, rng: &mut ChaCha8Rng, road: f32, reach: f32) {
        for (side, view) in [(1.0, View::Rear), (-1.0, View::Front)] {
            let mut z = rng.random_range(5.0..10.0);
            while z < 22.0 && rng.random_bool(0.75) {
                let kind = vehicle(rng);
                let parked = rng.random_bool(0.35);
                let x = side * if parked { road - 1.1 } else { road * 0.45 };
                let speed = if parked { 0.0 } else { side * rng.random_range(0.0..2.0) };
                let seen = x.abs() + 1.0 < z * reach;
                if seen {
                    self.add(rng, Thing { kind, view, x, z, ..still(1.0, (0.0, speed)) });
                }
                z += rng.random_range(4.5..9.0);
            }
        }
        for (kind, most) in [
            (Kind::Person, 4),
            (Kind::Bicycle, 2),
            (Kind::Dog, 2),
            (Kind::TrafficLight, 2),
            (Kind::Sign, 2),
            (Kind::Tree, 2),
            (Kind::LampPost, 2),
            (Kind::Bin, 1),
            (Kind::Bush, 1),
        ] {
            for _ in 0..rng.random_range(0..=most) {
                let crossing =
                    matches!(kind, Kind::Person | Kind::Bicycle | Kind::Dog) && rng.random_bool(0.3);
                let farthest = match kind {
                    Kind::Dog => 9.5,
                    Kind::Person | Kind::TrafficLight => FARTHEST_THIN_M,
                    _ => 17.0,
                };
                // The kerb comes into view where half the road's width does.
                let nearest = if crossing { 4.5 } else { ((road + 1.0) / reach).clamp(4.5, 9.0) };
                let z = rng.random_range(nearest..farthest);
                if crossing {
                    self.put_walking(rng, kind, z, reach);
                } else {
                    let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                    let x = side * (road + rng.random_range(0.4..2.0));
                    let facing = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                    self.add(rng, Thing { kind, x, z, ..still(facing, (0.0, 0.0)) });
                }
            }
        }
    }

    /// Puts something that may walk or ride across the view.
    fn put_walking(&mut self, rng: &mut ChaCha8Rng, kind: Kind, z: f32, reach: f32) {
        let facing = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        let speed = match kind {
            Kind::Person | Kind::Dog if rng.random_bool(0.6) => rng.random_range(0.5..1.5),
            Kind::Bicycle if rng.random_bool(0.5) => rng.random_range(1.5..4.0),
            _ => 0.0,
        };
        self.put(rng, kind, z, reach, (facing * speed, 0.0), facing);
    }

    /// Puts something so that it is in view in the middle of the street's time.
    fn put(
        &mut self,
        rng: &mut ChaCha8Rng,
        kind: Kind,
        z: f32,
        reach: f32,
        velocity: (f32, f32),
        facing: f32,
    ) {
        let x = rng.random_range(-1.0..1.0) * z * reach - velocity.0 * MIDDLE_S;
        self.add(rng, Thing { kind, x, z, ..still(facing, velocity) });
    }

    fn add(&mut self, rng: &mut ChaCha8Rng, thing: Thing) {
        let rider = thing.kind == Kind::Bicycle && (thing.vx != 0.0 || rng.random_bool(0.2));
        // A little depth of its own keeps the painter's order the same at every moment.
        let z = thing.z + rng.random_range(0.0..0.2);
        self.things.push(Thing { look: rng.random(), rider, z, ..thing });
    }
}

/// A thing to be filled in: seen from the side, moving as said.
fn still(facing: f32, (vx, vz): (f32, f32)) -> Thing {
    let (kind, view) = (Kind::Car, View::Side);
    Thing { kind, view, facing, x: 0.0, z: 0.0, vx, vz, look: 0, rider: false }
}

fn vehicle(rng: &mut ChaCha8Rng) -> Kind {
    match rng.random_range(0..10) {
        0..5 => Kind::Car,
        5..7 => Kind::Bus,
        _ => Kind::Truck,
    }
}

/// Day, dusk or night.
fn light(rng: &mut ChaCha8Rng) -> Light {
    let sun = rng.random_range(-1.0..1.0);
    let gain = rng.random_range(0.85..1.15);
    let (tint, shadow, lamps) = match rng.random_range(0..10) {
        0..6 => ([1.0, 1.0, 0.98], 1.0, 0.0),
        6..8 => ([0.80, 0.62, 0.52], 0.6, 0.5),
        _ => ([0.30, 0.33, 0.44], 0.25, 1.0),
    };
    Light { tint: tint.map(|v: f32| v * gain), sun, shadow, lamps }
}

/// The road crosses the view.
fn across(rng: &mut ChaCha8Rng) -> Layout {
    let near = rng.random_range(5.5..7.0);
    let first = near + rng.random_range(1.8..2.6);
    let second = first + rng.random_range(2.8..3.6);
    Layout::Across { lanes: [second, first], near, wall: second + rng.random_range(5.0..8.0) }
}

/// The road leads away from the camera.
fn along(rng: &mut ChaCha8Rng) -> Layout {
    let road = rng.random_range(3.4..4.8);
    Layout::Along { road, wall: road + rng.random_range(2.5..4.5) }
}

//! What stands and moves in the street, drawn from simple shapes in metres.

mod people;
mod roadside;
mod vehicles;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{pen::Pen, raster::Rgb};

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Car,
    Bus,
    Truck,
    Bicycle,
    Person,
    Dog,
    TrafficLight,
    Sign,
    /// Not annotated, like all that follow.
    Tree,
    LampPost,
    Bush,
    Bin,
}

impl Kind {
    /// Index into [`super::CLASSES`]; none for what is not annotated.
    pub(super) fn class(self) -> Option<u16> {
        (self as u16 <= Kind::Sign as u16).then_some(self as u16)
    }
}

/// How a thing is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Side,
    Front,
    Rear,
}

/// One thing and how it moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    pub(super) view: View,
    /// 1 faces right, -1 left.
    pub(super) facing: f32,
    /// Metres to the right and away at time 0.
    pub(super) x: f32,
    pub(super) z: f32,
    /// Metres per second.
    pub(super) vx: f32,
    pub(super) vz: f32,
    /// Fixes everything about its looks.
    pub(super) look: u64,
    /// Somebody sits on it (bicycles).
    pub(super) rider: bool,
}

impl Thing {
    /// Where it is after `seconds`; nothing comes nearer than the camera can stand.
    pub(super) fn at(&self, seconds: f32) -> (f32, f32) {
        (self.x + self.vx * seconds, (self.z + self.vz * seconds).max(3.5))
    }

    /// Draws it; `owner` is its number and `owner + 1` its rider's.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, owner: u16, seconds: f32) {
        let rng = &mut ChaCha8Rng::seed_from_u64(self.look);
        let stride = if self.vx == 0.0 && self.vz == 0.0 { 0.15 } else { (seconds * 7.0).sin() };
        match self.kind {
            Kind::Car => vehicles::car(pen, rng, self.view),
            Kind::Bus => vehicles::bus(pen, rng, self.view),
            Kind::Truck => vehicles::truck(pen, rng, self.view),
            Kind::Bicycle => {
                vehicles::bicycle(pen, rng);
                if self.rider {
                    pen.set_owner(owner + 1);
                    people::rider(pen, rng, seconds);
                }
            }
            Kind::Person => people::person(pen, rng, stride),
            Kind::Dog => people::dog(pen, rng, stride),
            Kind::TrafficLight => roadside::traffic_light(pen, rng, owner),
            Kind::Sign => roadside::sign(pen, rng, owner),
            Kind::Tree => roadside::tree(pen, rng),
            Kind::LampPost => roadside::lamp_post(pen),
            Kind::Bush => roadside::bush(pen, rng),
            Kind::Bin => roadside::bin(pen, rng),
        }
    }
}

/// A colour of lacquer or cloth.
fn colour(rng: &mut ChaCha8Rng) -> Rgb {
    const BASE: [Rgb; 12] = [
        [0.75, 0.10, 0.10],
        [0.10, 0.20, 0.60],
        [0.85, 0.85, 0.85],
        [0.12, 0.12, 0.14],
        [0.55, 0.57, 0.60],
        [0.10, 0.42, 0.25],
        [0.90, 0.72, 0.12],
        [0.30, 0.55, 0.80],
        [0.85, 0.42, 0.10],
        [0.45, 0.15, 0.40],
        [0.60, 0.48, 0.35],
        [0.30, 0.30, 0.34],
    ];
    let base = BASE[rng.random_range(0..BASE.len())];
    let gain = rng.random_range(0.8..1.15);
    base.map(|v: f32| (v * gain + rng.random_range(-0.04..0.04)).clamp(0.03, 0.95))
}

/// The same colour, lighter or darker.
fn shade(rgb: Rgb, gain: f32) -> Rgb {
    rgb.map(|v| (v * gain).min(1.0))
}

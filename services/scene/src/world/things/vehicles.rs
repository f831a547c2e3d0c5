//! Cars, buses, trucks and bicycles.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{View, colour, shade};
use crate::world::{pen::Pen, raster::Rgb};

const RUBBER: Rgb = [0.05, 0.05, 0.06];
const RIM: Rgb = [0.55, 0.56, 0.58];
const HEADLIGHT: Rgb = [1.0, 0.97, 0.82];
const TAILLIGHT: Rgb = [0.85, 0.08, 0.06];
const BUMPER: Rgb = [0.16, 0.16, 0.18];

fn glass(rng: &mut ChaCha8Rng) -> Rgb {
    let gain = rng.random_range(0.6..1.3);
    [0.20 * gain, 0.27 * gain, 0.34 * gain]
}

fn wheel(pen: &mut Pen<'_>, u: f32, r: f32) {
    pen.ellipse(u, r, r, r, RUBBER);
    pen.ellipse(u, r, r * 0.55, r * 0.55, RIM);
    pen.ellipse(u, r, r * 0.18, r * 0.18, BUMPER);
}

/// Headlights in front, red lights behind, `half` metres apart from the middle.
fn lights(pen: &mut Pen<'_>, view: View, half: f32, v: f32, r: f32) {
    for u in [-half, half] {
        match view {
            View::Rear => pen.lamp(u, v, r, TAILLIGHT, 0.8),
            _ => pen.lamp(u, v, r, HEADLIGHT, 1.6),
        }
    }
}

pub(super) fn car(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, view: View) {
    let (body, glass) = (colour(rng), glass(rng));
    let tall = rng.random_range(1.35..1.75);
    if view != View::Side {
        return car_end(pen, rng, view, body, glass, tall);
    }
    let half = rng.random_range(1.85..2.35);
    let boot = rng.random_range(0.2..0.95) * half;
    let sill = tall * 0.58;
    pen.shadow(half);
    pen.polygon(
        &[
            (-half, 0.3),
            (half, 0.28),
            (half, sill * 0.75),
            (half * 0.92, sill * 0.92),
            (half * 0.45, sill),
            (-boot, sill * 1.03),
            (-half, sill * 0.95),
        ],
        body,
    );
    let roof = [(half * 0.50, sill), (half * 0.16, tall), (-boot * 0.72, tall), (-boot, sill)];
    pen.polygon(&roof, shade(body, 1.08));
    pen.polygon(&[(half * 0.42, sill), (half * 0.13, tall - 0.1), (-0.05, tall - 0.1), (-0.05, sill)], glass);
    pen.polygon(
        &[(-0.14, sill), (-0.14, tall - 0.1), (-boot * 0.66, tall - 0.1), (-boot * 0.88, sill)],
        glass,
    );
    pen.rect(-half, 0.28, half, 0.38, BUMPER);
    pen.line((-0.1, 0.4), (-0.1, sill), 0.03, shade(body, 0.6));
    pen.rect(0.1, sill * 0.80, 0.28, sill * 0.84, shade(body, 0.5));
    wheel(pen, half * 0.62, 0.33);
    wheel(pen, -half * 0.60, 0.33);
    pen.lamp(half * 0.95, sill * 0.72, 0.09, HEADLIGHT, 1.6);
    pen.lamp(-half * 0.97, sill * 0.8, 0.07, TAILLIGHT, 0.8);
}

fn car_end(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, view: View, body: Rgb, glass: Rgb, tall: f32) {
    let half = rng.random_range(0.85..0.98);
    let sill = tall * 0.6;
    pen.shadow(half);
    for u in [-half * 0.78, half * 0.78] {
        pen.rect(u - 0.13, 0.0, u + 0.13, 0.45, RUBBER);
    }
    pen.polygon(
        &[
            (-half, 0.25),
            (half, 0.25),
            (half, sill * 0.8),
            (half * 0.93, sill),
            (-half * 0.93, sill),
            (-half, sill * 0.8),
        ],
        body,
    );
    let roof = [(-half * 0.9, sill), (half * 0.9, sill), (half * 0.68, tall), (-half * 0.68, tall)];
    pen.polygon(&roof, shade(body, 1.08));
    pen.polygon(
        &[(-half * 0.8, sill), (half * 0.8, sill), (half * 0.62, tall - 0.1), (-half * 0.62, tall - 0.1)],
        glass,
    );
    pen.rect(-half, 0.25, half, 0.42, BUMPER);
    pen.rect(-0.26, 0.42, 0.26, 0.54, [0.9, 0.9, 0.85]);
    if view == View::Front {
        pen.rect(-half * 0.5, sill * 0.64, half * 0.5, sill * 0.8, [0.08, 0.08, 0.09]);
    } else {
        pen.line((-half * 0.9, sill * 0.95), (half * 0.9, sill * 0.95), 0.03, shade(body, 0.6));
    }
    lights(pen, view, half * 0.78, sill * 0.74, 0.11);
}

pub(super) fn bus(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, view: View) {
    let (body, glass) = (colour(rng), glass(rng));
    let stripe = shade(body, if rng.random_bool(0.5) { 0.55 } else { 1.5 });
    let tall = rng.random_range(2.8..3.2);
    let half = if view == View::Side { rng.random_range(3.6..4.8) } else { 1.25 };
    pen.shadow(half);
    pen.polygon(
        &[
            (-half, 0.3),
            (half, 0.3),
            (half, tall - 0.15),
            (half - 0.15, tall),
            (0.15 - half, tall),
            (-half, tall - 0.15),
        ],
        body,
    );
    pen.rect(-half, 0.75, half, 0.98, stripe);
    if view != View::Side {
        pen.rect(-half + 0.12, 1.25, half - 0.12, tall - 0.55, glass);
        pen.rect(-0.75, tall - 0.42, 0.75, tall - 0.12, [0.06, 0.06, 0.05]);
        pen.rect(-0.5, tall - 0.33, 0.5, tall - 0.2, [0.95, 0.65, 0.1]);
        pen.rect(-half, 0.3, half, 0.5, BUMPER);
        pen.line((0.0, 1.25), (0.0, tall - 0.55), 0.05, shade(body, 0.7));
        for u in [-half * 0.75, half * 0.75] {
            pen.rect(u - 0.16, 0.0, u + 0.16, 0.35, RUBBER);
        }
        return lights(pen, view, half * 0.8, 0.62, 0.13);
    }
    let panes = 5 + (half > 4.2) as usize;
    let pitch = (2.0 * half - 1.6) / panes as f32;
    for pane in 0..panes {
        let left = -half + 0.3 + pane as f32 * pitch;
        pen.rect(left, 1.3, left + pitch * 0.86, tall - 0.5, glass);
    }
    pen.rect(half - 0.95, 0.4, half - 0.25, tall - 0.5, shade(glass, 0.8));
    pen.line((half - 0.6, 0.4), (half - 0.6, tall - 0.5), 0.05, body);
    pen.rect(-half, 0.3, half, 0.42, BUMPER);
    wheel(pen, half * 0.58, 0.46);
    wheel(pen, -half * 0.55, 0.46);
    pen.lamp(half - 0.08, 0.65, 0.12, HEADLIGHT, 1.6);
    pen.lamp(0.08 - half, 0.75, 0.1, TAILLIGHT, 0.8);
}

pub(super) fn truck(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, view: View) {
    let (cab, load, glass) = (colour(rng), colour(rng), glass(rng));
    let tall = rng.random_range(2.7..3.4);
    if view != View::Side {
        return truck_end(pen, view, cab, load, glass, tall);
    }
    let half = rng.random_range(3.0..3.9);
    let back_of_cab = half - rng.random_range(1.5..1.9);
    let open = rng.random_bool(0.3);
    pen.shadow(half);
    pen.rect(-half, 0.55, back_of_cab + 0.3, 0.8, BUMPER);
    if open {
        pen.rect(-half, 0.8, back_of_cab - 0.15, 1.45, shade(load, 0.9));
        let heap = [(-half + 0.3, 1.45), (-half * 0.4, 2.1), (0.1, 2.25), (back_of_cab - 0.5, 1.45)];
        pen.polygon(&heap, [0.42, 0.33, 0.22]);
    } else {
        pen.rect(-half, 0.8, back_of_cab - 0.15, tall, load);
        for rib in 1..4 {
            let u = -half + (back_of_cab + half) * rib as f32 / 4.0;
            pen.line((u, 0.85), (u, tall - 0.05), 0.05, shade(load, 0.75));
        }
        pen.rect(-half, tall - 0.12, back_of_cab - 0.15, tall, shade(load, 0.8));
    }
    let top = tall.min(2.6);
    pen.polygon(
        &[(back_of_cab, 0.45), (half, 0.45), (half, 1.35), (half - 0.35, top), (back_of_cab, top)],
        cab,
    );
    pen.polygon(
        &[
            (back_of_cab + 0.35, 1.45),
            (half - 0.1, 1.45),
            (half - 0.42, top - 0.2),
            (back_of_cab + 0.35, top - 0.2),
        ],
        glass,
    );
    pen.rect(half - 0.5, 0.4, half + 0.04, 0.65, BUMPER);
    wheel(pen, half - 0.85, 0.48);
    wheel(pen, -half + 0.75, 0.48);
    wheel(pen, -half + 1.8, 0.48);
    pen.lamp(half - 0.08, 0.85, 0.11, HEADLIGHT, 1.6);
    pen.lamp(0.06 - half, 0.7, 0.09, TAILLIGHT, 0.8);
}

fn truck_end(pen: &mut Pen<'_>, view: View, cab: Rgb, load: Rgb, glass: Rgb, tall: f32) {
    let half = 1.2;
    pen.shadow(half);
    for u in [-half * 0.75, half * 0.75] {
        pen.rect(u - 0.2, 0.0, u + 0.2, 0.6, RUBBER);
    }
    pen.rect(-half, 0.8, half, tall, load);
    if view == View::Rear {
        pen.line((0.0, 0.85), (0.0, tall - 0.1), 0.06, shade(load, 0.6));
        pen.rect(-half, tall - 0.12, half, tall, shade(load, 0.75));
        for v in [1.2, 2.0] {
            pen.line((-half * 0.9, v), (half * 0.9, v), 0.04, shade(load, 0.7));
        }
    } else {
        let top = tall - 0.35;
        pen.polygon(&[(-1.1, 0.5), (1.1, 0.5), (1.1, 1.5), (0.98, top), (-0.98, top), (-1.1, 1.5)], cab);
        pen.polygon(&[(-1.0, 1.5), (1.0, 1.5), (0.9, top - 0.25), (-0.9, top - 0.25)], glass);
        pen.rect(-0.7, 0.75, 0.7, 1.3, [0.08, 0.08, 0.09]);
        for v in [0.9, 1.1] {
            pen.line((-0.65, v), (0.65, v), 0.05, RIM);
        }
    }
    pen.rect(-half, 0.42, half, 0.7, BUMPER);
    lights(pen, view, half * 0.75, 0.6, 0.12);
}

pub(super) fn bicycle(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng) {
    let frame = colour(rng);
    let r = rng.random_range(0.31..0.36);
    let (back, front, crank) = ((-0.53, r), (0.53, r), (-0.08, 0.30));
    let (seat, head) = ((-0.22, 0.82), (0.36, 0.80));
    pen.shadow(0.75);
    for (u, v) in [back, front] {
        pen.ring(u, v, r, r - 0.055, RUBBER);
        for spoke in 0..3 {
            let (sin, cos) = (spoke as f32 * 1.047).sin_cos();
            if pen.scale() > 30.0 {
                pen.line((u - cos * r, v - sin * r), (u + cos * r, v + sin * r), 0.008, RIM);
            }
        }
    }
    for (from, to) in [(back, crank), (crank, head), (seat, head), (crank, seat), (back, seat), (front, head)]
    {
        pen.line(from, to, 0.055, frame);
    }
    pen.line(head, (0.34, 0.98), 0.05, frame);
    pen.line((0.28, 1.0), (0.47, 0.97), 0.05, RUBBER);
    pen.line(seat, (-0.24, 0.92), 0.04, frame);
    pen.polygon(&[(-0.38, 0.96), (-0.38, 0.90), (-0.10, 0.93), (-0.12, 0.96)], RUBBER);
    pen.ellipse(crank.0, crank.1, 0.09, 0.09, BUMPER);
}

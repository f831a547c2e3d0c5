//! Traffic lights, signs, and what only stands in the way: trees, lamp posts, bushes, bins.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{colour, shade};
use crate::world::{pen::Pen, raster::Rgb};

const STEEL: Rgb = [0.38, 0.39, 0.41];
const RED: Rgb = [0.80, 0.07, 0.07];
const WHITE: Rgb = [0.92, 0.92, 0.90];
const BLUE: Rgb = [0.08, 0.25, 0.70];
const YELLOW: Rgb = [0.95, 0.78, 0.10];
const BLACK: Rgb = [0.05, 0.05, 0.05];

/// The head is the annotated thing; its post belongs to the backdrop.
pub(super) fn traffic_light(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, owner: u16) {
    let (low, half) = (rng.random_range(2.3..2.9), 0.27);
    pen.set_owner(0);
    pen.line((0.0, 0.0), (0.0, low), 0.13, STEEL);
    pen.set_owner(owner);
    let case = if rng.random_bool(0.3) { [0.70, 0.60, 0.08] } else { [0.09, 0.10, 0.10] };
    pen.rect(-half, low, half, low + 1.35, case);
    let lit = rng.random_range(0..3);
    let lamps = [[0.10, 0.95, 0.45], [1.0, 0.72, 0.10], [1.0, 0.12, 0.08]];
    for (i, rgb) in lamps.into_iter().enumerate() {
        let v = low + 0.25 + 0.425 * i as f32;
        if i == lit {
            pen.lamp(0.0, v, 0.17, rgb, 1.2);
        } else {
            pen.ellipse(0.0, v, 0.17, 0.17, shade(rgb, 0.22));
        }
    }
}

/// The plate is the annotated thing; its post belongs to the backdrop.
pub(super) fn sign(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, owner: u16) {
    let (v, r) = (rng.random_range(2.0..2.5), rng.random_range(0.38..0.48));
    pen.set_owner(0);
    pen.line((0.0, 0.0), (0.0, v), 0.08, STEEL);
    pen.set_owner(owner);
    match rng.random_range(0..5) {
        0 => {
            pen.ellipse(0.0, v, r, r, RED);
            pen.ellipse(0.0, v, r * 0.75, r * 0.75, WHITE);
            pen.rect(-r * 0.35, v - r * 0.3, -r * 0.08, v + r * 0.3, BLACK);
            pen.ring(r * 0.25, v, r * 0.28, r * 0.12, BLACK);
        }
        1 => {
            pen.ellipse(0.0, v, r, r, RED);
            pen.rect(-r * 0.7, v - r * 0.16, r * 0.7, v + r * 0.16, WHITE);
        }
        2 => {
            pen.polygon(&[(-r, v - r * 0.8), (r, v - r * 0.8), (0.0, v + r)], RED);
            pen.polygon(&[(-r * 0.62, v - r * 0.58), (r * 0.62, v - r * 0.58), (0.0, v + r * 0.6)], WHITE);
            pen.rect(-r * 0.08, v - r * 0.4, r * 0.08, v + r * 0.2, BLACK);
        }
        3 => {
            pen.ellipse(0.0, v, r, r, BLUE);
            pen.line((-r * 0.4, v), (r * 0.5, v), r * 0.22, WHITE);
            pen.polygon(&[(r * 0.75, v), (r * 0.3, v + r * 0.38), (r * 0.3, v - r * 0.38)], WHITE);
        }
        _ => {
            pen.polygon(&[(0.0, v - r), (r, v), (0.0, v + r), (-r, v)], WHITE);
            pen.polygon(&[(0.0, v - r * 0.75), (r * 0.75, v), (0.0, v + r * 0.75), (-r * 0.75, v)], YELLOW);
        }
    }
}

pub(super) fn tree(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng) {
    let trunk = rng.random_range(1.8..2.8);
    let leaf = [rng.random_range(0.10..0.32), rng.random_range(0.28..0.45), rng.random_range(0.06..0.16)];
    pen.shadow(0.9);
    pen.polygon(&[(-0.16, 0.0), (0.16, 0.0), (0.09, trunk + 0.5), (-0.09, trunk + 0.5)], [0.28, 0.20, 0.13]);
    for blob in 0..14 {
        let (u, v) = (rng.random_range(-1.0..1.0_f32), rng.random_range(0.0..2.2));
        let r = rng.random_range(0.45..0.85);
        let gain = 0.65 + 0.035 * blob as f32;
        pen.ellipse(u * (1.2 - 0.3 * v), trunk + 0.3 + v, r, r * 0.85, shade(leaf, gain));
    }
}

pub(super) fn lamp_post(pen: &mut Pen<'_>) {
    pen.line((0.0, 0.0), (0.0, 4.6), 0.10, STEEL);
    pen.line((0.0, 4.6), (0.9, 4.8), 0.08, STEEL);
    pen.rect(0.6, 4.72, 1.1, 4.86, shade(STEEL, 0.7));
    if pen.light.lamps > 0.3 {
        pen.lamp(0.85, 4.7, 0.14, [1.0, 0.88, 0.60], 2.0);
    }
}

pub(super) fn bush(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng) {
    let leaf = [rng.random_range(0.10..0.28), rng.random_range(0.25..0.40), 0.10];
    for _ in 0..7 {
        let (u, v) = (rng.random_range(-0.7..0.7), rng.random_range(0.15..0.5));
        pen.ellipse(u, v, rng.random_range(0.25..0.42), 0.28, shade(leaf, rng.random_range(0.7..1.2)));
    }
}

pub(super) fn bin(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng) {
    let body = shade(colour(rng), 0.7);
    pen.shadow(0.3);
    pen.polygon(&[(-0.22, 0.0), (0.22, 0.0), (0.27, 0.9), (-0.27, 0.9)], body);
    pen.rect(-0.30, 0.9, 0.30, 1.0, shade(body, 0.6));
}

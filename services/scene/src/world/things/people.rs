//! People and dogs.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{colour, shade};
use crate::world::{pen::Pen, raster::Rgb};

fn skin(rng: &mut ChaCha8Rng) -> Rgb {
    let gain = rng.random_range(0.38..1.05);
    [0.88 * gain, 0.66 * gain, 0.52 * gain]
}

fn hair(rng: &mut ChaCha8Rng) -> Rgb {
    const HAIR: [Rgb; 4] = [[0.08, 0.06, 0.05], [0.30, 0.18, 0.09], [0.62, 0.48, 0.22], [0.55, 0.54, 0.53]];
    HAIR[rng.random_range(0..HAIR.len())]
}

/// Somebody on foot; `stride` from -1 to 1 is the phase of the step.
pub(super) fn person(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, stride: f32) {
    let tall = rng.random_range(1.55..1.9_f32);
    let wide = rng.random_range(0.9..1.2_f32) * tall / 1.75;
    let (shirt, trousers, skin, hair) = (colour(rng), shade(colour(rng), 0.6), skin(rng), hair(rng));
    let (hip, neck) = (tall * 0.50, tall * 0.83);
    let skirt = rng.random_bool(0.25);
    pen.shadow(0.32 * wide);
    for side in [-1.0, 1.0] {
        let foot = side * (0.07 + 0.20 * stride.abs()) * wide;
        pen.line((side * 0.08 * wide, hip), (foot, 0.05), 0.15 * wide, if skirt { skin } else { trousers });
        pen.line((foot - 0.04, 0.04), (foot + 0.13 * wide, 0.04), 0.09, [0.10, 0.08, 0.07]);
    }
    if skirt {
        pen.polygon(
            &[(-0.14, hip + 0.1), (0.14, hip + 0.1), (0.26 * wide, hip * 0.6), (-0.26 * wide, hip * 0.6)],
            trousers,
        );
    }
    let swing = stride * 0.22 * wide;
    pen.line((-0.19 * wide, neck - 0.08), (-0.24 * wide - swing, hip), 0.10 * wide, shade(shirt, 0.8));
    pen.polygon(
        &[
            (-0.17 * wide, hip - 0.04),
            (0.17 * wide, hip - 0.04),
            (0.22 * wide, neck - 0.06),
            (0.1 * wide, neck),
            (-0.1 * wide, neck),
            (-0.22 * wide, neck - 0.06),
        ],
        shirt,
    );
    pen.line((0.19 * wide, neck - 0.08), (0.24 * wide + swing, hip), 0.10 * wide, shade(shirt, 0.9));
    pen.ellipse(0.24 * wide + swing, hip - 0.03, 0.05, 0.06, skin);
    pen.rect(-0.05, neck - 0.02, 0.05, neck + 0.06, skin);
    head(pen, (0.0, tall - 0.13), skin, hair);
    if rng.random_bool(0.25) {
        let bag = colour(rng);
        pen.polygon(
            &[
                (-0.34 * wide, hip - 0.1),
                (-0.14 * wide, hip - 0.1),
                (-0.16 * wide, hip + 0.2),
                (-0.32 * wide, hip + 0.2),
            ],
            bag,
        );
    }
}

fn head(pen: &mut Pen<'_>, (u, v): (f32, f32), skin: Rgb, hair: Rgb) {
    pen.ellipse(u, v + 0.02, 0.115, 0.135, hair);
    pen.ellipse(u + 0.025, v - 0.025, 0.09, 0.105, skin);
}

/// Somebody on the bicycle that was just drawn.
pub(super) fn rider(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, seconds: f32) {
    let (shirt, trousers, skin, hair) = (colour(rng), shade(colour(rng), 0.6), skin(rng), hair(rng));
    let (hip, shoulder) = ((-0.22, 0.98), (0.02, 1.45));
    for side in [0.0, std::f32::consts::PI] {
        let (sin, cos) = (seconds * 6.0 + side).sin_cos();
        let pedal = (-0.08 + 0.15 * cos, 0.32 + 0.15 * sin);
        let knee = ((hip.0 + pedal.0) / 2.0 + 0.24, (hip.1 + pedal.1) / 2.0 + 0.06);
        pen.line(hip, knee, 0.16, trousers);
        pen.line(knee, pedal, 0.12, shade(trousers, 0.9));
        pen.line((pedal.0 - 0.05, pedal.1 - 0.03), (pedal.0 + 0.13, pedal.1 - 0.03), 0.08, [0.08; 3]);
    }
    pen.line(hip, shoulder, 0.28, shirt);
    pen.line((shoulder.0 + 0.03, shoulder.1 - 0.06), (0.36, 1.02), 0.09, shade(shirt, 0.85));
    if rng.random_bool(0.5) {
        head(pen, (0.11, 1.64), skin, hair);
    } else {
        head(pen, (0.11, 1.64), skin, colour(rng));
    }
}

pub(super) fn dog(pen: &mut Pen<'_>, rng: &mut ChaCha8Rng, stride: f32) {
    const COATS: [Rgb; 5] =
        [[0.45, 0.28, 0.14], [0.12, 0.10, 0.09], [0.82, 0.74, 0.60], [0.65, 0.45, 0.22], [0.85, 0.84, 0.82]];
    let coat = COATS[rng.random_range(0..COATS.len())];
    let size = rng.random_range(0.85..1.25_f32);
    let p = |u: f32, v: f32| (u * size, v * size);
    pen.shadow(0.45 * size);
    for (i, u) in [-0.30, -0.22, 0.22, 0.30].into_iter().enumerate() {
        let swing = if i % 2 == 0 { stride } else { -stride } * 0.08;
        let leg = if i % 2 == 0 { shade(coat, 0.75) } else { coat };
        pen.line(p(u, 0.36), p(u + swing, 0.0), 0.085 * size, leg);
    }
    pen.ellipse(0.0, 0.42 * size, 0.38 * size, 0.145 * size, coat);
    pen.line(p(-0.33, 0.45), p(-0.50, 0.66), 0.06 * size, coat);
    pen.line(p(0.28, 0.46), p(0.40, 0.66), 0.16 * size, coat);
    pen.ellipse(0.44 * size, 0.68 * size, 0.125 * size, 0.105 * size, coat);
    pen.rect(0.46 * size, 0.60 * size, 0.63 * size, 0.69 * size, shade(coat, 0.85));
    pen.ellipse(0.62 * size, 0.67 * size, 0.03 * size, 0.03 * size, [0.03; 3]);
    pen.polygon(&[p(0.34, 0.76), p(0.42, 0.74), p(0.33, 0.56), p(0.29, 0.62)], shade(coat, 0.6));
    if rng.random_bool(0.6) {
        let collar = colour(rng);
        pen.line(p(0.30, 0.58), p(0.43, 0.53), 0.05 * size, collar);
    }
}

//! What nothing stands behind: sky, buildings, road, pavement and their marks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    pen::{Camera, Light},
    raster::{Canvas, Owner, Paint, Rgb},
};

const FARTHEST_M: f32 = 70.0;
const NEAREST_M: f32 = 1.2;
const MARK: Rgb = [0.80, 0.80, 0.76];
const LIT_WINDOW: Rgb = [0.95, 0.80, 0.45];

/// How road and buildings lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// The road crosses the view: lanes from far to near, edge of the near pavement, buildings; metres away.
    Across { lanes: [f32; 2], near: f32, wall: f32 },
    /// The road leads away: half its width, and buildings, metres to each side.
    Along { road: f32, wall: f32 },
}

/// The backdrop of one street.
pub(super) struct Backdrop {
    layout: Layout,
    sky: (Rgb, Rgb),
    road: Rgb,
    pavement: Rgb,
    look: u64,
}

/// A wall in the street's coordinates: from one ground point to another, and how high.
struct Wall {
    from: (f32, f32),
    to: (f32, f32),
    high: f32,
}

impl Backdrop {
    pub(super) fn new(rng: &mut ChaCha8Rng, layout: Layout) -> Self {
        let grey = rng.random_range(0.20..0.36);
        let stone = rng.random_range(0.45..0.65);
        let cloudy = rng.random_range(0.0..1.0);
        let top: Rgb = [0.25 + 0.4 * cloudy, 0.45 + 0.25 * cloudy, 0.85 - 0.1 * cloudy];
        Self {
            layout,
            sky: (top, [0.78, 0.84, 0.90]),
            road: [grey, grey, grey * 1.05],
            pavement: [stone, stone * 0.97, stone * 0.92],
            look: rng.random(),
        }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let rng = &mut ChaCha8Rng::seed_from_u64(self.look);
        let horizon = camera.horizon_y;
        canvas.gradient(0.0, horizon, light.on(self.sky.0), light.on(self.sky.1));
        self.clouds(canvas, camera, light, rng);
        let bottom = canvas.height as f32;
        canvas.gradient(horizon, bottom, light.on(self.pavement), light.on(self.pavement));
        match self.layout {
            Layout::Across { lanes, near, wall } => {
                self.across(canvas, camera, light, rng, lanes, near, wall)
            }
            Layout::Along { road, wall } => self.along(canvas, camera, light, rng, road, wall),
        }
    }

    fn clouds(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, rng: &mut ChaCha8Rng) {
        let (width, horizon) = (canvas.width as f32, camera.horizon_y);
        for _ in 0..rng.random_range(0..6) {
            let x = camera.centre_x + rng.random_range(-0.7..0.7) * width;
            let y = rng.random_range(0.05..0.6) * horizon;
            for _ in 0..4 {
                let (dx, r) = (rng.random_range(-0.08..0.08) * width, rng.random_range(0.03..0.08) * width);
                canvas.ellipse(x + dx, y, r * 1.6, r * 0.55, &flat(light.on([0.92; 3]), 0.45));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the numbers of one layout")]
    fn across(
        &self,
        canvas: &mut Canvas,
        camera: &Camera,
        light: &Light,
        rng: &mut ChaCha8Rng,
        lanes: [f32; 2],
        near: f32,
        wall: f32,
    ) {
        let mut x = -wall * 1.6;
        while x < wall * 1.6 {
            let wide = rng.random_range(5.0..11.0);
            let high = rng.random_range(5.0..14.0);
            self::wall(canvas, camera, light, rng, &Wall { from: (x, wall), to: (x + wide, wall), high });
            x += wide + if rng.random_bool(0.25) { rng.random_range(1.0..5.0) } else { 0.0 };
        }
        let far = lanes[0] + 2.0;
        let row = |z: f32| camera.project(0.0, 0.0, z).1;
        canvas.gradient(row(far), row(near), light.on(self.road), light.on(self.road));
        for (z, high) in [(far, 0.12), (near, -0.15)] {
            canvas.gradient(row(z) - 1.0, row(z + high) + 1.0, light.on([0.70; 3]), light.on([0.55; 3]));
        }
        let middle = (lanes[0] + lanes[1]) / 2.0;
        let shift = rng.random_range(0.0..3.0);
        for dash in -10..10 {
            let x = dash as f32 * 3.0 + shift;
            ground(canvas, camera, (x, x + 1.5), (middle - 0.09, middle + 0.09), &flat(light.on(MARK), 0.9));
        }
        if rng.random_bool(0.3) {
            let start = rng.random_range(-4.0..3.0);
            for bar in 0..5 {
                let x = start + bar as f32 * 0.9;
                ground(canvas, camera, (x, x + 0.5), (near + 0.3, far - 0.3), &flat(light.on(MARK), 0.85));
            }
        }
        self.slabs(canvas, camera, light, near);
        stains(canvas, camera, rng, wall);
    }

    fn along(
        &self,
        canvas: &mut Canvas,
        camera: &Camera,
        light: &Light,
        rng: &mut ChaCha8Rng,
        road: f32,
        wall: f32,
    ) {
        for side in [-1.0, 1.0] {
            let mut z = NEAREST_M;
            let mut walls = Vec::new();
            while z < FARTHEST_M {
                let deep = rng.random_range(5.0..12.0);
                let high = rng.random_range(4.5..11.0);
                walls.push(Wall { from: (side * wall, z), to: (side * wall, z + deep), high });
                z += deep + if rng.random_bool(0.25) { rng.random_range(1.0..5.0) } else { 0.0 };
            }
            for far_first in walls.iter().rev() {
                self::wall(canvas, camera, light, rng, far_first);
            }
        }
        let depths = (NEAREST_M, 400.0);
        ground(canvas, camera, (-road, road), depths, &flat(light.on(self.road), 1.0));
        for side in [-1.0, 1.0] {
            let edge = side * road;
            ground(canvas, camera, (edge - 0.08, edge + 0.12), depths, &flat(light.on([0.68; 3]), 1.0));
        }
        let shift = rng.random_range(0.0..4.0);
        for dash in 0..14 {
            let z = NEAREST_M + dash as f32 * 4.0 + shift;
            ground(canvas, camera, (-0.08, 0.08), (z, z + 2.0), &flat(light.on(MARK), 0.9));
        }
        if rng.random_bool(0.3) {
            let z = rng.random_range(5.0..12.0);
            let mut x = -road + 0.3;
            while x < road - 0.5 {
                ground(canvas, camera, (x, x + 0.5), (z, z + 2.5), &flat(light.on(MARK), 0.85));
                x += 1.0;
            }
        }
        stains(canvas, camera, rng, 20.0);
    }

    /// Joints of the near pavement.
    fn slabs(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, near: f32) {
        let joint = flat(light.on(self.pavement.map(|v| v * 0.8)), 0.6);
        for i in -8..8 {
            let x = i as f32 * 0.9;
            ground(canvas, camera, (x, x + 0.03), (NEAREST_M, near - 0.15), &joint);
        }
        for i in 1..6 {
            let z = near - i as f32 * 0.9;
            if z > NEAREST_M {
                ground(canvas, camera, (-12.0, 12.0), (z, z + 0.03), &joint);
            }
        }
    }
}

fn flat(rgb: Rgb, alpha: f32) -> Paint {
    Paint { rgb, alpha, slope: 0.0, middle_x: 0.0, owner: Owner::Thing(0) }
}

/// A rectangle on the ground.
fn ground(canvas: &mut Canvas, camera: &Camera, x: (f32, f32), z: (f32, f32), paint: &Paint) {
    let corner = |x, z| camera.project(x, 0.0, z);
    canvas.polygon(&[corner(x.0, z.0), corner(x.1, z.0), corner(x.1, z.1), corner(x.0, z.1)], paint);
}

/// Patches of other asphalt, manholes, dirt.
fn stains(canvas: &mut Canvas, camera: &Camera, rng: &mut ChaCha8Rng, farthest: f32) {
    for _ in 0..18 {
        let z = rng.random_range(3.0..farthest);
        let x = rng.random_range(-0.7..0.7) * z;
        let (px, py) = camera.project(x, 0.0, z);
        let scale = camera.focal_px / z;
        let (wide, gain) = (rng.random_range(0.15..0.9) * scale, rng.random_range(0.0..0.6));
        let paint = flat([gain; 3], rng.random_range(0.04..0.14));
        canvas.ellipse(px, py, wide, wide * rng.random_range(0.1..0.25), &paint);
    }
}

/// A building's front: plaster, plinth, rows of windows, now and then a door or a shop.
fn wall(canvas: &mut Canvas, camera: &Camera, light: &Light, rng: &mut ChaCha8Rng, wall: &Wall) {
    let warm = rng.random_range(0.0..1.0_f32);
    let gain = rng.random_range(0.45..1.0_f32);
    let plaster = [(0.62 + 0.2 * warm) * gain, (0.60 + 0.05 * warm) * gain, (0.62 - 0.2 * warm) * gain];
    // Walls beside the road are in the shade or in the sun.
    let facing = if wall.from.0 == wall.to.0 { 1.0 - 0.2 * light.sun * wall.from.0.signum() } else { 1.0 };
    let plaster = light.on(plaster.map(|v| v * facing));
    let point = |share: f32, up: f32| {
        let x = wall.from.0 + (wall.to.0 - wall.from.0) * share;
        camera.project(x, up, wall.from.1 + (wall.to.1 - wall.from.1) * share)
    };
    let panel = |canvas: &mut Canvas, s0: f32, s1: f32, v0: f32, v1: f32, rgb: Rgb| {
        canvas.polygon(&[point(s0, v0), point(s1, v0), point(s1, v1), point(s0, v1)], &flat(rgb, 1.0));
    };
    panel(canvas, 0.0, 1.0, 0.0, wall.high, plaster);
    panel(canvas, 0.0, 1.0, wall.high - 0.3, wall.high, plaster.map(|v| v * 0.7));
    panel(canvas, 0.0, 1.0, 0.0, 0.5, plaster.map(|v| v * 0.75));
    let length = (wall.to.0 - wall.from.0).hypot(wall.to.1 - wall.from.1);
    let columns = (length / 2.0).max(1.0) as usize;
    let door = rng.random_range(0..columns);
    let glass = light.on([0.22, 0.26, 0.32]);
    for floor in 0..((wall.high - 0.8) / 2.8) as usize {
        for column in 0..columns {
            let low = 1.0 + floor as f32 * 2.8;
            let left = (column as f32 + 0.25) / columns as f32;
            let right = (column as f32 + 0.75) / columns as f32;
            let lit = rng.random_range(0.0..1.0) < 0.45 * light.lamps;
            let rgb = if lit { LIT_WINDOW.map(|v| v * 0.8) } else { glass };
            if floor == 0 && column == door {
                panel(canvas, left, right, 0.0, 2.3, light.on([0.28, 0.18, 0.12]));
            } else {
                panel(canvas, left, right, low, low + 1.5, plaster.map(|v| v * 1.15));
                panel(canvas, left + 0.01, right - 0.01, low + 0.08, low + 1.42, rgb);
            }
        }
    }
}

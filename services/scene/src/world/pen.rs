//! Camera and pen: from metres in the street to pixels on the canvas, under the light of the hour.

use super::raster::{Canvas, Owner, Paint, Rgb};

/// Brightness and colour of the hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Light {
    /// What multiplies every surface's colour.
    pub(super) tint: Rgb,
    /// Sun from the left (-1) to the right (1): that side of each thing is brighter.
    pub(super) sun: f32,
    /// How strong shadows are, 0 to 1.
    pub(super) shadow: f32,
    /// How bright lamps shine, 0 by day to 1 at night.
    pub(super) lamps: f32,
}

impl Light {
    pub(super) fn on(&self, rgb: Rgb) -> Rgb {
        std::array::from_fn(|c| rgb[c] * self.tint[c])
    }
}

/// A pinhole camera at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Camera {
    /// Pixels per metre at one metre.
    pub(super) focal_px: f32,
    /// Metres above the ground.
    pub(super) height_m: f32,
    /// Where the axis meets the canvas.
    pub(super) centre_x: f32,
    /// Row of the horizon.
    pub(super) horizon_y: f32,
}

impl Camera {
    /// The pixel of a point `x` metres to the right, `up` metres above the ground, `z` metres away.
    pub(super) fn project(&self, x: f32, up: f32, z: f32) -> (f32, f32) {
        let scale = self.focal_px / z.max(0.5);
        (self.centre_x + x * scale, self.horizon_y + (self.height_m - up) * scale)
    }
}

/// Draws in a thing's own metres: `u` to the right of its middle, `v` up from where it stands.
pub(super) struct Pen<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) light: Light,
    origin: (f32, f32),
    scale: f32,
    mirror: f32,
    owner: Owner,
    slope: f32,
}

impl<'a> Pen<'a> {
    /// A pen for a thing standing at `x`, `z`; `mirror` is -1 for one that faces left.
    pub(super) fn new(
        canvas: &'a mut Canvas,
        light: Light,
        camera: &Camera,
        (x, z): (f32, f32),
        mirror: f32,
        owner: u16,
    ) -> Self {
        let scale = camera.focal_px / z;
        let slope = light.sun * 0.09 / scale;
        let origin = camera.project(x, 0.0, z);
        Self { canvas, light, origin, scale, mirror, owner: Owner::Thing(owner), slope }
    }

    /// From now on paints for another thing at the same place.
    pub(super) fn set_owner(&mut self, owner: u16) {
        self.owner = Owner::Thing(owner);
    }

    /// Pixels per metre.
    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    fn at(&self, u: f32, v: f32) -> (f32, f32) {
        (self.origin.0 + u * self.mirror * self.scale, self.origin.1 - v * self.scale)
    }

    fn paint(&self, rgb: Rgb, alpha: f32, owner: Owner) -> Paint {
        Paint { rgb, alpha, slope: self.slope, middle_x: self.origin.0, owner }
    }

    fn surface(&self, rgb: Rgb) -> Paint {
        self.paint(self.light.on(rgb), 1.0, self.owner)
    }

    pub(super) fn polygon(&mut self, corners: &[(f32, f32)], rgb: Rgb) {
        let mut pixels = [(0.0, 0.0); 16];
        let corners = &corners[..corners.len().min(pixels.len())];
        for (pixel, &(u, v)) in pixels.iter_mut().zip(corners) {
            *pixel = self.at(u, v);
        }
        let paint = self.surface(rgb);
        self.canvas.polygon(&pixels[..corners.len()], &paint);
    }

    pub(super) fn rect(&mut self, u0: f32, v0: f32, u1: f32, v1: f32, rgb: Rgb) {
        self.polygon(&[(u0, v0), (u1, v0), (u1, v1), (u0, v1)], rgb);
    }

    pub(super) fn ellipse(&mut self, u: f32, v: f32, ru: f32, rv: f32, rgb: Rgb) {
        let ((x, y), paint) = (self.at(u, v), self.surface(rgb));
        self.canvas.ellipse(x, y, ru * self.scale, rv * self.scale, &paint);
    }

    pub(super) fn ring(&mut self, u: f32, v: f32, outer: f32, inner: f32, rgb: Rgb) {
        let ((x, y), paint) = (self.at(u, v), self.surface(rgb));
        let outer = outer * self.scale;
        // Never thinner than a pixel, or far wheels would vanish.
        self.canvas.ring(x, y, outer, (inner * self.scale).min(outer - 1.0), &paint);
    }

    /// A straight limb or bar, at least a pixel thick.
    pub(super) fn line(&mut self, from: (f32, f32), to: (f32, f32), thick: f32, rgb: Rgb) {
        let (ax, ay) = self.at(from.0, from.1);
        let (bx, by) = self.at(to.0, to.1);
        let half = (thick * self.scale).max(1.0) / 2.0;
        let length = (bx - ax).hypot(by - ay).max(1e-3);
        let (nx, ny) = ((ay - by) / length * half, (bx - ax) / length * half);
        let paint = self.surface(rgb);
        let corners = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)];
        self.canvas.polygon(&corners, &paint);
    }

    /// A lamp: its colour at full brightness whatever the hour, with a halo when it is dark.
    pub(super) fn lamp(&mut self, u: f32, v: f32, r: f32, rgb: Rgb, halo: f32) {
        let ((x, y), r) = (self.at(u, v), r * self.scale);
        let core = self.paint(rgb, 1.0, self.owner);
        self.canvas.ellipse(x, y, r, r, &core);
        for (spread, alpha) in [(1.8, 0.22), (3.2, 0.10)] {
            let alpha = alpha * halo * self.light.lamps;
            if alpha > 0.01 {
                let glow = self.paint(rgb, alpha, Owner::Unchanged);
                self.canvas.ellipse(x, y, r * spread, r * spread, &glow);
            }
        }
    }

    /// The shadow on the ground of something `half` metres to each side.
    pub(super) fn shadow(&mut self, half: f32) {
        let (x, y) = self.origin;
        let shift = -self.light.sun * half * 0.35 * self.scale;
        let shade = self.paint([0.02; 3], 0.55 * self.light.shadow, Owner::Unchanged);
        let flat = (half * 0.13 * self.scale).max(1.0);
        self.canvas.ellipse(x + shift, y, half * 1.12 * self.scale, flat, &shade);
    }
}

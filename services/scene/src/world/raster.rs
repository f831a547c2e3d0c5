//! A small rasteriser: polygons, ellipses and rings with anti-aliased edges on a float canvas.
//!
//! It also keeps, per pixel, which thing owns it, so that what stays visible of each is known exactly.

/// Lines per pixel row at which edges are sampled; along a line, coverage is exact.
const LINES_PER_ROW: usize = 3;
/// Share of a pixel that a shape must cover to own it. Low, so that thin frames and legs count.
const OWNING_COVERAGE: f32 = 0.35;

/// Red, green, blue; 1 is the white of a picture in daylight.
pub(super) type Rgb = [f32; 3];

/// Whose pixels a shape paints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Owner {
    /// Glow or shadow: the pixel stays with whom it was.
    Unchanged,
    /// The thing of this number; 0 is the backdrop.
    Thing(u16),
}

/// How a shape is filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) rgb: Rgb,
    pub(super) alpha: f32,
    /// Brightness gained per pixel to the right of `middle_x`: the side towards the sun.
    pub(super) slope: f32,
    pub(super) middle_x: f32,
    pub(super) owner: Owner,
}

/// Where a thing is seen: pixels, `x1` and `y1` exclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    pub(super) x0: u32,
    pub(super) y0: u32,
    pub(super) x1: u32,
    pub(super) y1: u32,
    /// Pixels owned.
    pub(super) pixels: u32,
}

/// The picture being painted.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `height * width * 3` floats.
    pub(super) rgb: Vec<f32>,
    owners: Vec<u16>,
    pixels_of: Vec<u32>,
    /// Corners of all that was drawn of each thing, also outside the canvas: x0, y0, x1, y1.
    outlines: Vec<[f32; 4]>,
    /// Differences of coverage along the current row.
    steps: Vec<f32>,
    crossings: Vec<f32>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, things: usize) -> Self {
        let mut pixels_of = vec![0; things + 1];
        pixels_of[0] = (width * height) as u32;
        Self {
            width,
            height,
            rgb: vec![0.0; width * height * 3],
            owners: vec![0; width * height],
            outlines: vec![[f32::MAX, f32::MAX, f32::MIN, f32::MIN]; things + 1],
            pixels_of,
            steps: vec![0.0; width + 2],
            crossings: Vec::with_capacity(16),
        }
    }

    /// Pixels that a thing owns now.
    pub(super) fn pixels_of(&self, thing: u16) -> u32 {
        self.pixels_of[usize::from(thing)]
    }

    /// Share of a thing's outline that lies on the canvas, 0 to 1.
    pub(super) fn share_inside(&self, thing: u16) -> f32 {
        let [x0, y0, x1, y1] = self.outlines[usize::from(thing)];
        let inside = |low: f32, high: f32, side: usize| (high.min(side as f32) - low.max(0.0)).max(0.0);
        let area = (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
        if area > 0.0 { inside(x0, x1, self.width) * inside(y0, y1, self.height) / area } else { 0.0 }
    }

    fn widen_outline(&mut self, owner: Owner, [x0, y0, x1, y1]: [f32; 4]) {
        if let Owner::Thing(thing) = owner {
            let outline = &mut self.outlines[usize::from(thing)];
            *outline = [outline[0].min(x0), outline[1].min(y0), outline[2].max(x1), outline[3].max(y1)];
        }
    }

    /// Fills whole rows `y0..y1` with a vertical gradient.
    pub(super) fn gradient(&mut self, y0: f32, y1: f32, top: Rgb, bottom: Rgb) {
        let first = y0.round().clamp(0.0, self.height as f32) as usize;
        let last = y1.round().clamp(0.0, self.height as f32) as usize;
        for y in first..last {
            let share = ((y as f32 + 0.5 - y0) / (y1 - y0).max(1.0)).clamp(0.0, 1.0);
            let rgb: Rgb = std::array::from_fn(|c| top[c] + (bottom[c] - top[c]) * share);
            let row = &mut self.rgb[y * self.width * 3..(y + 1) * self.width * 3];
            for pixel in row.chunks_exact_mut(3) {
                pixel.copy_from_slice(&rgb);
            }
        }
    }

    /// Fills a polygon given by its corners, by the even-odd rule.
    pub(super) fn polygon(&mut self, corners: &[(f32, f32)], paint: &Paint) {
        let [x0, low, x1, high] =
            corners.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |[x0, y0, x1, y1], &(x, y)| {
                [x0.min(x), y0.min(y), x1.max(x), y1.max(y)]
            });
        self.widen_outline(paint.owner, [x0, low, x1, high]);
        let mut crossings = std::mem::take(&mut self.crossings);
        self.rows(low, high, paint, |y, add| {
            crossings.clear();
            for (i, &(ax, ay)) in corners.iter().enumerate() {
                let (bx, by) = corners[(i + 1) % corners.len()];
                if (ay <= y) != (by <= y) {
                    crossings.push(ax + (bx - ax) * (y - ay) / (by - ay));
                }
            }
            crossings.sort_unstable_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                add(pair[0], pair[1]);
            }
        });
        self.crossings = crossings;
    }

    /// Fills an ellipse about (`x`, `y`).
    pub(super) fn ellipse(&mut self, x: f32, y: f32, rx: f32, ry: f32, paint: &Paint) {
        self.widen_outline(paint.owner, [x - rx, y - ry, x + rx, y + ry]);
        self.rows(y - ry, y + ry, paint, |line, add| {
            let half = half_width(line - y, rx, ry);
            if half > 0.0 {
                add(x - half, x + half);
            }
        });
    }

    /// Fills what lies between a circle and a smaller one about the same point.
    pub(super) fn ring(&mut self, x: f32, y: f32, outer: f32, inner: f32, paint: &Paint) {
        self.widen_outline(paint.owner, [x - outer, y - outer, x + outer, y + outer]);
        self.rows(y - outer, y + outer, paint, |line, add| {
            let (out, hole) = (half_width(line - y, outer, outer), half_width(line - y, inner, inner));
            if hole > 0.0 {
                add(x - out, x - hole);
                add(x + hole, x + out);
            } else if out > 0.0 {
                add(x - out, x + out);
            }
        });
    }

    /// Walks the rows from `low` to `high`; `spans` says for a line which spans of it are inside.
    fn rows(
        &mut self,
        low: f32,
        high: f32,
        paint: &Paint,
        mut spans: impl FnMut(f32, &mut dyn FnMut(f32, f32)),
    ) {
        let first = low.floor().clamp(0.0, self.height as f32) as usize;
        let last = high.ceil().clamp(0.0, self.height as f32) as usize;
        let width = self.width as f32;
        for row in first..last {
            let (mut left, mut right) = (self.width, 0);
            for line in 0..LINES_PER_ROW {
                let y = row as f32 + (line as f32 + 0.5) / LINES_PER_ROW as f32;
                let steps = &mut self.steps;
                spans(y, &mut |from, to| {
                    let (from, to) = (from.clamp(0.0, width), to.clamp(0.0, width));
                    if from < to {
                        step(steps, from, 1.0 / LINES_PER_ROW as f32);
                        step(steps, to, -1.0 / LINES_PER_ROW as f32);
                        left = left.min(from as usize);
                        right = right.max((to.ceil() as usize).min(width as usize));
                    }
                });
            }
            if left < right {
                self.blend(row, left, right, paint);
            }
        }
    }

    /// Paints one row by the coverage collected in `steps`, and clears it.
    fn blend(&mut self, row: usize, left: usize, right: usize, paint: &Paint) {
        let start = row * self.width;
        let pixels = self.rgb[(start + left) * 3..(start + right) * 3].chunks_exact_mut(3);
        let owners = &mut self.owners[start + left..start + right];
        let mut covered = 0.0;
        for (i, (pixel, owner)) in pixels.zip(owners).enumerate() {
            covered += std::mem::take(&mut self.steps[left + i]);
            let alpha = covered.min(1.0) * paint.alpha;
            let shade = 1.0 + paint.slope * ((left + i) as f32 - paint.middle_x);
            for (value, target) in pixel.iter_mut().zip(paint.rgb) {
                *value += (target * shade - *value) * alpha;
            }
            if let Owner::Thing(thing) = paint.owner
                && covered >= OWNING_COVERAGE
                && *owner != thing
            {
                self.pixels_of[usize::from(*owner)] -= 1;
                self.pixels_of[usize::from(thing)] += 1;
                *owner = thing;
            }
        }
        self.steps[right] = 0.0;
        self.steps[right + 1] = 0.0;
    }

    /// Where each thing is seen; `None` for one that is not.
    pub(super) fn extents(&self) -> Vec<Option<Extent>> {
        let mut extents: Vec<Option<Extent>> = vec![None; self.pixels_of.len()];
        for (y, row) in self.owners.chunks_exact(self.width).enumerate() {
            for (x, &owner) in row.iter().enumerate().filter(|&(_, &owner)| owner != 0) {
                let (x, y) = (x as u32, y as u32);
                let extent = extents[usize::from(owner)].get_or_insert(Extent {
                    x0: x,
                    y0: y,
                    x1: x,
                    y1: y,
                    pixels: 0,
                });
                extent.x0 = extent.x0.min(x);
                extent.x1 = extent.x1.max(x + 1);
                extent.y1 = y + 1;
                extent.pixels += 1;
            }
        }
        extents
    }
}

/// Adds a step of coverage at `x`, shared between the pixel it falls in and the next.
fn step(steps: &mut [f32], x: f32, height: f32) {
    let column = x as usize;
    let right_share = x - column as f32;
    steps[column] += height * (1.0 - right_share);
    steps[column + 1] += height * right_share;
}

/// Half the width of an ellipse at `dy` from its middle; 0 outside.
fn half_width(dy: f32, rx: f32, ry: f32) -> f32 {
    let share = dy / ry.max(1e-6);
    rx * (1.0 - share * share).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white(owner: Owner) -> Paint {
        Paint { rgb: [1.0; 3], alpha: 1.0, slope: 0.0, middle_x: 0.0, owner }
    }

    #[test]
    fn a_half_covered_pixel_is_half_painted() {
        let mut canvas = Canvas::new(4, 1, 1);
        canvas.polygon(&[(0.5, 0.0), (2.0, 0.0), (2.0, 1.0), (0.5, 1.0)], &white(Owner::Thing(1)));
        let red: Vec<f32> = canvas.rgb.iter().step_by(3).copied().collect();
        assert!((red[0] - 0.5).abs() < 1e-5 && (red[1] - 1.0).abs() < 1e-5 && red[2].abs() < 1e-5);
        assert_eq!(canvas.pixels_of(1), 2);
        assert_eq!(canvas.extents()[1], Some(Extent { x0: 0, y0: 0, x1: 2, y1: 1, pixels: 2 }));
    }

    #[test]
    fn a_later_thing_takes_pixels_from_an_earlier() {
        let mut canvas = Canvas::new(10, 10, 2);
        let square = |x: f32| [(x, 0.0), (x + 4.0, 0.0), (x + 4.0, 4.0), (x, 4.0)];
        canvas.polygon(&square(0.0), &white(Owner::Thing(1)));
        canvas.polygon(&square(3.0), &white(Owner::Thing(2)));
        canvas.polygon(&square(3.0), &white(Owner::Unchanged));
        assert_eq!((canvas.pixels_of(1), canvas.pixels_of(2)), (12, 16));
    }

    #[test]
    fn shapes_outside_the_canvas_paint_nothing_and_do_not_panic() {
        let mut canvas = Canvas::new(8, 8, 1);
        let paint = white(Owner::Thing(1));
        canvas.ellipse(-50.0, 3.0, 10.0, 10.0, &paint);
        canvas.ellipse(50.0, 3.0, 10.0, 10.0, &paint);
        canvas.ring(4.0, -90.0, 10.0, 8.0, &paint);
        canvas.polygon(&[(-1e6, -1e6), (-1e5, -1e6), (-1e5, 1e6)], &paint);
        assert_eq!(canvas.pixels_of(1), 0);
        assert!(canvas.rgb.iter().all(|&v| v == 0.0));
    }

    #[test]
    fn what_lies_outside_is_known() {
        let mut canvas = Canvas::new(10, 10, 1);
        canvas.polygon(&[(8.0, 0.0), (16.0, 0.0), (16.0, 4.0), (8.0, 4.0)], &white(Owner::Thing(1)));
        assert!((canvas.share_inside(1) - 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_disc_has_its_area() {
        let mut canvas = Canvas::new(64, 64, 1);
        canvas.ellipse(32.0, 32.0, 20.0, 20.0, &white(Owner::Thing(1)));
        let area: f32 = canvas.rgb.iter().step_by(3).sum();
        assert!((area / (std::f32::consts::PI * 400.0) - 1.0).abs() < 0.01, "{area}");
    }
}

//! The generated world: streets with cars, people, signs and the like, and where each of them is.
//!
//! Everything follows from the seed: any frame can be asked for at any time, and is the same each time.
//! A world is seen in two ways: [`World::frame`] is a video (shots of [`SHOT_FRAMES`] frames, each in a
//! street of its own, with camera and things in motion), [`World::scene`] is an endless set of pictures,
//! each of another street, for training and scoring.

mod backdrop;
mod pen;
mod raster;
mod sensor;
mod street;
mod things;

use autotiler_core::boxes::{BBox, GroundTruth};

use crate::picture::Picture;

use self::{
    pen::Pen,
    raster::{Canvas, Extent},
    street::Street,
};

/// Names of the classes, by index.
pub const CLASSES: [&str; 8] = ["car", "bus", "truck", "bicycle", "person", "dog", "traffic-light", "sign"];
/// Frames of the video after which it cuts to another street.
pub const SHOT_FRAMES: u32 = 50;
/// Frames per second of the video.
pub const FRAMES_PER_SECOND: f32 = 25.0;
/// A thing of which less than this share is seen, the rest hidden by others, is not annotated. One of which
/// less than this share lies inside the picture is annotated as difficult.
pub const LEAST_VISIBLE_SHARE: f32 = 0.35;
/// A thing whose box is narrower or lower than this share of the picture's shorter side is not annotated.
pub const LEAST_SIDE_SHARE: f32 = 0.03;

/// Seed of the world that the embedded detector and its tilers learn from. No scene of one of these three
/// worlds is in another.
pub const TRAINING_SEED: u64 = 0x7261_696e;
/// Seed of the world that chooses among the weights of a training run.
pub const VALIDATION_SEED: u64 = 0x0076_616c;
/// Seed of the world that finished networks are scored in, and that demonstrations show.
pub const TEST_SEED: u64 = 0x7465_7374;

/// What a world is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldOptions {
    /// Two worlds of one seed are the same.
    pub seed: u64,
    /// Columns of its pictures, 1 to 4096.
    pub width: usize,
    /// Rows of its pictures, 1 to 4096.
    pub height: usize,
}

/// A world that can be looked at.
#[derive(Debug, Clone)]
pub struct World {
    options: WorldOptions,
}

/// A picture and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What the camera gives.
    pub picture: Picture,
    /// Boxes of what is seen; classes are indices into [`CLASSES`].
    pub truth: Vec<GroundTruth>,
}

/// Sets apart the random numbers of the video from those of the single pictures.
#[derive(Clone, Copy)]
enum Stream {
    Video = 1,
    Scenes = 2,
    Noise = 3,
}

impl World {
    /// A world; sizes outside their range are clamped into it.
    pub fn new(options: WorldOptions) -> Self {
        let WorldOptions { seed, width, height } = options;
        Self { options: WorldOptions { seed, width: width.clamp(1, 4096), height: height.clamp(1, 4096) } }
    }

    /// What it was made from.
    pub fn options(&self) -> WorldOptions {
        self.options
    }

    /// Frame `index` of the video.
    pub fn frame(&self, index: u32) -> Scene {
        let street_seed = self.mix(Stream::Video, index / SHOT_FRAMES);
        let seconds = (index % SHOT_FRAMES) as f32 / FRAMES_PER_SECOND;
        self.look(street_seed, seconds, self.mix(Stream::Noise, index))
    }

    /// Picture `index` of the set of independent streets.
    pub fn scene(&self, index: u32) -> Scene {
        let street_seed = self.mix(Stream::Scenes, index);
        let shot_s = SHOT_FRAMES as f32 / FRAMES_PER_SECOND;
        let seconds = (street_seed >> 40) as f32 / (1u64 << 24) as f32 * shot_s;
        self.look(street_seed, seconds, street_seed ^ 1)
    }

    fn look(&self, street_seed: u64, seconds: f32, noise_seed: u64) -> Scene {
        let WorldOptions { width, height, .. } = self.options;
        let (w, h) = (width as f32, height as f32);
        let street = Street::new(street_seed, w / h);
        let camera = street.camera(seconds, w, h);
        // Two numbers for each thing: its own and its rider's.
        let mut canvas = Canvas::new(width, height, street.things.len() * 2);
        street.backdrop.draw(&mut canvas, &camera, &street.light);
        let mut drawn = vec![0; street.things.len() * 2 + 1];
        for (i, thing) in street.things.iter().enumerate() {
            // Numbers fit: a street has some dozens of things.
            let owner = (2 * i + 1) as u16;
            let annotated = if thing.kind.class().is_some() { owner } else { 0 };
            let mut pen =
                Pen::new(&mut canvas, street.light, &camera, thing.at(seconds), thing.facing, annotated);
            thing.draw(&mut pen, annotated, seconds);
            drawn[2 * i + 1] = canvas.pixels_of(owner);
            drawn[2 * i + 2] = canvas.pixels_of(owner + 1);
        }
        let truth = truth(&street, &canvas, &drawn);
        let rgb = sensor::expose(canvas.rgb, width, height, street.blur, street.noise, noise_seed);
        Scene { picture: Picture { width, height, rgb }, truth }
    }

    fn mix(&self, stream: Stream, index: u32) -> u64 {
        let key = self.options.seed ^ ((stream as u64) << 56) ^ u64::from(index).rotate_left(20);
        sensor::scramble(sensor::scramble(key).wrapping_add(u64::from(index)))
    }
}

/// The boxes of what is seen well enough; `drawn` says how many pixels each thing had when it was drawn.
fn truth(street: &Street, canvas: &Canvas, drawn: &[u32]) -> Vec<GroundTruth> {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let least_px = LEAST_SIDE_SHARE * w.min(h);
    let extents = canvas.extents();
    let annotate = |owner: usize, class: u16| {
        let Extent { x0, y0, x1, y1, pixels } = (*extents.get(owner)?)?;
        let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(|v| v as f32);
        let seen = pixels as f32 / drawn[owner].max(1) as f32;
        let big = (x1 - x0).min(y1 - y0) >= least_px;
        let bbox = BBox { x0: x0 / w, y0: y0 / h, x1: x1 / w, y1: y1 / h };
        // Numbers fit, as where they were given.
        let difficult = canvas.share_inside(owner as u16) < LEAST_VISIBLE_SHARE;
        (seen >= LEAST_VISIBLE_SHARE && big).then_some(GroundTruth { class, bbox, difficult })
    };
    let person = things::Kind::Person.class();
    let things = street.things.iter().enumerate();
    things
        .flat_map(|(i, thing)| {
            let own = thing.kind.class().and_then(|class| annotate(2 * i + 1, class));
            let rider = person.filter(|_| thing.rider).and_then(|class| annotate(2 * i + 2, class));
            own.into_iter().chain(rider)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: u64) -> World {
        World::new(WorldOptions { seed, width: 160, height: 128 })
    }

    #[test]
    fn the_same_seed_and_index_give_the_same_scene() {
        assert_eq!(world(3).scene(17), world(3).scene(17));
        let late_first = [world(3).frame(70), world(3).frame(2)];
        assert_eq!(late_first, [world(3).frame(70), world(3).frame(2)]);
    }

    #[test]
    fn other_seeds_indices_and_streams_give_other_scenes() {
        let scenes = [world(3).scene(0), world(3).scene(1), world(4).scene(0), world(3).frame(0)];
        for (i, a) in scenes.iter().enumerate() {
            assert!(scenes[i + 1..].iter().all(|b| a.picture != b.picture));
        }
    }

    #[test]
    fn boxes_lie_inside_the_picture_and_are_not_slivers() {
        for index in 0..200 {
            for object in world(1).scene(index).truth {
                let BBox { x0, y0, x1, y1 } = object.bbox;
                assert!(0.0 <= x0 && x1 <= 1.0 && 0.0 <= y0 && y1 <= 1.0, "{object:?}");
                assert!(((x1 - x0) * 160.0).min((y1 - y0) * 128.0) >= LEAST_SIDE_SHARE * 128.0 - 1e-3);
                assert!(usize::from(object.class) < CLASSES.len());
            }
        }
    }

    #[test]
    fn every_class_is_seen_often() {
        let mut seen = [0; CLASSES.len()];
        for index in 0..200 {
            for object in world(5).scene(index).truth {
                seen[usize::from(object.class)] += 1;
            }
        }
        assert!(seen.iter().all(|&count| count >= 30), "{seen:?}");
    }

    #[test]
    fn the_video_moves_slowly_and_cuts_between_shots() {
        let difference = |a: u32, b: u32| {
            let (a, b) = (world(9).frame(a).picture.rgb, world(9).frame(b).picture.rgb);
            a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
        };
        let within = difference(SHOT_FRAMES - 2, SHOT_FRAMES - 1);
        let across = difference(SHOT_FRAMES - 1, SHOT_FRAMES);
        assert!(within > 0.0 && within * 2.0 < across, "{within} {across}");
    }

    #[test]
    fn what_is_hidden_too_far_is_not_annotated() {
        let street = Street::new(1, 1.0);
        let first = (0..street.things.len()).find(|&i| street.things[i].kind.class().is_some()).unwrap();
        let owner = (2 * first + 1) as u16;
        let mut drawn = vec![0; street.things.len() * 2 + 1];
        drawn[usize::from(owner)] = 40 * 40;
        // 40 columns are drawn, `hidden` of them are painted over.
        let annotated = |hidden: f32| {
            let mut canvas = Canvas::new(100, 100, street.things.len() * 2);
            let mut square = |x0: f32, x1: f32, thing| {
                let paint = raster::Paint {
                    rgb: [1.0; 3],
                    alpha: 1.0,
                    slope: 0.0,
                    middle_x: 0.0,
                    owner: raster::Owner::Thing(thing),
                };
                canvas.polygon(&[(x0, 10.0), (x1, 10.0), (x1, 50.0), (x0, 50.0)], &paint);
            };
            square(10.0, 50.0, owner);
            square(10.0, 10.0 + hidden, 0);
            truth(&street, &canvas, &drawn)
        };
        let seen = annotated(20.0);
        assert_eq!(seen.len(), 1);
        // The box is that of what is seen.
        assert_eq!(seen[0].bbox, BBox { x0: 0.3, y0: 0.1, x1: 0.5, y1: 0.5 });
        assert_eq!(annotated(27.0).len(), 0);
    }

    #[test]
    fn some_things_at_the_edge_are_difficult_and_most_things_are_not() {
        let truth: Vec<GroundTruth> = (0..200).flat_map(|index| world(2).scene(index).truth).collect();
        let difficult: Vec<_> = truth.iter().filter(|object| object.difficult).collect();
        assert!(!difficult.is_empty() && difficult.len() * 8 < truth.len());
        // The outermost pixels of some are hidden by others.
        let at_edge = |bbox: BBox| bbox.x0.min(bbox.y0).min(1.0 - bbox.x1).min(1.0 - bbox.y1) == 0.0;
        assert!(difficult.iter().filter(|object| at_edge(object.bbox)).count() * 10 >= difficult.len() * 8);
    }

    #[test]
    fn any_size_can_be_asked_for() {
        for (width, height) in [(1, 1), (0, 5), (7, 3), (640, 96)] {
            let scene = World::new(WorldOptions { seed: 1, width, height }).scene(2);
            assert_eq!(scene.picture.rgb.len(), scene.picture.width * scene.picture.height * 3);
        }
    }
}

//! What is the same for every strategy on one link: the frames, their sizes, the delays.

use std::time::Duration;

use autotiler_core::decision::FRAME_OVERHEAD_BITS;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{trace::Trace, way::Way};

/// Longest effective time in seconds: a result that is later is of no use to anybody who watches.
pub const CAP_S: f64 = 1.0;

/// What is assumed of camera, device, link and controller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Frames that the camera captures in a second.
    pub frames_per_second: f64,
    /// Round trip of an empty message: half of it before the server, half of it back.
    pub rtt: Duration,
    /// Between two looks of the controller.
    pub sweep: Duration,
    /// From a decision to its being in force on the device.
    pub order_delay: Duration,
    /// Sizes of frames lie within this share around their target.
    pub size_jitter: f64,
    /// Measurements of the capacity are off by up to this share.
    pub capacity_noise: f64,
    /// Frames that the device works on at a time; see [`Settings::occupied_s`].
    pub overlap: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frames_per_second: 10.0,
            rtt: Duration::from_millis(60),
            sweep: Duration::from_secs(1),
            order_delay: Duration::from_millis(100),
            size_jitter: 0.2,
            capacity_noise: 0.1,
            overlap: 1.0,
        }
    }
}

impl Settings {
    /// Time between two frames, in seconds.
    pub fn slot_s(&self) -> f64 {
        self.frames_per_second.recip()
    }

    /// How long a frame that takes `device_s` keeps the device from the next: all of it on a device that does one
    /// thing at a time, less where its stages overlap.
    pub fn occupied_s(&self, device_s: f64) -> f64 {
        device_s / self.overlap
    }
}

/// One link with the frames that are to cross it.
#[derive(Debug, Clone)]
pub struct World<'a> {
    /// The link.
    pub trace: &'a Trace,
    /// The assumptions.
    pub settings: Settings,
    seed: u64,
    /// Size of each frame against its target.
    sizes: Vec<f64>,
}

impl<'a> World<'a> {
    /// The frames that a live camera captures while the link lasts. The same seed gives the same frames.
    pub fn new(trace: &'a Trace, settings: Settings, seed: u64) -> Self {
        let frames = (trace.length_s() * settings.frames_per_second).floor() as usize;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let jitter = settings.size_jitter.max(0.0);
        let sizes = (0..frames).map(|_| 1.0 + random.random_range(-jitter..=jitter)).collect();
        Self { trace, settings, seed, sizes }
    }

    /// Chance of its own for one use.
    pub(crate) fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }

    /// Frames captured.
    pub fn frames(&self) -> usize {
        self.sizes.len()
    }

    /// Frames whose results are known before the link's record ends, whatever becomes of them: those that count.
    pub fn scored(&self) -> usize {
        let last = ((self.trace.length_s() - CAP_S) * self.settings.frames_per_second).floor();
        (last.max(0.0) as usize).min(self.frames())
    }

    /// When a frame is captured, in seconds.
    pub fn captured_s(&self, frame: usize) -> f64 {
        frame as f64 * self.settings.slot_s()
    }

    /// What a frame of `bits` puts on the link.
    pub fn wire_bits(&self, frame: usize, bits: f64) -> f64 {
        bits * self.sizes.get(frame).copied().unwrap_or(1.0) + f64::from(FRAME_OVERHEAD_BITS)
    }

    /// From the last bit on the link to the answer on the device.
    pub fn after_link_s(&self, way: &Way) -> f64 {
        self.settings.rtt.as_secs_f64() + way.server_s
    }
}

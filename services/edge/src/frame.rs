//! What travels between the stages, and what is remembered of a frame.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::{
    DeviceId, Epoch, Gain, OperatingPoint, Sequence, StreamId, bits::BitsSettings, wire::Payload,
};
use autotiler_scene::Picture;

use crate::prepared::Prepared;

/// What the device has to do, and since which change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Of the order that it comes from; 0 for what the process was started with.
    pub epoch: Epoch,
    /// The operating point.
    pub point: OperatingPoint,
}

/// An assignment, and all that it takes.
#[derive(Debug, Clone)]
pub struct Course {
    /// What to do.
    pub assignment: Assignment,
    /// The range in which frames are sized; none where bits are fixed.
    pub bits: Option<BitsSettings>,
    /// What does it, warm.
    pub work: Arc<Prepared>,
}

/// Whose frames they are, and the device's own clock.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The device.
    pub device: DeviceId,
    /// This run of its source.
    pub id: StreamId,
    /// Zero of the device's clock.
    pub start: Instant,
}

/// What is remembered of a frame until its fate is known.
#[derive(Debug, Clone)]
pub struct FrameRecord {
    /// Its number in the stream.
    pub sequence: Sequence,
    /// When the source gave it.
    pub captured: Instant,
    /// What the source calls it, like an image's name.
    pub name: Option<String>,
    /// What was done with it.
    pub assignment: Assignment,
    /// How long each stage took.
    pub times: DeviceTimes,
    /// Bits of its access unit; 0 when nothing was coded.
    pub bits: u32,
    /// Scaling before coding.
    pub gain: Gain,
}

/// Times of the device's stages, waiting not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceTimes {
    /// Resizing, head and tiler encoder; or the whole network.
    pub head: Duration,
    /// HEVC, all tries of the rate control together.
    pub codec: Duration,
    /// Boxes and NMS, where the device does them.
    pub boxes: Duration,
}

/// A picture on its way to the network.
#[derive(Debug)]
pub struct CapturedFrame {
    /// What is known of it.
    pub record: FrameRecord,
    /// The picture.
    pub picture: Arc<Picture>,
}

/// A plane on its way to the codec.
#[derive(Debug)]
pub struct PlaneFrame {
    /// What is known of it.
    pub record: FrameRecord,
    /// A tiled plane, or the picture in YUV 4:2:0.
    pub plane: Vec<u8>,
    /// What made it, and codes it: whatever is in force by then.
    pub course: Arc<Course>,
    /// What the header says of it.
    pub payload: Payload,
}

impl Stream {
    /// A new stream of `device` that starts now.
    pub fn start(device: DeviceId) -> Self {
        // The standard library seeds each `RandomState` anew: a restarted device takes another number.
        let id = StreamId(RandomState::new().hash_one(&device) as u32);
        Self { device, id, start: Instant::now() }
    }

    /// `at` on the device's clock, in microseconds.
    pub fn clock_us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }
}

impl FrameRecord {
    /// A frame that has just been captured.
    pub fn new(sequence: Sequence, name: Option<String>, assignment: Assignment) -> Self {
        Self {
            sequence,
            captured: Instant::now(),
            name,
            assignment,
            times: DeviceTimes::default(),
            bits: 0,
            gain: Gain::UNITY,
        }
    }
}

impl DeviceTimes {
    /// All stages together.
    pub fn sum(&self) -> Duration {
        self.head + self.codec + self.boxes
    }
}

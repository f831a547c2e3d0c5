//! Pictures: the generated world, VOC data sets, decoding, resizing and drawing.
//!
//! Knows boxes (from `core`) and pixels; nothing of networks, codecs or NATS.

pub mod draw;
pub mod picture;
pub mod resample;
pub mod voc;
pub mod world;
pub mod yuv;

pub use picture::{Picture, PictureError};
pub use resample::Resampler;
pub use voc::{VocError, VocPicture, VocSet};
pub use world::{Scene, World, WorldOptions};

//! Pictures: the generated world, decoding, resizing.
//!
//! Knows boxes (from `core`) and pixels; nothing of networks, codecs or NATS.

pub mod picture;
pub mod world;

pub use picture::Picture;
pub use world::{Scene, World, WorldOptions};

//! Networks of the Darknet framework: cfg text and weights, read and written.
//!
//! The pieces: [`Cfg`] is the text by sections, [`Weights`] the numbers, [`Network::build`] makes a graph of
//! both. Whatever is not understood is an error with its line, never skipped. Files are read elsewhere;
//! this module sees text and bytes. Layers and their defaults follow the Darknet sources
//! (<https://github.com/pjreddie/darknet>, and <https://github.com/AlexeyAB/darknet> for `groups` of routes,
//! `dilation` and `scale_x_y`).

mod build;
mod cfg;
mod error;
mod init;
mod options;
mod plan;
mod weights;
mod yolov3;

pub use build::{BatchNorm, BuildError, Layer, Network, YoloHead};
pub use cfg::{Cfg, Entry, Section};
pub use error::{CfgError, CfgFault};
pub use init::init;
pub use plan::Anchor;
pub use weights::{ConvWeights, Header, Normalization, Weights, WeightsError};
pub use yolov3::{COCO_ANCHORS, WidthMultiplier, Yolov3Error, yolov3};

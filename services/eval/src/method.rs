//! The ways to get a picture to the server that are compared, and how coarse each can be.

use std::fmt;

use autotiler_core::{CompressionRatio, Gain, LayerIndex};
use autotiler_model::TilerKind;
use serde::{Deserialize, Serialize};

/// A way to get a picture, or what a network made of it, to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A feature map through a tiler of the model.
    Tiler {
        /// Partition point.
        layer: LayerIndex,
        /// Compression ratio.
        cr: CompressionRatio,
        /// Member of the family.
        kind: TilerKind,
        /// What becomes of the plane.
        coding: Coding,
    },
    /// The picture itself in 4:2:0, squashed to a square of this side, as one HEVC picture.
    Picture {
        /// Side in pixels.
        side: u16,
    },
    /// The picture itself, at the network's input size, as one JPEG file.
    Jpeg,
}

/// What becomes of a tiled plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// One HEVC picture.
    Plane,
    /// One HEVC picture for each map: the paper's frame per channel (FPC).
    FramePerChannel,
    /// Bytes as they are.
    Raw,
}

/// One step of a ladder from fine to coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// HEVC's lossless mode.
    Lossless,
    /// HEVC at this gain: QP `base + gain / 4`.
    Gain(Gain),
    /// JPEG of this quality, 1 to 100.
    Quality(u8),
    /// Not coded.
    Raw,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lossless => f.write_str("lossless"),
            Self::Gain(gain) => write!(f, "gain {}", gain.0),
            Self::Quality(quality) => write!(f, "quality {quality}"),
            Self::Raw => f.write_str("raw"),
        }
    }
}

impl Method {
    /// A tiler whose plane is one HEVC picture.
    pub fn tiler(layer: LayerIndex, cr: CompressionRatio, kind: TilerKind) -> Self {
        Self::Tiler { layer, cr, kind, coding: Coding::Plane }
    }

    /// Its partition point; none for the picture itself.
    pub fn layer(&self) -> Option<LayerIndex> {
        match self {
            Self::Tiler { layer, .. } => Some(*layer),
            _ => None,
        }
    }

    /// Its name without the layer: `tiling`, `fpc`, `raw`, `klt`, `lite cr4`, `picture 320`, `jpeg`.
    pub fn name(&self) -> String {
        match self {
            Self::Tiler { coding: Coding::FramePerChannel, .. } => "fpc".to_owned(),
            Self::Tiler { coding: Coding::Raw, .. } => "raw".to_owned(),
            Self::Tiler { kind: TilerKind::Plain, .. } => "tiling".to_owned(),
            Self::Tiler { kind, cr, .. } if *cr == CompressionRatio::ONE => kind.to_string(),
            Self::Tiler { kind, cr, .. } => format!("{kind} cr{cr}"),
            Self::Picture { side } => format!("picture {side}"),
            Self::Jpeg => "jpeg".to_owned(),
        }
    }

    /// The settings that span what it is good for, finest first.
    pub fn ladder(&self) -> Vec<Setting> {
        let gains = |gains: &[u8]| gains.iter().map(|&gain| Setting::Gain(Gain(gain))).collect();
        match self {
            Self::Tiler { coding: Coding::Raw, .. } => vec![Setting::Raw],
            // Dozens of pictures for each one: few settings must do.
            Self::Tiler { coding: Coding::FramePerChannel, .. } => gains(&[8, 36, 60, 84]),
            Self::Tiler { .. } => gains(&[8, 20, 32, 44, 52, 60, 68, 76, 84, 96]),
            Self::Picture { .. } => gains(&[8, 24, 36, 48, 60, 72, 84, 96]),
            Self::Jpeg => [90, 75, 50, 30, 15, 8, 4].map(Setting::Quality).to_vec(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer() {
            Some(layer) => write!(f, "{} at layer {layer}", self.name()),
            None => f.write_str(&self.name()),
        }
    }
}

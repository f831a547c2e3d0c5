//! The cfg of YOLOv3, of any width.

use super::plan::Anchor;

/// Prior boxes of YOLOv3 for COCO at 416 x 416 (<https://arxiv.org/abs/1804.02767>, section 2.3).
pub const COCO_ANCHORS: [Anchor; 9] = [
    Anchor { w: 10.0, h: 13.0 },
    Anchor { w: 16.0, h: 30.0 },
    Anchor { w: 33.0, h: 23.0 },
    Anchor { w: 30.0, h: 61.0 },
    Anchor { w: 62.0, h: 45.0 },
    Anchor { w: 59.0, h: 119.0 },
    Anchor { w: 116.0, h: 90.0 },
    Anchor { w: 156.0, h: 198.0 },
    Anchor { w: 373.0, h: 326.0 },
];

/// Residual blocks after each halving, with their maps at width 1.
const STAGES: [(usize, usize); 5] = [(1, 64), (2, 128), (8, 256), (8, 512), (4, 1024)];
/// Maps are multiples of this, as vector units like them.
const MAP_MULTIPLE: f32 = 8.0;

/// Share of the maps of YOLOv3 that a network has: 1 is the published network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WidthMultiplier(f32);

/// Why there is no such YOLOv3.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Yolov3Error {
    /// A multiplier out of range.
    #[error("width multiplier {0} must be above 0 and at most 4")]
    Width(f32),
    /// A side that the network cannot halve five times.
    #[error("input side {0} must be a multiple of 32 from 32 to 4096")]
    Side(usize),
    /// No classes, or too many.
    #[error("{0} classes: must be 1 to 10000")]
    Classes(usize),
    /// An anchor without size.
    #[error("anchor {0} x {1} must have sides above 0")]
    Anchor(f32, f32),
}

impl WidthMultiplier {
    /// The published network.
    pub const ONE: Self = Self(1.0);

    /// # Errors
    /// [`Yolov3Error::Width`] unless above 0 and at most 4.
    pub fn try_new(width: f32) -> Result<Self, Yolov3Error> {
        if width > 0.0 && width <= 4.0 { Ok(Self(width)) } else { Err(Yolov3Error::Width(width)) }
    }

    /// The multiplier as a number.
    pub fn get(self) -> f32 {
        self.0
    }

    /// `maps` scaled to the nearest multiple of 8, at least 8.
    fn scale(self, maps: usize) -> usize {
        let eights = (maps as f32 * self.0 / MAP_MULTIPLE).round().max(1.0);
        (eights * MAP_MULTIPLE) as usize
    }
}

/// The cfg of YOLOv3 in the layer numbering of the original (107 layers, 0 to 106; yolo layers 82, 94, 106),
/// for square pictures of `input_side` pixels. Outputs of layers 4, 11, 15, 24 and 36, the partition points
/// of the paper, are residual sums; at width 1 and 416 pixels 208x208x64, 104x104x128 (the paper's 108 is a
/// typo) and thrice 52x52x256. `anchors` go from small to large; the raw heads keep `3 * (5 + classes)` maps
/// at every width.
///
/// # Errors
/// [`Yolov3Error`] for a side, a number of classes or an anchor that no network can have.
pub fn yolov3(
    width: WidthMultiplier,
    input_side: usize,
    classes: usize,
    anchors: &[Anchor; 9],
) -> Result<String, Yolov3Error> {
    if !(32..=4096).contains(&input_side) || !input_side.is_multiple_of(32) {
        return Err(Yolov3Error::Side(input_side));
    }
    if !(1..=10_000).contains(&classes) {
        return Err(Yolov3Error::Classes(classes));
    }
    let sized = |side: f32| side.is_finite() && side > 0.0;
    if let Some(anchor) = anchors.iter().find(|anchor| !sized(anchor.w) || !sized(anchor.h)) {
        return Err(Yolov3Error::Anchor(anchor.w, anchor.h));
    }
    let mut writer = Writer { text: String::new(), width, classes, anchors, layer: 0 };
    writer.backbone(input_side);
    writer.heads();
    Ok(writer.text)
}

struct Writer<'a> {
    text: String,
    width: WidthMultiplier,
    classes: usize,
    anchors: &'a [Anchor; 9],
    layer: usize,
}

impl Writer<'_> {
    fn section(&mut self, name: &str, options: &str) {
        self.text += &format!("\n# {}\n[{name}]\n{options}\n", self.layer);
        self.layer += 1;
    }

    fn conv(&mut self, maps: usize, size: usize, stride: usize) {
        let filters = self.width.scale(maps);
        let options = format!(
            "batch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation=leaky"
        );
        self.section("convolutional", &options);
    }

    fn backbone(&mut self, side: usize) {
        let width = self.width.get();
        self.text += &format!(
            "# YOLOv3, width multiplier {width}; written by the project, see darknet::yolov3.\n\
             [net]\nwidth={side}\nheight={side}\nchannels=3\n"
        );
        self.conv(32, 3, 1);
        for (blocks, maps) in STAGES {
            self.conv(maps, 3, 2);
            for _ in 0..blocks {
                self.conv(maps / 2, 1, 1);
                self.conv(maps, 3, 1);
                self.section("shortcut", "from=-3\nactivation=linear");
            }
        }
    }

    fn heads(&mut self) {
        self.head(512, [6, 7, 8]);
        self.step_up(256, 61);
        self.head(256, [3, 4, 5]);
        self.step_up(128, 36);
        self.head(128, [0, 1, 2]);
    }

    /// Goes to a map of twice the size, and joins the backbone's map of that size.
    fn step_up(&mut self, maps: usize, skip: usize) {
        self.section("route", "layers=-4");
        self.conv(maps, 1, 1);
        self.section("upsample", "stride=2");
        self.section("route", &format!("layers=-1,{skip}"));
    }

    fn head(&mut self, maps: usize, mask: [usize; 3]) {
        for _ in 0..3 {
            self.conv(maps, 1, 1);
            self.conv(maps * 2, 3, 1);
        }
        let raw = 3 * (5 + self.classes);
        self.section("convolutional", &format!("size=1\nstride=1\npad=1\nfilters={raw}\nactivation=linear"));
        let mask = mask.map(|anchor| anchor.to_string()).join(",");
        let anchors: Vec<String> = self.anchors.iter().map(|a| format!("{},{}", a.w, a.h)).collect();
        let options = format!(
            "mask={mask}\nanchors={}\nclasses={}\nnum=9\nignore_thresh=0.7\ntruth_thresh=1",
            anchors.join(", "),
            self.classes
        );
        self.section("yolo", &options);
    }
}

#[cfg(test)]
mod tests;

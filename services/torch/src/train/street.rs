//! The detector of the generated street world: its samples, its cfg, and its files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use autotiler_core::{BBox, average_precision::Score};
use autotiler_graph::{
    Graph,
    darknet::{
        self, Anchor, BatchNorm, BuildError, Cfg, CfgError, Header, Weights, WeightsError, WidthMultiplier,
        Yolov3Error,
    },
};
use autotiler_scene::{World, WorldOptions, world::CLASSES};

use super::{
    anchors,
    checkpoint::{CheckpointError, replace_file},
    detector::{self, DetectorError, Network},
    loader::{Sample, Source},
    yolo::HeadLayout,
};

/// Pictures that the anchors are fitted to.
const ANCHOR_PICTURES: u64 = 300;

/// Why the street detector could not be set up or written.
#[derive(Debug, thiserror::Error)]
pub enum StreetError {
    /// No such YOLOv3.
    #[error("laying out the detector")]
    Layout(#[from] Yolov3Error),
    /// The cfg does not read back.
    #[error("reading the detector's cfg")]
    Cfg(#[from] CfgError),
    /// Weights do not fit the cfg.
    #[error("building the detector")]
    Build(#[from] BuildError),
    /// Trained weights do not fit the cfg.
    #[error("collecting the trained weights")]
    Weights(#[from] WeightsError),
    /// A cfg with another number of anchors.
    #[error("a YOLOv3 has nine anchors")]
    NotYolov3,
    /// The world shows no objects.
    #[error("the world shows too few objects to fit anchors to")]
    NoObjects,
    /// The files.
    #[error("writing the detector")]
    Write(#[from] CheckpointError),
    /// The exported weights are not there.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The detector does not run.
    #[error("scoring the detector")]
    Score(#[source] Box<DetectorError>),
}

/// Side of the pictures that cameras of the world take; networks see them squashed to their input.
pub const CAMERA_SIDE: usize = 416;
/// Pictures smaller than this are always drawn at their own size: drawing them larger costs more than it
/// teaches while a network still learns the coarse.
const LEAST_SQUASHED_SIDE: usize = 200;

/// Single pictures of one world.
#[derive(Debug, Clone, Copy)]
pub struct Streets {
    /// Seed of the world.
    pub seed: u64,
    /// How they come to the network's size.
    pub view: View,
}

/// How a picture comes to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Taken at [`CAMERA_SIDE`] and squashed, as in use.
    Squashed,
    /// Every other one drawn at the network's size: other noise and sharpness, for training.
    Mixed,
}

impl Source for Streets {
    fn sample(&self, index: u64, side: usize) -> Sample {
        let squashed = match self.view {
            View::Squashed => true,
            View::Mixed => side >= LEAST_SQUASHED_SIDE && !index.is_multiple_of(2),
        };
        let drawn = if squashed { CAMERA_SIDE } else { side };
        let world = World::new(WorldOptions { seed: self.seed, width: drawn, height: drawn });
        let scene = world.scene(index as u32);
        let picture = if squashed { scene.picture.resize(side, side) } else { scene.picture };
        Sample { rgb: picture.rgb, truth: scene.truth }
    }
}

/// What a street detector is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreetDetector {
    /// Share of YOLOv3's maps.
    pub width: WidthMultiplier,
    /// Seed of the first weights.
    pub seed: u64,
}

impl StreetDetector {
    /// The cfg for pictures of `side`, with anchors (in shares of the picture) from [`fit_anchors`].
    ///
    /// # Errors
    /// [`StreetError::Layout`] for a side that YOLOv3 cannot have.
    pub fn cfg(&self, side: usize, anchors: &[Anchor; 9]) -> Result<String, StreetError> {
        let pixels = anchors.map(|a| Anchor { w: a.w * side as f32, h: a.h * side as f32 });
        Ok(darknet::yolov3(self.width, side, CLASSES.len(), &pixels)?)
    }

    /// The network in training, with random first weights, or those of a Darknet weights file.
    ///
    /// # Errors
    /// [`StreetError`].
    pub fn network(&self, cfg: &str, start: Option<&[u8]>) -> Result<Network, StreetError> {
        let cfg = Cfg::parse(cfg)?;
        let weights = match start {
            Some(bytes) => Weights::read(&cfg, bytes)?,
            None => darknet::init(&cfg, self.seed)?,
        };
        let built = darknet::Network::build(&cfg, &weights, BatchNorm::Kept)?;
        Ok(detector_network(&built))
    }
}

/// Anchors for this world, in shares of the picture.
///
/// # Errors
/// [`StreetError::NoObjects`].
pub fn fit_anchors(source: &dyn Source) -> Result<[Anchor; 9], StreetError> {
    /// Side of the pictures looked at, and of those that anchors are measured in.
    const SIDE: usize = 160;
    const FINE: usize = 1000;
    let boxes: Vec<BBox> = (0..ANCHOR_PICTURES)
        .flat_map(|index| source.sample(index, SIDE).truth)
        .map(|object| object.bbox)
        .collect();
    let fitted = anchors::fit(&boxes, FINE).ok_or(StreetError::NoObjects)?;
    Ok(fitted.map(|a| Anchor { w: a.w / FINE as f32, h: a.h / FINE as f32 }))
}

/// The nine anchors of a YOLOv3 cfg, in shares of the picture.
///
/// # Errors
/// [`StreetError::Cfg`], or [`StreetError::NotYolov3`] with another number of anchors.
pub fn anchors_of(cfg: &str) -> Result<[Anchor; 9], StreetError> {
    let cfg = Cfg::parse(cfg)?;
    let built = darknet::Network::build(&cfg, &darknet::init(&cfg, 0)?, BatchNorm::Kept)?;
    let (w, h) = (built.input.w as f32, built.input.h as f32);
    let anchors = built.heads.first().map(|head| head.anchors.clone()).unwrap_or_default();
    let anchors: Vec<Anchor> = anchors.iter().map(|a| Anchor { w: a.w / w, h: a.h / h }).collect();
    anchors.try_into().map_err(|_| StreetError::NotYolov3)
}

/// Writes `STEM.cfg`, `STEM.weights` and `STEM.names` into `dir`, each as a whole.
///
/// # Errors
/// [`StreetError`].
pub fn export(
    dir: &Path,
    stem: &str,
    cfg: &str,
    graph: &Graph,
    pictures_seen: u64,
) -> Result<(), StreetError> {
    let find = |name: &str| {
        graph.weights.iter().find(|weight| weight.name == name).map(|weight| weight.values.clone())
    };
    let weights = Weights::from_named(&Cfg::parse(cfg)?, Header::current(pictures_seen), find)?;
    let mut names = CLASSES.join("\n");
    names.push('\n');
    replace_file(&dir.join(format!("{stem}.weights")), &weights.write())?;
    replace_file(&dir.join(format!("{stem}.cfg")), cfg.as_bytes())?;
    replace_file(&dir.join(format!("{stem}.names")), names.as_bytes())?;
    Ok(())
}

/// Scores the detector in `weights` on the first `count` pictures of `source`.
///
/// # Errors
/// [`StreetError`].
pub fn score(weights: &Path, cfg: &str, source: &dyn Source, count: usize) -> Result<Score, StreetError> {
    let bytes =
        std::fs::read(weights).map_err(|source| StreetError::Read { path: weights.to_owned(), source })?;
    let cfg = Cfg::parse(cfg)?;
    let network =
        detector_network(&darknet::Network::build(&cfg, &Weights::read(&cfg, &bytes)?, BatchNorm::Folded)?);
    let side =
        network.graph.inputs.first().and_then(|id| network.graph.nodes.get(id.0)).map_or(0, |n| n.shape.w);
    let batches = detector::batches(source, count, side);
    detector::score(&network, &batches).map_err(|error| StreetError::Score(Box::new(error)))
}

fn detector_network(built: &darknet::Network) -> Network {
    let (w, h) = (built.input.w as f32, built.input.h as f32);
    let heads = built.heads.iter().map(|head| {
        let own = head.mask.iter().filter_map(|&index| head.anchors.get(index));
        HeadLayout {
            anchors: own.map(|anchor| [anchor.w / w, anchor.h / h]).collect(),
            rows: head.shape.h,
            cols: head.shape.w,
        }
    });
    Network { heads: heads.collect(), graph: Arc::new(built.graph.clone()), classes: CLASSES.len() }
}

//! The detector of the generated street world: its samples, its cfg, and its files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use autotiler_core::BBox;
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

/// Worlds apart by what their pictures are for: none is seen in two places. Everything that shows or
/// scores generated scenes elsewhere uses other seeds.
pub const TRAINING_SEED: u64 = 0x7261_696e;
/// Seed of the world that chooses among the weights of a run.
pub const VALIDATION_SEED: u64 = 0x0076_616c;
/// Seed of the world that the finished detector is scored in.
pub const TEST_SEED: u64 = 0x7465_7374;
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

/// Pictures of one world.
#[derive(Debug, Clone, Copy)]
pub struct Streets {
    /// Seed of the world.
    pub seed: u64,
}

impl Source for Streets {
    fn sample(&self, index: u64, side: usize) -> Sample {
        let world = World::new(WorldOptions { seed: self.seed, width: side, height: side });
        let scene = world.scene(index as u32);
        let boxes = scene.truth.iter().map(|object| (object.class, object.bbox)).collect();
        Sample { rgb: scene.picture.rgb, boxes }
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

    /// The network in training, with its first weights.
    ///
    /// # Errors
    /// [`StreetError`].
    pub fn network(&self, cfg: &str) -> Result<Network, StreetError> {
        let cfg = Cfg::parse(cfg)?;
        let built = darknet::Network::build(&cfg, &darknet::init(&cfg, self.seed)?, BatchNorm::Kept)?;
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
        .flat_map(|index| source.sample(index, SIDE).boxes)
        .map(|(_, bbox)| bbox)
        .collect();
    let fitted = anchors::fit(&boxes, FINE).ok_or(StreetError::NoObjects)?;
    Ok(fitted.map(|a| Anchor { w: a.w / FINE as f32, h: a.h / FINE as f32 }))
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

/// Mean average precision (IoU 0.5) of the detector in `weights`, and that of each class, over the first
/// `count` pictures of `source`.
///
/// # Errors
/// [`StreetError`].
pub fn score(
    weights: &Path,
    cfg: &str,
    source: &dyn Source,
    count: usize,
) -> Result<(f64, Vec<Option<f64>>), StreetError> {
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

//! What the camera sees in a demo, and what is known to be in it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use autotiler_core::GroundTruth;
use autotiler_model::Model;
use autotiler_scene::{
    Picture, World, WorldOptions,
    world::{CLASSES, TEST_SEED},
};

use super::run::Frame;

/// Boxes of the uncut network from this score on stand in for annotations where there are none.
const ADOPTED_SCORE: f32 = 0.3;

/// Pictures and their truth.
pub(crate) struct Media {
    kind: Kind,
    frames: u32,
    truth: BTreeMap<u32, Vec<GroundTruth>>,
    annotated: bool,
}

enum Kind {
    World(World),
    Images { dir: PathBuf, files: Vec<PathBuf> },
    Video(PathBuf),
}

impl Media {
    pub(crate) fn open(
        images: Option<&Path>,
        video: Option<&Path>,
        model: &Model,
        frames: u32,
    ) -> anyhow::Result<Self> {
        let input = model.network.input;
        let (kind, frames) = match (images, video) {
            (Some(dir), _) => {
                let files = pictures_in(dir)?;
                let count = u32::try_from(files.len()).unwrap_or(u32::MAX).min(frames);
                (Kind::Images { dir: dir.to_owned(), files }, count)
            }
            (None, Some(file)) => {
                anyhow::ensure!(file.exists(), "--video {}: there is no such file", file.display());
                (Kind::Video(file.to_owned()), frames)
            }
            (None, None) => {
                anyhow::ensure!(
                    model.manifest.classes.iter().eq(CLASSES.iter()),
                    "the generated world has the classes {CLASSES:?}, the model {} has others: give --images or --video",
                    model.manifest.name
                );
                let options = WorldOptions { seed: TEST_SEED, width: input.w, height: input.h };
                (Kind::World(World::new(options)), frames)
            }
        };
        let truth = match &kind {
            Kind::World(world) => (0..frames).map(|i| (i, world.scene(i).truth)).collect(),
            _ => BTreeMap::new(),
        };
        let annotated = matches!(kind, Kind::World(_));
        Ok(Self { kind, frames, truth, annotated })
    }

    /// The source as the edge reads it.
    pub(crate) fn source(&self) -> String {
        match &self.kind {
            Kind::World(world) => format!("scenes:seed={}", world.options().seed),
            Kind::Images { dir, .. } => format!("images:{}", dir.display()),
            Kind::Video(file) => format!("video:{}", file.display()),
        }
    }

    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// What `map50` is measured against.
    pub(crate) fn truth_is(&self) -> &'static str {
        if self.annotated { "annotations" } else { "boxes of the uncut network" }
    }

    pub(crate) fn truth(&self, sequence: u32) -> Option<&[GroundTruth]> {
        self.truth.get(&sequence).map(Vec::as_slice)
    }

    /// Takes the uncut network's boxes for the truth where there are no annotations.
    pub(crate) fn adopt_truth(&mut self, uncut: &[Frame]) {
        if self.annotated {
            return;
        }
        self.truth = uncut
            .iter()
            .filter_map(|frame| {
                let found = frame.detections.as_ref()?.iter().filter(|d| d.score >= ADOPTED_SCORE);
                let boxes = found.map(|d| GroundTruth { class: d.class, bbox: d.bbox, difficult: false });
                Some((frame.sequence, boxes.collect()))
            })
            .collect();
    }

    /// The picture of a frame, where it can be shown again.
    pub(crate) fn picture(&self, sequence: u32) -> anyhow::Result<Option<Picture>> {
        match &self.kind {
            Kind::World(world) => Ok(Some(world.scene(sequence).picture)),
            Kind::Images { files, .. } => {
                let Some(file) = files.get(sequence as usize) else { return Ok(None) };
                Ok(Picture::decode(&autotiler_model::files::read(file)?).ok())
            }
            Kind::Video(_) => Ok(None),
        }
    }
}

/// The pictures that the edge will take, in its order.
fn pictures_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("--images {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let ending = path.extension().map(|e| e.to_ascii_lowercase().to_string_lossy().into_owned());
        if matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png")) {
            files.push(path);
        }
    }
    anyhow::ensure!(!files.is_empty(), "--images {}: it holds no .jpg, .jpeg or .png", dir.display());
    files.sort();
    Ok(files)
}

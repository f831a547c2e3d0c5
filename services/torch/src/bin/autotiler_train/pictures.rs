//! Pictures to train tilers on: a VOC data set, or the generated world. Their truth is not needed.

use std::path::Path;

use anyhow::{Context, Result};
use autotiler_scene::{Picture, VocSet, World, WorldOptions, world};
use autotiler_torch::train::street::CAMERA_SIDE;

/// Name of the generated world in place of a directory.
const GENERATED: &str = "generated";
/// Pictures of a generated set unless a limit says otherwise.
const GENERATED_LEN: usize = 1200;
/// Of a generated set that validates.
const GENERATED_VALIDATION_LEN: usize = 150;

/// A set that is read picture by picture.
pub(crate) enum Pictures {
    Voc(VocSet),
    Generated { world: World, len: usize },
}

impl Pictures {
    /// The set `set` of `data`.
    pub(crate) fn open(data: &Path, set: &str, classes: &[String]) -> Result<Self> {
        if data.as_os_str() != GENERATED {
            let open = VocSet::open(data, set, classes);
            return Ok(Self::Voc(open.with_context(|| format!("opening the set {set}"))?));
        }
        let (seed, len) = match set {
            "train" => (world::TRAINING_SEED, GENERATED_LEN),
            "val" => (world::VALIDATION_SEED, GENERATED_VALIDATION_LEN),
            other => anyhow::bail!("set {other:?}: the generated world has train and val"),
        };
        let (width, height) = (CAMERA_SIDE, CAMERA_SIDE);
        Ok(Self::Generated { world: World::new(WorldOptions { seed, width, height }), len })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Voc(set) => set.len(),
            Self::Generated { len, .. } => *len,
        }
    }

    /// Picture `index`; none, with a line on standard error, when it cannot be read.
    pub(crate) fn load(&self, index: usize) -> Option<Picture> {
        match self {
            Self::Voc(set) => match set.load(index)? {
                Ok(picture) => Some(picture.picture),
                Err(error) => {
                    eprintln!("skipped: {:#}", anyhow::Error::from(error));
                    None
                }
            },
            Self::Generated { world, .. } => Some(world.scene(u32::try_from(index).ok()?).picture),
        }
    }
}

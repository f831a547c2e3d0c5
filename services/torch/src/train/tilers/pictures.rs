//! Pictures to train tilers on: a VOC data set, or the generated world. Their truth is not needed.

use std::path::Path;

use autotiler_scene::{Picture, VocError, VocSet, World, WorldOptions, world};

use crate::train::street::CAMERA_SIDE;

/// Name of the generated world in place of a directory.
pub const GENERATED: &str = "generated";
/// Pictures of a generated set unless a limit says otherwise.
const GENERATED_LEN: usize = 1200;
/// Of a generated set that validates.
const GENERATED_VALIDATION_LEN: usize = 150;

/// A set that is read picture by picture.
#[derive(Debug)]
pub enum Pictures {
    /// On disk.
    Voc(VocSet),
    /// Drawn when asked for.
    Generated {
        /// The world.
        world: World,
        /// Its seed.
        seed: u64,
        /// Pictures.
        len: usize,
    },
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub enum PicturesError {
    /// The data set.
    #[error(transparent)]
    Voc(#[from] VocError),
    /// The generated world has two sets.
    #[error("set {0:?}: the generated world has train and val")]
    Generated(String),
}

impl Pictures {
    /// The set `set` of `data`.
    ///
    /// # Errors
    /// [`PicturesError`].
    pub fn open(data: &Path, set: &str, classes: &[String]) -> Result<Self, PicturesError> {
        if data.as_os_str() != GENERATED {
            return Ok(Self::Voc(VocSet::open(data, set, classes)?));
        }
        let (seed, len) = match set {
            "train" => (world::TRAINING_SEED, GENERATED_LEN),
            "val" => (world::VALIDATION_SEED, GENERATED_VALIDATION_LEN),
            other => return Err(PicturesError::Generated(other.to_owned())),
        };
        let (width, height) = (CAMERA_SIDE, CAMERA_SIDE);
        Ok(Self::Generated { world: World::new(WorldOptions { seed, width, height }), seed, len })
    }

    /// Pictures that the set names.
    pub fn len(&self) -> usize {
        match self {
            Self::Voc(set) => set.len(),
            Self::Generated { len, .. } => *len,
        }
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the first `count` pictures, one a line: what tells one data set from another.
    pub fn names(&self, count: usize) -> String {
        match self {
            Self::Voc(set) => set.ids().iter().take(count).map(String::as_str).collect::<Vec<_>>().join("\n"),
            Self::Generated { seed, .. } => format!("generated {seed}: {count}"),
        }
    }

    /// Picture `index`.
    ///
    /// # Errors
    /// [`VocError`] when it cannot be read; none past the end.
    pub fn load(&self, index: usize) -> Option<Result<Picture, VocError>> {
        match self {
            Self::Voc(set) => Some(set.load(index)?.map(|picture| picture.picture)),
            Self::Generated { world, .. } => Some(Ok(world.scene(u32::try_from(index).ok()?).picture)),
        }
    }
}

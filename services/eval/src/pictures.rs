//! Pictures with their truth: a VOC data set, or the generated world.

use std::path::Path;

use autotiler_core::GroundTruth;
use autotiler_scene::{
    Picture, World, WorldOptions,
    voc::{VocError, VocPicture, VocSet},
    world,
};

/// Name of the built-in world in place of a directory.
pub const GENERATED: &str = "generated";

/// Sides of generated pictures that are scored.
const GENERATED_SIDE: usize = 416;
/// Pictures of a generated set unless `--limit` says otherwise.
const GENERATED_LEN: usize = 300;

/// Why there are no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The generated world has other sets.
    #[error("set {0:?}: the generated world has train, val and test")]
    Generated(String),
    /// A data set on disk.
    #[error("opening the set {set}")]
    Voc {
        /// The list.
        set: String,
        /// What is wrong with it.
        #[source]
        source: VocError,
    },
}

/// One picture.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name in the set.
    pub name: String,
    /// The picture, at its own size.
    pub picture: Picture,
    /// What is in it.
    pub truth: Vec<GroundTruth>,
}

/// A set that is read picture by picture.
pub struct PictureSet {
    name: String,
    kind: Kind,
}

enum Kind {
    /// Sets with the number of pictures used of each.
    Voc(Vec<(VocSet, usize)>),
    Generated {
        world: World,
        len: usize,
    },
}

impl PictureSet {
    /// The first `limit` pictures of `set`: lists of ImageSets/Main joined by commas, or for [`GENERATED`]
    /// data train, val or test, which never share a scene. `classes` are the network's.
    ///
    /// # Errors
    /// [`SetError`]: a list, its folder or a class that is not there.
    pub fn open(data: &Path, set: &str, limit: Option<usize>, classes: &[String]) -> Result<Self, SetError> {
        let kind = if data.as_os_str() == GENERATED {
            let seed = match set {
                "train" => world::TRAINING_SEED,
                "val" => world::VALIDATION_SEED,
                "test" => world::TEST_SEED,
                other => return Err(SetError::Generated(other.to_owned())),
            };
            let side = GENERATED_SIDE;
            let world = World::new(WorldOptions { seed, width: side, height: side });
            Kind::Generated { world, len: limit.unwrap_or(GENERATED_LEN) }
        } else {
            let mut left = limit.unwrap_or(usize::MAX);
            let mut sets = Vec::new();
            for name in set.split(',').map(str::trim) {
                let opened = VocSet::open(data, name, classes);
                let set = opened.map_err(|source| SetError::Voc { set: name.to_owned(), source })?;
                let used = set.len().min(left);
                left -= used;
                sets.push((set, used));
            }
            Kind::Voc(sets)
        };
        Ok(Self { name: set.to_owned(), kind })
    }

    /// As given to [`PictureSet::open`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pictures in it.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Voc(sets) => sets.iter().map(|(_, used)| used).sum(),
            Kind::Generated { len, .. } => *len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picture `index`; none, with a line on standard error, when it cannot be read.
    pub fn load(&self, index: usize) -> Option<Sample> {
        match &self.kind {
            Kind::Voc(sets) => {
                let mut at = index;
                let set = sets.iter().find_map(|(set, used)| {
                    let here = at;
                    at = at.wrapping_sub(*used);
                    (here < *used).then_some((set, here))
                });
                let (set, at) = set?;
                match set.load(at)? {
                    Ok(VocPicture { id, picture, truth, .. }) => Some(Sample { name: id, picture, truth }),
                    Err(error) => {
                        eprintln!("skipped: {:#}", anyhow::Error::from(error));
                        None
                    }
                }
            }
            Kind::Generated { world, .. } => {
                let scene = world.scene(u32::try_from(index).ok()?);
                Some(Sample { name: format!("scene {index}"), picture: scene.picture, truth: scene.truth })
            }
        }
    }
}

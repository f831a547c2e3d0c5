//! Pictures with their truth: a VOC data set, or the generated world.

use std::path::PathBuf;

use anyhow::Context as _;
use autotiler_core::GroundTruth;
use autotiler_scene::{
    Picture, World, WorldOptions,
    voc::{VocPicture, VocSet},
};

/// Sides of generated pictures that are scored.
const GENERATED_SIDE: usize = 416;
/// Pictures of a generated set unless `--limit` says otherwise.
const GENERATED_LEN: usize = 300;

/// Which pictures.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct SetArgs {
    /// VOC devkit (JPEGImages, Annotations, ImageSets/Main), or `generated` for the built-in world.
    #[arg(long, value_name = "VOCDIR")]
    pub(crate) data: PathBuf,
    /// Lists of ImageSets/Main, joined by commas: test_voc,test_coco. For the generated world train, val or
    /// test, which never share a scene.
    #[arg(long, default_value = "train", value_name = "SET")]
    pub(crate) set: String,
    /// Use only the first so many pictures.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// One picture.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) picture: Picture,
    pub(crate) truth: Vec<GroundTruth>,
}

/// A set that is read picture by picture.
pub(crate) struct PictureSet {
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
    pub(crate) fn open(args: &SetArgs, classes: &[String]) -> anyhow::Result<Self> {
        let kind = if args.data.as_os_str() == "generated" {
            let seed = match args.set.as_str() {
                "train" => autotiler_scene::world::TRAINING_SEED,
                "val" => autotiler_scene::world::VALIDATION_SEED,
                "test" => autotiler_scene::world::TEST_SEED,
                other => anyhow::bail!("--set {other:?}: the generated world has train, val and test"),
            };
            let side = GENERATED_SIDE;
            let world = World::new(WorldOptions { seed, width: side, height: side });
            Kind::Generated { world, len: args.limit.unwrap_or(GENERATED_LEN) }
        } else {
            let mut left = args.limit.unwrap_or(usize::MAX);
            let mut sets = Vec::new();
            for name in args.set.split(',').map(str::trim) {
                let set = VocSet::open(&args.data, name, classes)
                    .with_context(|| format!("opening the set {name} of {}", args.data.display()))?;
                let used = set.len().min(left);
                left -= used;
                sets.push((set, used));
            }
            Kind::Voc(sets)
        };
        Ok(Self { name: args.set.clone(), kind })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            Kind::Voc(sets) => sets.iter().map(|(_, used)| used).sum(),
            Kind::Generated { len, .. } => *len,
        }
    }

    /// Picture `index`; none, with a line on standard error, when it cannot be read.
    pub(crate) fn load(&self, index: usize) -> Option<Sample> {
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

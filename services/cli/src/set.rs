//! The options that say which pictures.

use std::path::PathBuf;

use anyhow::Context as _;
use autotiler_eval::PictureSet;

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

impl SetArgs {
    pub(crate) fn open(&self, classes: &[String]) -> anyhow::Result<PictureSet> {
        let set = PictureSet::open(&self.data, &self.set, self.limit, classes);
        set.with_context(|| format!("opening the pictures of {}", self.data.display()))
    }
}

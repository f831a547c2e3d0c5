//! The sections of a recipe, what they hold where they are silent, and what their numbers may be.

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_hevc::Preset;
use autotiler_model::Precision;
use serde::{Deserialize, Serialize};

use super::RecipeError;

/// A partition point and a compression ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Point {
    /// Partition point.
    pub layer: LayerIndex,
    /// Compression ratio.
    pub cr: CompressionRatio,
}

impl std::fmt::Display for Point {
    /// `35:1`, as `--only` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.layer, self.cr)
    }
}

impl std::str::FromStr for Point {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("point {text:?} must be LAYER:CR, like 35:1");
        let (layer, cr) = text.split_once(':').ok_or_else(bad)?;
        let layer = LayerIndex(layer.trim().parse().map_err(|_| bad())?);
        Ok(Self { layer, cr: cr.trim().parse().map_err(|_| bad())? })
    }
}

/// Which pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PictureRecipe {
    /// Set to learn from.
    pub train: String,
    /// Set to choose with.
    pub validation: String,
    /// Only the first so many of each set.
    pub limit: Option<usize>,
    /// Learn from mirrored pictures as well.
    pub mirrored: bool,
}

impl Default for PictureRecipe {
    fn default() -> Self {
        Self { train: "train".to_owned(), validation: "val".to_owned(), limit: None, mirrored: true }
    }
}

/// Numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TrainingRecipe {
    /// Optimiser steps, at most.
    pub steps: u64,
    /// Pictures in a step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of the linear rise of the learning rate.
    pub warm_up: u64,
    /// Finest gain that is trained, in the steps of the frame header: 24 halve the plane.
    pub finest_gain: u8,
    /// Coarsest gain that is trained.
    pub coarsest_gain: u8,
    /// Steps between validations and checkpoints.
    pub validate_every: u64,
    /// Validations without a new best after which training ends.
    pub patience: u32,
    /// Seed of first weights, order of pictures and gains.
    pub seed: u64,
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            steps: 500,
            batch: 8,
            learning_rate: 6e-4,
            warm_up: 50,
            finest_gain: 0,
            coarsest_gain: 60,
            validate_every: 100,
            patience: 4,
            seed: 1,
        }
    }
}

/// Settings of the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecPreset {
    /// x265 ultrafast with rate-distortion optimised quantisation.
    #[default]
    Fast,
    /// Superfast with the same: fewer bits for several times the time.
    Quality,
}

impl From<CodecPreset> for Preset {
    fn from(preset: CodecPreset) -> Self {
        match preset {
            CodecPreset::Fast => Self::Fast,
            CodecPreset::Quality => Self::Quality,
        }
    }
}

/// Widths of `lite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LiteRecipe {
    /// Maps inside the device's network that tells what the detector is sensitive to; 0 for a device that runs the
    /// transform alone. A plane of fewer than 8 maps has none.
    pub importance_width: usize,
    /// Layers of it that look around.
    pub importance_layers: usize,
    /// Steps of its training.
    pub importance_steps: u64,
    /// Maps inside the decoder's branch.
    pub decoder_width: usize,
    /// Residual blocks in the decoder's branch.
    pub decoder_blocks: usize,
}

impl Default for LiteRecipe {
    fn default() -> Self {
        Self {
            importance_width: 32,
            importance_layers: 3,
            importance_steps: 1500,
            decoder_width: 32,
            decoder_blocks: 3,
        }
    }
}

/// Precision of stored weights where the recipe is silent.
pub(super) fn default_precision() -> Precision {
    Precision::I8
}

/// An error unless `fine`.
pub(crate) fn hold(
    fine: bool,
    key: &'static str,
    value: impl ToString,
    allowed: &'static str,
) -> Result<(), RecipeError> {
    if fine { Ok(()) } else { Err(RecipeError::Value { key, value: value.to_string(), allowed }) }
}

impl PictureRecipe {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        let named = |name: &str| !name.is_empty() && !name.contains(['/', '\\']);
        hold(named(&self.train), "pictures.train", &self.train, "the name of a set")?;
        hold(named(&self.validation), "pictures.validation", &self.validation, "the name of a set")?;
        hold(self.limit != Some(0), "pictures.limit", 0, "a whole number from 1, or nothing")
    }
}

impl TrainingRecipe {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        let Self { steps, batch, learning_rate, warm_up, validate_every, patience, .. } = *self;
        hold((1..=10_000_000).contains(&steps), "training.steps", steps, "1 to 10000000")?;
        hold((1..=1024).contains(&batch), "training.batch", batch, "1 to 1024")?;
        let rate = learning_rate > 0.0 && learning_rate <= 0.1;
        hold(rate, "training.learningRate", learning_rate, "a number above 0, up to 0.1")?;
        hold(warm_up <= steps, "training.warmUp", warm_up, "0 to training.steps")?;
        let gains = self.finest_gain <= self.coarsest_gain;
        hold(gains, "training.finestGain", self.finest_gain, "0 to training.coarsestGain")?;
        let coarsest = self.coarsest_gain <= 120;
        hold(coarsest, "training.coarsestGain", self.coarsest_gain, "training.finestGain to 120")?;
        hold(validate_every >= 1, "training.validateEvery", validate_every, "a whole number from 1")?;
        hold(patience >= 1, "training.patience", patience, "a whole number from 1")
    }
}

impl LiteRecipe {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        let width = 1..=1024;
        hold(self.importance_width <= 1024, "lite.importanceWidth", self.importance_width, "0 to 1024")?;
        hold(self.importance_layers <= 16, "lite.importanceLayers", self.importance_layers, "0 to 16")?;
        let steps = self.importance_steps;
        hold((1..=10_000_000).contains(&steps), "lite.importanceSteps", steps, "1 to 10000000")?;
        hold(width.contains(&self.decoder_width), "lite.decoderWidth", self.decoder_width, "1 to 1024")?;
        hold(self.decoder_blocks <= 64, "lite.decoderBlocks", self.decoder_blocks, "0 to 64")
    }
}

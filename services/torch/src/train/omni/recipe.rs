//! Numbers of a run that trains the shared restorer.

use std::path::PathBuf;

use autotiler_core::{CompressionRatio, Gain};
use serde::{Deserialize, Serialize};

/// A network that the restorer learns from, or is tried on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TeacherRecipe {
    /// Model directory; left out, it is the one that the tilers are trained for.
    #[serde(default)]
    pub model: PathBuf,
    /// VOC devkit, or `generated`; left out, it is the one that the tilers are trained with.
    #[serde(default)]
    pub data: PathBuf,
    /// Partition points.
    pub layers: Vec<u16>,
    /// Compression ratios of each point.
    #[serde(default = "full_rank")]
    pub ratios: Vec<CompressionRatio>,
}

/// A training of the restorer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OmniRecipe {
    /// What it learns from.
    pub teachers: Vec<TeacherRecipe>,
    /// What it is only tried on: networks and points that it never sees.
    #[serde(default)]
    pub unseen: Vec<TeacherRecipe>,
    /// The training itself.
    #[serde(default)]
    pub training: OmniTraining,
}

/// Numbers of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OmniTraining {
    /// Optimiser steps, at most.
    pub steps: u64,
    /// Pictures per step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of the linear rise of the learning rate.
    pub warm_up: u64,
    /// Finest and coarsest gain that are drawn, in steps of 1/24 halving.
    pub gains: (Gain, Gain),
    /// Gains that are validated at.
    pub validation_gains: Vec<Gain>,
    /// Steps between validations.
    pub validate_every: u64,
    /// Validations without a new best after which the run ends.
    pub patience: u32,
    /// Weight of the feature map's error beside the divergence of the heads, both in shares of what they are
    /// without a restorer.
    pub feature_weight: f64,
    /// Standard deviation, in octaves, of what is added to the fitted deviations of the maps: on pictures of
    /// another world they are never quite right.
    pub deviation_jitter: f64,
    /// Maps inside the restorer.
    pub width: usize,
    /// Only the first so many pictures to learn from.
    pub pictures: Option<usize>,
    /// Only the first so many pictures to validate with.
    pub validation_pictures: Option<usize>,
    /// Seed of first weights, order of pictures, gains and jitter.
    pub seed: u64,
}

impl Default for OmniTraining {
    fn default() -> Self {
        Self {
            steps: 400,
            batch: 8,
            learning_rate: 3e-3,
            warm_up: 30,
            gains: (Gain(16), Gain(72)),
            validation_gains: vec![Gain(28), Gain(40), Gain(52), Gain(64)],
            validate_every: 100,
            patience: 4,
            feature_weight: 0.25,
            deviation_jitter: 0.5,
            width: 8,
            pictures: Some(480),
            validation_pictures: Some(64),
            seed: 1,
        }
    }
}

fn full_rank() -> Vec<CompressionRatio> {
    vec![CompressionRatio::ONE]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_means_the_defaults_and_unknown_keys_are_refused() {
        let text = r#"{"teachers": [{"model": "m", "data": "generated", "layers": [4, 15]}]}"#;
        let read: OmniRecipe = serde_json::from_str(text).unwrap();
        assert_eq!(read.training, OmniTraining::default());
        assert_eq!(read.teachers[0].ratios, [CompressionRatio::ONE]);
        let text = r#"{"teachers": [], "training": {"stepz": 3}}"#;
        assert!(serde_json::from_str::<OmniRecipe>(text).is_err());
    }
}

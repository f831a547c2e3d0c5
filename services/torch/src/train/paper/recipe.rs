//! Numbers of a run that trains the paper's tilers.

use serde::{Deserialize, Serialize};

/// Which tilers are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// One core for all points and ratios, kind `paper`.
    Variable,
    /// A model of its own for each point and ratio, kind `paper-solo`.
    Independent,
    /// The simple autoencoder of the deepest point, kind `ae`.
    Autoencoder,
}

/// How the three points of the core take turns. The paper "loaded the activations from the 15th, 24th, and 36th
/// layer sequentially", which can be read either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreTurns {
    /// Batch by batch, in one run.
    #[default]
    Batch,
    /// One run for each point, one after the other. The first is then forgotten: on the embedded detector its
    /// error grew from 0.16 of the variance to 3.3 while the others were learned.
    Point,
}

/// Learning rates of Adam, constant over a run. The defaults are the paper's (section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LearningRates {
    /// Core encoders and decoders; also the independent variant, of which the paper says nothing.
    pub core: f64,
    /// Compatibility networks of the shallowest point.
    pub shallow: f64,
    /// Compatibility networks of the middle point.
    pub middle: f64,
    /// Simple autoencoder at the fine ratio.
    pub autoencoder_fine: f64,
    /// Simple autoencoder at the coarse ratio.
    pub autoencoder_coarse: f64,
}

impl Default for LearningRates {
    fn default() -> Self {
        Self { core: 3e-4, shallow: 5e-4, middle: 1e-5, autoencoder_fine: 3e-3, autoencoder_coarse: 1e-3 }
    }
}

/// A whole training of the paper's tilers for one network. The defaults are the paper's where it says them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PaperRecipe {
    /// Partition points: the shallowest, the middle, and three of the same shape, in order.
    pub points: [u16; 5],
    /// What is trained.
    #[serde(default = "all_variants")]
    pub variants: Vec<Variant>,
    /// Passes over the pictures, at most, of one run.
    #[serde(default = "paper_epochs")]
    pub epochs: u32,
    /// Passes without a new best on validation after which a run ends.
    #[serde(default = "paper_patience")]
    pub patience: u32,
    /// How the core's three points take turns.
    #[serde(default)]
    pub core_turns: CoreTurns,
    /// Start the coarse decoders, and the fine compatibility decoders, as copies of what is trained already. The
    /// paper says nothing of it; it spares a short run the most.
    #[serde(default)]
    pub warm_start: bool,
    /// Pictures per step.
    #[serde(default = "sixteen")]
    pub batch: usize,
    /// Only the first so many pictures to learn from.
    #[serde(default)]
    pub pictures: Option<usize>,
    /// Only the first so many pictures to validate with.
    #[serde(default)]
    pub validation_pictures: Option<usize>,
    /// Learning rates.
    #[serde(default)]
    pub learning_rates: LearningRates,
    /// Feature maps are remembered while they take less memory than this, and made anew for each batch else.
    #[serde(default = "memory_mib")]
    pub memory_mib: u64,
    /// Seed of first weights and of the order of pictures.
    #[serde(default = "seed")]
    pub seed: u64,
}

impl PaperRecipe {
    /// The paper's own numbers for these points.
    pub fn of_points(points: [u16; 5]) -> Self {
        Self {
            points,
            variants: all_variants(),
            epochs: paper_epochs(),
            patience: paper_patience(),
            core_turns: CoreTurns::default(),
            warm_start: false,
            batch: sixteen(),
            pictures: None,
            validation_pictures: None,
            learning_rates: LearningRates::default(),
            memory_mib: memory_mib(),
            seed: seed(),
        }
    }
}

fn all_variants() -> Vec<Variant> {
    vec![Variant::Variable, Variant::Independent, Variant::Autoencoder]
}

fn paper_epochs() -> u32 {
    60
}

fn paper_patience() -> u32 {
    5
}

fn sixteen() -> usize {
    16
}

fn memory_mib() -> u64 {
    2048
}

fn seed() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recipe_leaves_out_is_the_papers() {
        let read: PaperRecipe = serde_json::from_str(r#"{"points": [4, 11, 15, 24, 36]}"#).unwrap();
        assert_eq!(read, PaperRecipe::of_points([4, 11, 15, 24, 36]));
        assert_eq!((read.epochs, read.patience, read.batch), (60, 5, 16));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let read = |text| serde_json::from_str::<PaperRecipe>(text);
        assert!(read(r#"{"points": [4, 11, 15, 24, 36], "epoch": 3}"#).is_err());
        assert!(read(r#"{"points": [4, 11, 15, 24, 36], "learning_rates": {"deep": 3}}"#).is_err());
    }
}

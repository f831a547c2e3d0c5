//! Recipes: YAML files that say all there is to say about how the tilers of a network are trained.

mod defaults;
mod error;
mod family;
mod preset;
mod sections;

pub use defaults::default_points;
pub use error::RecipeError;
pub use preset::TilerPreset;
pub use sections::{CodecPreset, LiteRecipe, PictureRecipe, Point, TrainingRecipe};

use std::path::Path;

use autotiler_core::Gain;
use autotiler_graph::{
    darknet::Network,
    tiler::{ImportanceShape, LiteShape},
};
use autotiler_model::Precision;
use serde::{Deserialize, Serialize};

use self::preset::BUILT_IN;
use super::{omni::OmniRecipe, paper::PaperRecipe, tiler::Recipe};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// Where in the range of trained gains tilers are validated.
const VALIDATED_AT: [f64; 4] = [3.0 / 14.0, 6.0 / 14.0, 9.0 / 14.0, 12.0 / 14.0];

/// A recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecipeFile {
    /// Version of the format: 1.
    pub format: u32,
    /// Which family it is for.
    pub preset: TilerPreset,
    /// `lite`: partition points and ratios; none lets them be chosen from the network.
    #[serde(default)]
    pub points: Vec<Point>,
    /// Pictures.
    #[serde(default)]
    pub pictures: PictureRecipe,
    /// The run.
    #[serde(default)]
    pub training: TrainingRecipe,
    /// Codec in the loop.
    #[serde(default)]
    pub codec: CodecPreset,
    /// How the weights are stored.
    #[serde(default = "sections::default_precision")]
    pub precision: Precision,
    /// Widths of `lite`.
    #[serde(default)]
    pub lite: LiteRecipe,
    /// `paper` alone: the whole training; none means the paper's numbers at points chosen from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<PaperRecipe>,
    /// `omni` alone: the training of the restorer; none takes the one that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omni: Option<OmniRecipe>,
}

impl RecipeFile {
    /// The recipe that is followed where none is named: a file `NAME.PRESET.yaml` in `recipes` beside the
    /// model, then one that comes with the program for a network of this name, then one for any network. Names are
    /// compared in lower case.
    ///
    /// # Errors
    /// [`RecipeError`] when the file is there and wrong.
    pub fn find(model_dir: &Path, name: &str, preset: TilerPreset) -> Result<Self, RecipeError> {
        let name = name.to_ascii_lowercase();
        let file = model_dir.with_file_name("recipes").join(format!("{name}.{preset}.yaml"));
        if file.exists() {
            return Self::read(&file);
        }
        let known = BUILT_IN.iter().find(|(of, which, _)| *of == name.as_str() && *which == preset);
        match known {
            Some((_, _, text)) => Self::parse(text, &format!("for {name}")),
            None => Ok(Self::for_any(preset)),
        }
    }

    /// The recipe for networks that have none of their own.
    pub fn for_any(preset: TilerPreset) -> Self {
        Self {
            format: FORMAT,
            preset,
            points: Vec::new(),
            pictures: PictureRecipe::default(),
            training: TrainingRecipe::default(),
            codec: CodecPreset::default(),
            precision: sections::default_precision(),
            lite: LiteRecipe::default(),
            paper: None,
            omni: None,
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`RecipeError`], which names the key and what is allowed.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let read = |source| RecipeError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads and checks a text; `name` stands in messages.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn parse(text: &str, name: &str) -> Result<Self, RecipeError> {
        let yaml = |source| RecipeError::Yaml { name: name.to_owned(), source };
        let recipe: Self = serde_yaml::from_str(text).map_err(yaml)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether every number is one that can be followed.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn check(&self) -> Result<(), RecipeError> {
        if self.format != FORMAT {
            return Err(RecipeError::Format(self.format));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(point) = self.points.iter().find(|point| !seen.insert(**point)) {
            return Err(RecipeError::Twice(point.layer.0, point.cr.get()));
        }
        self.pictures.check()?;
        self.training.check()?;
        self.lite.check()?;
        self.check_family()
    }

    /// The points, chosen from the network where the recipe names none.
    ///
    /// # Errors
    /// [`RecipeError::NoPoints`].
    pub fn points_for(&self, network: &Network) -> Result<Vec<Point>, RecipeError> {
        let points = if self.points.is_empty() { default_points(network) } else { self.points.clone() };
        if points.is_empty() { Err(RecipeError::NoPoints) } else { Ok(points) }
    }

    /// Numbers of a run of `lite`.
    pub fn run(&self) -> Recipe {
        let t = &self.training;
        let (finest, coarsest) = (f64::from(t.finest_gain), f64::from(t.coarsest_gain));
        Recipe {
            steps: t.steps,
            batch: t.batch,
            learning_rate: t.learning_rate,
            warm_up_steps: t.warm_up,
            gains: (Gain(t.finest_gain), Gain(t.coarsest_gain)),
            validation_gains: VALIDATED_AT
                .map(|at| Gain((finest + at * (coarsest - finest)).round() as u8))
                .to_vec(),
            validate_every: t.validate_every,
            patience: t.patience,
            importance_steps: self.lite.importance_steps,
            seed: t.seed,
            precision: self.precision,
        }
    }

    /// Widths of `lite`.
    pub fn shape(&self) -> LiteShape {
        let importance =
            ImportanceShape { width: self.lite.importance_width, layers: self.lite.importance_layers };
        LiteShape {
            importance: (importance.width > 0).then_some(importance),
            decoder_width: self.lite.decoder_width,
            decoder_blocks: self.lite.decoder_blocks,
        }
    }
}

#[cfg(test)]
mod tests;

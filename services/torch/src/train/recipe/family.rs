//! What a recipe says of `paper` and `omni`.

use autotiler_core::Gain;
use autotiler_graph::{darknet::Network, partition, tiler::PaperPlan};

use super::{LiteRecipe, RecipeError, RecipeFile, TilerPreset, TrainingRecipe, sections::hold};
use crate::train::{
    omni::{OmniRecipe, TeacherRecipe},
    paper::PaperRecipe,
};

/// Sections of `lite` alone, as they are named in a file.
const LITE_SECTIONS: [&str; 2] = ["training", "lite"];
/// Coarsest gain that a frame header carries.
const COARSEST: Gain = Gain(120);

impl RecipeFile {
    /// The sections that say something to this preset, as YAML.
    pub fn to_yaml(&self) -> String {
        let mut all = serde_yaml::to_value(self).unwrap_or_default();
        if let (true, Some(sections)) = (self.preset != TilerPreset::Lite, all.as_mapping_mut()) {
            LITE_SECTIONS.iter().for_each(|name| drop(sections.remove(*name)));
            let mut drop_unless = |kept: bool, name: &str| (!kept).then(|| sections.remove(name));
            drop_unless(self.preset == TilerPreset::Omni, "codec");
            drop_unless(self.preset == TilerPreset::Omni, "points");
        }
        serde_yaml::to_string(&all).unwrap_or_default()
    }

    /// The paper's training for `network`: as the recipe says, else the paper's numbers at points chosen from the
    /// network. The limit on pictures counts for both.
    ///
    /// # Errors
    /// [`RecipeError::Paper`] when there is nothing to choose.
    pub fn paper_for(&self, network: &Network) -> Result<PaperRecipe, RecipeError> {
        let mut paper = match &self.paper {
            Some(paper) => paper.clone(),
            None => PaperRecipe::of_points(choose(network)?),
        };
        let limit = self.pictures.limit;
        paper.pictures = least(paper.pictures, limit);
        paper.validation_pictures = least(paper.validation_pictures, limit);
        Ok(paper)
    }

    /// The training of the restorer, if the recipe has one; the limit on pictures counts for it too.
    pub fn omni_training(&self) -> Option<OmniRecipe> {
        let mut omni = self.omni.clone().filter(|omni| !omni.teachers.is_empty())?;
        let limit = self.pictures.limit;
        omni.training.pictures = least(omni.training.pictures, limit);
        omni.training.validation_pictures = least(omni.training.validation_pictures, limit);
        Some(omni)
    }

    /// Another seed for whatever is trained.
    pub fn set_seed(&mut self, seed: u64) {
        match self.preset {
            TilerPreset::Lite => self.training.seed = seed,
            TilerPreset::Paper => self.paper.iter_mut().for_each(|paper| paper.seed = seed),
            TilerPreset::Omni => self.omni.iter_mut().for_each(|omni| omni.training.seed = seed),
        }
    }

    /// Another number of optimiser steps, or of epochs for `paper`.
    pub fn set_length(&mut self, length: u64) {
        let epochs = u32::try_from(length).unwrap_or(u32::MAX);
        match self.preset {
            TilerPreset::Lite => {
                self.training.steps = length;
                self.training.warm_up = self.training.warm_up.min(length);
            }
            TilerPreset::Paper => self.paper.iter_mut().for_each(|paper| paper.epochs = epochs),
            TilerPreset::Omni => {
                let trainings = self.omni.iter_mut().map(|omni| &mut omni.training);
                trainings.for_each(|training| {
                    training.steps = length;
                    training.warm_up = training.warm_up.min(length);
                });
            }
        }
    }

    /// Sections that belong to another preset, and numbers that cannot be followed.
    pub(super) fn check_family(&self) -> Result<(), RecipeError> {
        let preset = self.preset;
        let belongs = |fine: bool, key| if fine { Ok(()) } else { Err(RecipeError::Section { key, preset }) };
        belongs(preset == TilerPreset::Paper || self.paper.is_none(), "paper")?;
        belongs(preset == TilerPreset::Omni || self.omni.is_none(), "omni")?;
        let lite = preset == TilerPreset::Lite;
        belongs(lite || self.training == TrainingRecipe::default(), "training")?;
        belongs(lite || self.lite == LiteRecipe::default(), "lite")?;
        belongs(preset != TilerPreset::Paper || self.points.is_empty(), "points")?;
        self.paper.as_ref().map_or(Ok(()), check_paper)?;
        self.omni.as_ref().map_or(Ok(()), check_omni)
    }
}

/// The smaller of two limits, where there are any.
fn least(own: Option<usize>, limit: Option<usize>) -> Option<usize> {
    own.into_iter().chain(limit).min()
}

/// Five points of `network`.
fn choose(network: &Network) -> Result<[u16; 5], RecipeError> {
    let all: Vec<_> = partition::points(network).iter().map(|point| (point.layer, point.shape)).collect();
    let plan = PaperPlan::choose(&all)?;
    let mut layers = [0; 5];
    layers.iter_mut().zip(plan.points()).for_each(|(layer, point)| *layer = point.layer.0);
    Ok(layers)
}

fn check_paper(paper: &PaperRecipe) -> Result<(), RecipeError> {
    let from_one = "a whole number from 1";
    hold(!paper.variants.is_empty(), "paper.variants", "empty", "variable, independent, autoencoder")?;
    hold(paper.epochs >= 1, "paper.epochs", paper.epochs, from_one)?;
    hold(paper.patience >= 1, "paper.patience", paper.patience, from_one)?;
    hold((1..=1024).contains(&paper.batch), "paper.batch", paper.batch, "1 to 1024")?;
    hold(paper.pictures != Some(0), "paper.pictures", 0, from_one)?;
    hold(paper.validation_pictures != Some(0), "paper.validationPictures", 0, from_one)?;
    let rates = &paper.learning_rates;
    for (key, rate) in [
        ("paper.learningRates.core", rates.core),
        ("paper.learningRates.shallow", rates.shallow),
        ("paper.learningRates.middle", rates.middle),
        ("paper.learningRates.autoencoderFine", rates.autoencoder_fine),
        ("paper.learningRates.autoencoderCoarse", rates.autoencoder_coarse),
    ] {
        hold(rate > 0.0 && rate <= 0.1, key, rate, "a number above 0, up to 0.1")?;
    }
    Ok(())
}

fn check_omni(omni: &OmniRecipe) -> Result<(), RecipeError> {
    let from_one = "a whole number from 1";
    let empty = |teacher: &TeacherRecipe| teacher.layers.is_empty() || teacher.ratios.is_empty();
    let whole = !omni.teachers.iter().chain(&omni.unseen).any(empty);
    hold(whole, "omni.teachers", "without layers or ratios", "one layer and ratio at least")?;
    let training = &omni.training;
    let (Gain(fine), Gain(coarse)) = training.gains;
    hold((1..=10_000_000).contains(&training.steps), "omni.training.steps", training.steps, "1 to 10000000")?;
    hold((1..=1024).contains(&training.batch), "omni.training.batch", training.batch, "1 to 1024")?;
    let rate = training.learning_rate;
    hold(rate > 0.0 && rate <= 0.1, "omni.training.learningRate", rate, "a number above 0, up to 0.1")?;
    let warm_up = training.warm_up;
    hold(warm_up <= training.steps, "omni.training.warmUp", warm_up, "0 to omni.training.steps")?;
    let gains = fine <= coarse && coarse <= COARSEST.0;
    hold(gains, "omni.training.gains", format!("{fine}, {coarse}"), "two numbers in order, 0 to 120")?;
    let validation = !training.validation_gains.is_empty();
    let validation = validation && training.validation_gains.iter().all(|gain| gain.0 <= COARSEST.0);
    hold(validation, "omni.training.validationGains", "empty or too large", "numbers from 0 to 120")?;
    let every = training.validate_every;
    hold(every >= 1, "omni.training.validateEvery", every, from_one)?;
    hold(training.patience >= 1, "omni.training.patience", training.patience, from_one)?;
    hold((1..=256).contains(&training.width), "omni.training.width", training.width, "1 to 256")?;
    let weight = training.feature_weight;
    hold(weight >= 0.0 && weight.is_finite(), "omni.training.featureWeight", weight, "a number from 0")?;
    let jitter = training.deviation_jitter;
    hold((0.0..=8.0).contains(&jitter), "omni.training.deviationJitter", jitter, "0 to 8")?;
    hold(training.pictures != Some(0), "omni.training.pictures", 0, from_one)?;
    hold(training.validation_pictures != Some(0), "omni.training.validationPictures", 0, from_one)
}

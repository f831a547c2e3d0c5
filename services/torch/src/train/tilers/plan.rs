//! Which points, with what dimensions, and what identifies each: decided before anything is trained.

use std::collections::BTreeSet;

use autotiler_graph::tiler::TilerSpec;
use autotiler_model::Model;

use super::{Job, JobError, Pictures, digest};
use crate::train::recipe::{Point, RecipeFile};

/// One point of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Which.
    pub point: Point,
    /// Dimensions of its tiler.
    pub spec: TilerSpec,
    /// Digest of recipe, network and data: what is done under it need not be done again.
    pub digest: String,
    /// Whether the job is to do it.
    pub wanted: bool,
}

/// The sets of a job.
#[derive(Debug)]
pub struct Sets {
    /// To learn from.
    pub training: Pictures,
    /// To choose with.
    pub validation: Pictures,
}

impl Sets {
    /// Opens both.
    ///
    /// # Errors
    /// [`JobError::Set`].
    pub fn open(model: &Model, job: &Job<'_>) -> Result<Self, JobError> {
        let open = |set: &str| {
            Pictures::open(job.data, set, &model.manifest.classes)
                .map_err(|source| JobError::Set { set: set.to_owned(), source })
        };
        let pictures = &job.recipe.pictures;
        Ok(Self { training: open(&pictures.train)?, validation: open(&pictures.validation)? })
    }

    /// Digest of the pictures' names.
    pub fn digest(&self, recipe: &RecipeFile) -> String {
        let names = |set: &Pictures| set.names(recipe.pictures.limit.unwrap_or(usize::MAX).min(set.len()));
        digest(&[&names(&self.training), &names(&self.validation)]).to_string()
    }
}

/// The points of the recipe in its order, then those that only the job names; all are wanted unless it names some.
///
/// # Errors
/// [`JobError`] for a layer that is no partition point or a ratio it cannot have.
pub fn points(model: &Model, job: &Job<'_>, data: &str) -> Result<Vec<Planned>, JobError> {
    let recipe = job.recipe;
    let mut all = match recipe.points_for(&model.network) {
        Err(_) if !job.only.is_empty() => Vec::new(),
        points => points?,
    };
    all.extend(job.only.iter().filter(|point| !all.contains(point)).copied().collect::<BTreeSet<_>>());
    let planned = all.into_iter().map(|point| {
        let spec = model.tiler_spec(point.layer, point.cr)?;
        let digest = identity(recipe, point, &model.manifest.digest.to_string(), data);
        let wanted = job.only.is_empty() || job.only.contains(&point);
        Ok(Planned { point, spec, digest, wanted })
    });
    planned.collect()
}

/// Digest of one point's part of the recipe, the network and the data. Other points do not matter to it.
fn identity(recipe: &RecipeFile, point: Point, network: &str, data: &str) -> String {
    let own = RecipeFile { points: vec![point], ..recipe.clone() };
    digest(&[&format!("{own:?}"), network, data]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::TilerPreset;

    #[test]
    fn a_point_is_known_by_its_own_part_of_the_recipe() {
        let recipe = RecipeFile::for_any(TilerPreset::Lite);
        let point: Point = "35:1".parse().unwrap();
        let own = identity(&recipe, point, "network", "data");
        let mut more = recipe.clone();
        more.points = vec![point, "46:1".parse().unwrap()];
        assert_eq!(identity(&more, point, "network", "data"), own);
        more.training.seed = 2;
        assert_ne!(identity(&more, point, "network", "data"), own);
        assert_ne!(identity(&recipe, point, "other", "data"), own);
        assert_ne!(identity(&recipe, point, "network", "other"), own);
        assert_ne!(identity(&recipe, "35:2".parse().unwrap(), "network", "data"), own);
    }
}

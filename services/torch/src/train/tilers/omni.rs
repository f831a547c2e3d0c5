//! The preset `omni`: the shared restorer, trained where the recipe says on what, and the tilers with it.

use std::{path::PathBuf, sync::atomic::Ordering, time::Instant};

use autotiler_graph::tiler::{Omni, Restorer};
use autotiler_hevc::EncoderOptions;
use autotiler_model::{Model, Precision, TilerKind, restorer, weights};
use serde::{Deserialize, Serialize};

use super::{Event, Job, JobError, Listener, Planned, card, digest, done, plan};
use crate::train::{
    checkpoint::replace_file,
    omni::{self, OmniCourse, OmniProgress, OmniRecipe, SubjectScore, TeacherRecipe},
    recipe::Point,
    tiler::lesson::Teacher,
};

/// Name of a trained restorer's file, beside the model.
const RESTORER: &str = "omni.safetensors";

/// One validation of the restorer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OmniValidation {
    pub(super) step: u64,
    pub(super) subjects: Vec<SubjectScore>,
    pub(super) score: f64,
    pub(super) best: bool,
}

/// Mark of a finished training, and its diary before that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OmniDone {
    /// Of recipe, networks and data.
    pub(super) digest: String,
    /// Of the restorer's file.
    pub(super) restorer: String,
    pub(super) curve: Vec<OmniValidation>,
    pub(super) seconds: f64,
}

/// A stored tiler.
pub(super) struct StoredOmni {
    pub(super) point: Point,
    pub(super) digest: String,
    pub(super) encoder_bytes: usize,
    pub(super) encoder_macs: u64,
}

/// Trains the restorer if it is to be and is not yet, then stores the tiler of each point.
pub(super) fn run(model: &mut Model, job: &Job<'_>, hear: &mut Listener<'_>) -> Result<(), JobError> {
    let mut points = plan::points(model, job, "")?;
    points.retain(|planned| planned.wanted);
    let names = points.iter().map(|planned| planned.point.to_string()).collect();
    hear(&Event::Planned { points: names, done: Vec::new() });
    let (restorer, done) = match job.recipe.omni_training() {
        None => (restorer::shipped()?, None),
        Some(recipe) => {
            let (restorer, done) = trained(model, job, with_own(recipe, model, job), hear)?;
            (restorer, Some(done))
        }
    };
    let stored = store(model, job, &points, &restorer, hear)?;
    let card = card::omni::card(&stored, done.as_ref());
    hear(&card::write(&model.dir, &model.manifest.name, job.recipe, &card)?);
    Ok(())
}

/// Model and data of the command where the recipe names none.
fn with_own(mut recipe: OmniRecipe, model: &Model, job: &Job<'_>) -> OmniRecipe {
    for teacher in recipe.teachers.iter_mut().chain(&mut recipe.unseen) {
        if teacher.model.as_os_str().is_empty() {
            teacher.model.clone_from(&model.dir);
        }
        if teacher.data.as_os_str().is_empty() {
            teacher.data = job.data.to_owned();
        }
    }
    recipe
}

/// The restorer of the recipe, from the file of an earlier process where it is there.
fn trained(
    model: &Model,
    job: &Job<'_>,
    recipe: OmniRecipe,
    hear: &mut Listener<'_>,
) -> Result<(Restorer, OmniDone), JobError> {
    let identity = identity(&recipe, job)?;
    let file = |name: &str| job.work.join(name);
    let (mark, diary, checkpoint) = (file("omni.done"), file("omni.diary"), file("omni.checkpoint"));
    let out: PathBuf = model.dir.with_file_name(RESTORER);
    if job.fresh {
        [&mark, &diary, &checkpoint].into_iter().try_for_each(|path| done::remove(path))?;
    }
    if let Some(done) = done::read::<OmniDone>(&mark)? {
        let bytes = std::fs::read(&out).unwrap_or_default();
        if done.digest == identity && done.restorer == autotiler_model::sha256(&[&bytes]).to_string() {
            return Ok((Restorer::from_weights(&weights::decode(&bytes)?), done));
        }
        // A finished run of another recipe is done again; an unfinished one is refused by `train`.
        [&mark, &diary, &checkpoint].into_iter().try_for_each(|path| done::remove(path))?;
    }
    let mut done: OmniDone = done::read(&diary)?.unwrap_or_default();
    if done.digest != identity || !checkpoint.exists() {
        done = OmniDone { digest: identity.clone(), ..OmniDone::default() };
    }
    let began = Instant::now();
    let before = done.seconds;
    let mut gather =
        |teachers: &[TeacherRecipe]| omni::gather(teachers, &recipe.training, job.device, job.stop, hear);
    let (subjects, unseen) = (gather(&recipe.teachers)?, gather(&recipe.unseen)?);
    let mut keep = Ok(());
    let codec = EncoderOptions {
        ffmpeg: job.ffmpeg.clone(),
        preset: job.recipe.codec.into(),
        ..EncoderOptions::default()
    };
    let restorer = omni::train(
        &recipe.training,
        &mut OmniCourse {
            subjects: &subjects,
            unseen: &unseen,
            codec,
            checkpoint: &checkpoint,
            origin: &identity,
            stop: job.stop,
            report: &mut |progress| {
                hear(&Event::Omni { progress: progress.clone() });
                if let OmniProgress::Validated { step, subjects, score, best } = progress {
                    done.curve.retain(|other| other.step < *step);
                    let (step, score, best) = (*step, *score, *best);
                    done.curve.push(OmniValidation { step, subjects: subjects.clone(), score, best });
                    done.seconds = before + began.elapsed().as_secs_f64();
                    if keep.is_ok() {
                        keep = done::write(&diary, &done);
                    }
                }
            },
        },
    )
    .map_err(JobError::Omni)?;
    keep?;
    let bytes = weights::encode(restorer.weights(), Precision::F32)?;
    replace_file(&out, &bytes)?;
    done.restorer = autotiler_model::sha256(&[&bytes]).to_string();
    done.seconds = before + began.elapsed().as_secs_f64();
    done::write(&mark, &done)?;
    Ok((restorer, done))
}

/// Digest of all that the restorer depends on: recipe, networks, names of the pictures.
fn identity(recipe: &OmniRecipe, job: &Job<'_>) -> Result<String, JobError> {
    let mut parts = vec![format!("{:?}{:?}", recipe.training, job.recipe.codec)];
    for teacher in recipe.teachers.iter().chain(&recipe.unseen) {
        let model = Model::load(&teacher.model)?;
        parts.push(format!("{:?}{:?}{}", teacher.layers, teacher.ratios, model.manifest.digest));
        let training = &recipe.training;
        for (set, limit) in [("train", training.pictures), ("val", training.validation_pictures)] {
            let opened = super::Pictures::open(&teacher.data, set, &model.manifest.classes);
            let pictures = opened.map_err(|source| JobError::Set { set: set.to_owned(), source })?;
            parts.push(pictures.names(limit.unwrap_or(usize::MAX).min(pictures.len())));
        }
    }
    Ok(digest(&parts.iter().map(String::as_str).collect::<Vec<_>>()).to_string())
}

/// Stores the tiler of each point, as `autotiler fit --kind omni` makes it, with this restorer.
fn store(
    model: &mut Model,
    job: &Job<'_>,
    points: &[Planned],
    restorer: &Restorer,
    hear: &mut Listener<'_>,
) -> Result<Vec<StoredOmni>, JobError> {
    let mut all = Vec::new();
    for (number, planned) in points.iter().enumerate() {
        if job.stop.load(Ordering::Relaxed) {
            return Err(JobError::Stopped);
        }
        let (point, began) = (planned.point, Instant::now());
        hear(&Event::Point { point: point.to_string(), number: number + 1, of: points.len(), steps: 0 });
        let teacher = Teacher::try_new(&model.network, point.layer, job.device)?;
        let spec = model.tiler_spec_of(TilerKind::Omni, point.layer, point.cr)?;
        let fitted = omni::without_data(model, &teacher, spec);
        let fitted = fitted.map_err(|source| JobError::Training { point, source })?;
        let tiler = Omni { restorer: restorer.clone(), ..fitted };
        let stored = model.store_tiler(TilerKind::Omni, &tiler, job.recipe.precision)?;
        let stored = StoredOmni {
            point,
            digest: stored.digest.to_string(),
            encoder_bytes: stored.encoder_bytes(),
            encoder_macs: stored.encoder_macs(),
        };
        hear(&Event::Stored {
            point: point.to_string(),
            kind: TilerKind::Omni,
            digest: stored.digest.clone(),
            rounding: None,
            seconds: began.elapsed().as_secs_f64(),
        });
        all.push(stored);
    }
    Ok(all)
}

//! The preset `lite`: transform and learned tiler of each point.

use std::time::Instant;

use autotiler_core::LayerIndex;
use autotiler_graph::tiler::AutoTiler;
use autotiler_hevc::EncoderOptions;
use autotiler_model::{Model, Precision, TilerEntry, TilerKind, restorer, weights};

use super::{
    Done, Event, Job, JobError, Listener, Planned, card,
    done::{self, Diary, Files, Validation},
    plan::{self, Sets},
    school::{self, Looked, Witness},
};
use crate::train::{
    recipe::Point,
    tiler::{self, Course, TilerTrainingError, lesson::Teacher, start, trial},
};

/// Trains all points that are not done, pass by pass over the pictures.
pub(super) fn run(model: &mut Model, job: &Job<'_>, hear: &mut Listener<'_>) -> Result<(), JobError> {
    let sets = Sets::open(model, job)?;
    // Learning starts with the shipped restorer: with another one there is something to be learned anew.
    let restorer = weights::encode(restorer::shipped()?.weights(), Precision::F32)?;
    let restorer = autotiler_model::sha256(&[&restorer]);
    let points = plan::points(model, job, &format!("{}{restorer}", sets.digest(job.recipe)))?;
    let files = |point: Point| Files::of(job.work, &job.recipe.preset.to_string(), point);
    let mut open = Vec::new();
    let mut finished: Vec<Option<Done>> = Vec::new();
    for planned in &points {
        if job.fresh && planned.wanted {
            files(planned.point).clear()?;
        }
        let in_model = |digest: &str| model.tilers.iter().any(|tiler| tiler.digest.to_string() == digest);
        let found = done::find(&files(planned.point), planned, in_model)?;
        if found.is_none() && planned.wanted {
            open.push(planned.clone());
        }
        finished.push(found);
    }
    let wanted = || points.iter().filter(|planned| planned.wanted);
    let names = |points: &mut dyn Iterator<Item = &Planned>| points.map(|p| p.point.to_string()).collect();
    hear(&Event::Planned {
        points: names(&mut wanted()),
        done: names(&mut wanted().filter(|planned| !open.contains(planned))),
    });

    let mut number = 0;
    for layers in school::passes(&model.network, &distinct_layers(&open), pictures_kept(job, &sets)) {
        let school = School::open(model, job, &sets, &layers, hear)?;
        for planned in open.iter().filter(|planned| layers.contains(&planned.point.layer)) {
            number += 1;
            let place = (number, open.len());
            let done = train_point(model, job, &school, planned, &files(planned.point), place, hear)?;
            let at = points.iter().position(|other| other.point == planned.point);
            if let Some(slot) = at.and_then(|at| finished.get_mut(at)) {
                *slot = Some(done);
            }
            // Written after each point: a stopped job leaves a card of what is there.
            let so_far: Vec<Done> = finished.iter().flatten().cloned().collect();
            card::write(&model.dir, &model.manifest.name, job.recipe, &card::lite::card(&so_far))?;
        }
    }
    let all: Vec<Done> = finished.into_iter().flatten().collect();
    hear(&card::write(&model.dir, &model.manifest.name, job.recipe, &card::lite::card(&all))?);
    Ok(())
}

fn distinct_layers(points: &[Planned]) -> Vec<LayerIndex> {
    let mut layers: Vec<LayerIndex> = Vec::new();
    for planned in points {
        if !layers.contains(&planned.point.layer) {
            layers.push(planned.point.layer);
        }
    }
    layers
}

/// Pictures whose lessons are held at a time.
fn pictures_kept(job: &Job<'_>, sets: &Sets) -> usize {
    let recipe = &job.recipe.pictures;
    let limit = recipe.limit.unwrap_or(usize::MAX);
    sets.training.len().min(limit) * (1 + usize::from(recipe.mirrored)) + sets.validation.len().min(limit)
}

/// Lessons of some layers.
struct School {
    layers: Vec<LayerIndex>,
    training: Looked,
    validation: Looked,
}

impl School {
    fn open(
        model: &Model,
        job: &Job<'_>,
        sets: &Sets,
        layers: &[LayerIndex],
        hear: &mut Listener<'_>,
    ) -> Result<Self, JobError> {
        let witness = Witness::try_new(&model.network, layers, job.device)?;
        let recipe = &job.recipe.pictures;
        let count = |len: usize| recipe.limit.unwrap_or(len).min(len);
        let (train, val) = (&sets.training, &sets.validation);
        let training =
            witness.attend((&recipe.train, train), count(train.len()), recipe.mirrored, job.stop, hear)?;
        let validation =
            witness.attend((&recipe.validation, val), count(val.len()), false, job.stop, hear)?;
        Ok(Self { layers: layers.to_vec(), training, validation })
    }
}

/// Trains one point and stores its tilers; the mark is written last.
fn train_point(
    model: &mut Model,
    job: &Job<'_>,
    school: &School,
    planned: &Planned,
    files: &Files,
    (number, of): (usize, usize),
    hear: &mut Listener<'_>,
) -> Result<Done, JobError> {
    let began = Instant::now();
    let (point, recipe) = (planned.point, job.recipe);
    let at = school.layers.iter().position(|layer| *layer == point.layer);
    let missing = || failed(point, TilerTrainingError::NoPictures("learn from"));
    let training = at.and_then(|at| school.training.lessons.get(at)).ok_or_else(missing)?;
    let validation = at.and_then(|at| school.validation.lessons.get(at)).ok_or_else(missing)?;
    hear(&Event::Point { point: point.to_string(), number, of, steps: recipe.training.steps });

    // A finished run of another recipe is done again; an unfinished one is refused by `train`.
    let marked: Option<Done> = done::read(&files.mark)?;
    if marked.is_some_and(|mark| mark.digest != planned.digest) {
        files.clear()?;
    }
    let mut diary: Diary = done::read(&files.diary)?.unwrap_or_default();
    if diary.digest != planned.digest || !files.checkpoint.exists() {
        diary = Diary { digest: planned.digest.clone(), ..Diary::default() };
    }
    let before = diary.seconds;

    let teacher = Teacher::try_new(&model.network, point.layer, job.device)?;
    let start = start::fit(planned.spec, &teacher, training, recipe.training.seed as i64)
        .map_err(|source| JobError::Start { point, source })?;
    let codec = EncoderOptions {
        ffmpeg: job.ffmpeg.clone(),
        preset: recipe.codec.into(),
        ..EncoderOptions::default()
    };
    let mut keep: Result<(), JobError> = Ok(());
    let trained = tiler::train(
        &recipe.run(),
        &start,
        recipe.shape(),
        &mut Course {
            teacher: &teacher,
            training,
            validation,
            codec: codec.clone(),
            checkpoint: &files.checkpoint,
            origin: &planned.digest,
            stop: job.stop,
            report: &mut |progress| {
                hear(&Event::Training { point: point.to_string(), progress: progress.clone() });
                if let Some(validation) = Validation::of(progress) {
                    diary.curve.retain(|other| other.step < validation.step);
                    diary.curve.push(validation);
                    diary.seconds = before + began.elapsed().as_secs_f64();
                    if keep.is_ok() {
                        keep = done::write(&files.diary, &diary);
                    }
                }
            },
        },
    );
    let lite = trained.map_err(|source| failed(point, source))?;
    keep?;

    // The baseline is not rounded harder than it need be.
    let precision = if recipe.precision == Precision::I8 { Precision::F16 } else { recipe.precision };
    store(model, TilerKind::Klt, &start.klt, precision)?;
    let stored = store(model, TilerKind::Lite, &lite, recipe.precision)?;
    let gains = &recipe.run().validation_gains;
    let read = model.tiler(point.layer, point.cr, Some(TilerKind::Lite))?;
    let bytes = sizes(model, point);
    let lessons = (&teacher, validation);
    let pairs = trial::compare((&lite, read.tiler()), codec, lessons, gains, recipe.training.batch)
        .map_err(|source| failed(point, source))?;
    let (rounding, _) = card::mean_change(&pairs);
    let seconds = before + began.elapsed().as_secs_f64();
    let done = Done {
        point: point.to_string(),
        digest: planned.digest.clone(),
        stored: stored.clone(),
        bytes,
        pictures: (training.len(), validation.len()),
        skipped: school.training.skipped + school.validation.skipped,
        seconds,
        curve: diary.curve,
        pairs,
    };
    done::write(&files.mark, &done)?;
    let kind = TilerKind::Lite;
    hear(&Event::Stored {
        point: point.to_string(),
        kind,
        digest: stored,
        rounding: Some(rounding),
        seconds,
    });
    Ok(done)
}

fn failed(point: Point, source: TilerTrainingError) -> JobError {
    JobError::Training { point, source }
}

/// Stores a tiler; its digest.
fn store(
    model: &mut Model,
    kind: TilerKind,
    tiler: &dyn AutoTiler,
    precision: Precision,
) -> Result<String, JobError> {
    Ok(model.store_tiler(kind, tiler, precision)?.digest.to_string())
}

/// Bytes of the learned tiler's file, and of the encoder's weights in it.
fn sizes(model: &Model, point: Point) -> (u64, u64) {
    let same = |e: &&TilerEntry| (e.layer, e.cr, e.kind) == (point.layer, point.cr, TilerKind::Lite);
    let entry = model.manifest.tilers.iter().find(same);
    let whole = entry.and_then(|e| std::fs::metadata(model.dir.join(&e.file)).ok()).map_or(0, |m| m.len());
    let tiler = model.tiler(point.layer, point.cr, Some(TilerKind::Lite));
    (whole, tiler.map_or(0, |tiler| tiler.encoder_bytes() as u64))
}

//! The preset `paper`: all its tilers together, for their parts are shared.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::Ordering,
    time::Instant,
};

use autotiler_core::LayerIndex;
use autotiler_graph::tiler::{Grade, PaperPlan};
use autotiler_model::{Model, TilerKind};
use autotiler_scene::Picture;
use serde::{Deserialize, Serialize};

use super::{Event, Job, JobError, Listener, Pictures, card, digest, done, plan::Sets, school::with_causes};
use crate::train::{
    paper::{self, PaperCourse, PaperCurve, PaperRecipe, PaperTrainingError},
    recipe::Point,
};

/// A stored tiler of the family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredPaper {
    pub(super) kind: TilerKind,
    pub(super) point: String,
    /// Mean squared error on the validation pictures, in shares of the point's variance.
    pub(super) error: f64,
    /// Digest in the model.
    pub(super) digest: String,
    pub(super) encoder_bytes: usize,
    pub(super) encoder_macs: u64,
}

/// Mark of a finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PaperDone {
    /// Of recipe, network and data.
    pub(super) digest: String,
    pub(super) tilers: Vec<StoredPaper>,
    pub(super) curves: Vec<PaperCurve>,
    /// Pictures that could not be read.
    pub(super) skipped: usize,
    /// Of the process that ended the training.
    pub(super) seconds: f64,
}

/// Trains the family, run by run; finished runs of a stopped job are read again.
pub(super) fn run(model: &mut Model, job: &Job<'_>, hear: &mut Listener<'_>) -> Result<(), JobError> {
    if !job.only.is_empty() {
        return Err(JobError::Together);
    }
    let recipe = job.recipe.paper_for(&model.network)?;
    let names = names(model, &recipe)?;
    let sets = Sets::open(model, job)?;
    let network = model.manifest.digest.to_string();
    let precision = job.recipe.precision;
    let identity =
        digest(&[&format!("{recipe:?}{precision:?}"), &network, &sets.digest(job.recipe)]).to_string();
    let (work, mark) = (job.work.join("paper"), job.work.join("paper.done"));
    if job.fresh {
        clear(&work, &mark)?;
    }
    let found: Option<PaperDone> = done::read(&mark)?;
    let in_model = |digest: &str| model.tilers.iter().any(|tiler| tiler.digest.to_string() == digest);
    let whole = |done: &PaperDone| done.digest == identity && done.tilers.iter().all(|t| in_model(&t.digest));
    let found = found.filter(whole);
    let done = if found.is_some() { names.clone() } else { Vec::new() };
    hear(&Event::Planned { points: names, done });
    let done = match found {
        Some(done) => done,
        None => {
            let mut done = train(model, job, &recipe, &sets, work, hear)?;
            done.digest = identity;
            done::write(&mark, &done)?;
            done
        }
    };
    let card = card::paper::card(&recipe, &done);
    hear(&card::write(&model.dir, &model.manifest.name, job.recipe, &card)?);
    Ok(())
}

/// Points and ratios of the recipe, as far as its network has them.
fn names(model: &Model, recipe: &PaperRecipe) -> Result<Vec<String>, JobError> {
    let shape = |&layer: &u16| Ok((LayerIndex(layer), model.feature(LayerIndex(layer))?));
    let points = recipe.points.iter().map(shape).collect::<Result<Vec<_>, JobError>>()?;
    let plan = PaperPlan::new(&points).map_err(PaperTrainingError::Plan)?;
    let both = |point: &autotiler_graph::tiler::PaperPoint| {
        [Grade::Fine, Grade::Coarse]
            .map(|grade| Point { layer: point.layer, cr: point.spec(grade).cr }.to_string())
    };
    Ok(plan.points().iter().flat_map(both).collect())
}

fn train(
    model: &mut Model,
    job: &Job<'_>,
    recipe: &PaperRecipe,
    sets: &Sets,
    work: PathBuf,
    hear: &mut Listener<'_>,
) -> Result<PaperDone, JobError> {
    let began = Instant::now();
    let hear = RefCell::new(hear);
    let skipped = Cell::new(0);
    let heard = |set| Heard { set, hear: &hear, skipped: &skipped, known: RefCell::default() };
    let (training, validation) = (heard(&sets.training), heard(&sets.validation));
    let (network, digest, precision) = (model.network.clone(), model.manifest.digest, job.recipe.precision);
    let mut tilers: Vec<StoredPaper> = Vec::new();
    let curves = paper::train(
        recipe,
        &mut PaperCourse {
            network: &network,
            digest,
            training: &training,
            validation: &validation,
            device: job.device,
            work: &work,
            stop: &|| job.stop.load(Ordering::Relaxed),
            store: &mut |trained| {
                let stored = model.store_tiler(trained.kind, trained.tiler, precision)?;
                let spec = stored.tiler().spec();
                let stored = StoredPaper {
                    kind: trained.kind,
                    point: Point { layer: spec.layer, cr: spec.cr }.to_string(),
                    error: trained.error,
                    digest: stored.digest.to_string(),
                    encoder_bytes: stored.encoder_bytes(),
                    encoder_macs: stored.encoder_macs(),
                };
                (hear.borrow_mut())(&Event::Stored {
                    point: stored.point.clone(),
                    kind: stored.kind,
                    digest: stored.digest.clone(),
                    rounding: None,
                    seconds: began.elapsed().as_secs_f64(),
                });
                // A tiler that is handed over again replaces the one before.
                tilers.retain(|other| (other.kind, &other.point) != (stored.kind, &stored.point));
                tilers.push(stored);
                Ok(())
            },
            report: &mut |progress| (hear.borrow_mut())(&Event::Paper { progress: progress.clone() }),
        },
    )?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(PaperDone { digest: String::new(), tilers, curves, skipped: skipped.get(), seconds })
}

/// Pictures, of which those that cannot be read are told of once.
struct Heard<'a, 'l> {
    set: &'a Pictures,
    hear: &'a RefCell<&'a mut Listener<'l>>,
    skipped: &'a Cell<usize>,
    known: RefCell<BTreeSet<usize>>,
}

impl paper::Pictures for Heard<'_, '_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn load(&self, index: usize) -> Option<Picture> {
        match self.set.load(index)? {
            Ok(picture) => Some(picture),
            Err(error) => {
                if self.known.borrow_mut().insert(index) {
                    self.skipped.set(self.skipped.get() + 1);
                    (self.hear.borrow_mut())(&Event::Skipped { reason: with_causes(&error) });
                }
                None
            }
        }
    }
}

/// Removes finished runs and the mark.
fn clear(work: &std::path::Path, mark: &std::path::Path) -> Result<(), JobError> {
    let runs = std::fs::read_dir(work).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in runs.filter(|path| path.extension().is_some_and(|e| e == "safetensors")) {
        done::remove(&path)?;
    }
    done::remove(mark)
}

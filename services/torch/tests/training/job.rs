//! Whole jobs on a small random detector: every tiler by one call, stopped, resumed, and what is refused. Needs
//! ffmpeg with libx265.

use std::{
    cell::RefCell,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use autotiler_graph::darknet::{Cfg, init};
use autotiler_model::{Model, ModelError, Precision, TilerKind};
use autotiler_torch::train::{
    recipe::{Point, RecipeFile},
    tiler::{Progress, TilerTrainingError},
    tilers::{Event, Job, JobError, run},
};
use tch::Device;

const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=12,12, 30,30\nmask=0,1\nnum=2\n";

const LITE: &str = "{format: 1, preset: lite, points: [{layer: 1, cr: 1}, {layer: 2, cr: 2}], \
    pictures: {limit: 4, mirrored: false}, \
    training: {steps: 20, batch: 4, warmUp: 2, validateEvery: 10, seed: SEED}, \
    lite: {importanceWidth: 4, importanceLayers: 1, importanceSteps: 10, decoderWidth: 4, decoderBlocks: 1}}";

/// A model directory with a detector that no picture was shown.
pub(crate) fn model(dir: &Path) -> Model {
    let cfg = Cfg::parse(CFG).unwrap();
    let weights = init(&cfg, 1).unwrap();
    let classes = vec!["circle".to_owned(), "square".to_owned()];
    Model::create(&dir.join("toy"), "toy", &cfg, &weights, classes, Precision::F32).unwrap()
}

fn recipe(seed: u64) -> RecipeFile {
    RecipeFile::parse(&LITE.replace("SEED", &seed.to_string()), "of the test").unwrap()
}

/// Runs a job in `dir` on generated pictures until an event that `stop` names; what was heard.
fn run_until(
    dir: &Path,
    recipe: &RecipeFile,
    only: &[Point],
    stop: impl Fn(&Event) -> bool,
) -> (Result<(), JobError>, Vec<Event>) {
    let mut model = Model::load(&dir.join("toy")).unwrap_or_else(|_| model(dir));
    let flag = AtomicBool::new(false);
    let heard = RefCell::new(Vec::new());
    let ended = run(
        &mut model,
        &Job {
            recipe,
            data: Path::new("generated"),
            work: &dir.join("work"),
            only,
            fresh: false,
            ffmpeg: "ffmpeg".into(),
            device: Device::Cpu,
            stop: &flag,
        },
        &mut |event| {
            heard.borrow_mut().push(event.clone());
            if stop(event) {
                flag.store(true, Ordering::Relaxed);
            }
        },
    );
    (ended, heard.into_inner())
}

fn run_job(dir: &Path, recipe: &RecipeFile, only: &[Point]) -> (Result<(), JobError>, Vec<Event>) {
    run_until(dir, recipe, only, |_| false)
}

/// What lies on disk of the learned tilers.
fn stored(dir: &Path) -> Vec<Option<Vec<u8>>> {
    let file = |name: &str| std::fs::read(dir.join("toy/tilers").join(name)).ok();
    ["layer1-cr1-lite.safetensors", "layer2-cr2-lite.safetensors"].map(file).into()
}

#[test]
fn one_job_trains_all_points_repeats_and_resumes() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let [whole, again, broken] = [0, 1, 2].map(|i| dirs[i].path());
    let recipe = recipe(1);
    run_job(whole, &recipe, &[]).0.unwrap();
    assert!(stored(whole).iter().all(Option::is_some));
    run_job(again, &recipe, &[]).0.unwrap();
    assert_eq!(stored(again), stored(whole));

    let at_ten = |event: &Event| matches!(event, Event::Training { point, progress: Progress::Step { step: 10, .. } } if point == "2:2");
    let (stopped, _) = run_until(broken, &recipe, &[], at_ten);
    let Err(JobError::Training { point, source: TilerTrainingError::Stopped { step, .. } }) = stopped else {
        panic!("{stopped:?}");
    };
    assert_eq!((point.to_string().as_str(), step), ("2:2", 10));
    assert_eq!(stored(broken)[1], None, "nothing half trained is stored");
    let (resumed, heard) = run_job(broken, &recipe, &[]);
    resumed.unwrap();
    assert!(matches!(&heard[0], Event::Planned { done, .. } if done == &["1:1"]), "{:?}", heard[0]);
    assert_eq!(stored(broken), stored(whole));

    // Card, curves and plots are there, and what is done is not done again.
    let (done, heard) = run_job(whole, &recipe, &[]);
    done.unwrap();
    assert!(!heard.iter().any(|event| matches!(event, Event::Point { .. })));
    let Some(Event::Done { card, curves, plots }) = heard.last() else { panic!("{heard:?}") };
    let (card, curves) = (std::fs::read_to_string(card).unwrap(), std::fs::read_to_string(curves).unwrap());
    assert!(card.contains("## Layer 2, compression ratio 2") && card.contains("CURVES-lite.svg"), "{card}");
    assert_eq!(curves.lines().next(), Some("layer,cr,step,gain,bits,divergence,feature_error,score,best"));
    // Two points, validated at 0, 10 and 20 at four gains each.
    assert_eq!(curves.lines().count(), 1 + 2 * 3 * 4);
    assert!(plots.len() == 2 && plots.iter().all(|plot| plot.metadata().unwrap().len() > 1000));
}

#[test]
fn an_unfinished_run_of_another_recipe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let begun = |event: &Event| matches!(event, Event::Training { progress: Progress::Step { .. }, .. });
    run_until(dir.path(), &recipe(1), &[], begun).0.unwrap_err();
    let (other, _) = run_job(dir.path(), &recipe(2), &[]);
    let Err(JobError::Training { source, .. }) = other else { panic!("{other:?}") };
    assert!(matches!(source, TilerTrainingError::OtherRun { .. }) && source.to_string().contains("--fresh"));
}

#[test]
fn points_that_cannot_be_are_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |point: &str| run_job(dir.path(), &recipe(1), &[point.parse().unwrap()]).0.unwrap_err();
    let no_layer = refused("77:1");
    assert!(matches!(no_layer, JobError::Model(ModelError::NoPoint { .. })), "{no_layer:?}");
    let no_ratio = refused("2:7");
    assert!(matches!(no_ratio, JobError::Model(ModelError::Tiler { .. })), "{no_ratio:?}");
    assert_eq!(stored(dir.path()), [None, None]);
}

#[test]
fn a_set_without_readable_pictures_is_an_error_that_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = model(dir.path());
    let devkit = dir.path().join("VOC2007");
    for folder in ["ImageSets/Main", "JPEGImages", "Annotations"] {
        std::fs::create_dir_all(devkit.join(folder)).unwrap();
    }
    for set in ["train", "val"] {
        std::fs::write(devkit.join(format!("ImageSets/Main/{set}.txt")), "one\ntwo\n").unwrap();
    }
    for id in ["one", "two"] {
        std::fs::write(devkit.join(format!("JPEGImages/{id}.jpg")), "no picture").unwrap();
        std::fs::write(devkit.join(format!("Annotations/{id}.xml")), "no XML").unwrap();
    }
    let (recipe, stop) = (recipe(1), AtomicBool::new(false));
    let job = Job {
        recipe: &recipe,
        data: &devkit,
        work: &dir.path().join("work"),
        only: &[],
        fresh: false,
        ffmpeg: "ffmpeg".into(),
        device: Device::Cpu,
        stop: &stop,
    };
    let mut skipped = 0;
    let ended = run(&mut model, &job, &mut |event| {
        skipped += usize::from(matches!(event, Event::Skipped { .. }));
    });
    let Err(JobError::NoPictures { of: 2, first: Some(_), .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(skipped, 2);
}

#[test]
fn omni_without_a_training_stores_every_point_and_paper_takes_no_single_ones() {
    let dir = tempfile::tempdir().unwrap();
    let omni = "{format: 1, preset: omni, points: [{layer: 1, cr: 1}, {layer: 2, cr: 4}], precision: f16}";
    run_job(dir.path(), &RecipeFile::parse(omni, "of the test").unwrap(), &[]).0.unwrap();
    let model = Model::load(&dir.path().join("toy")).unwrap();
    let kinds: Vec<_> = model.tilers.iter().map(|tiler| (tiler.layer().0, tiler.kind)).collect();
    assert_eq!(kinds, [(1, TilerKind::Omni), (2, TilerKind::Omni)]);

    let paper = RecipeFile::parse("{format: 1, preset: paper}", "of the test").unwrap();
    let single = run_job(dir.path(), &paper, &["1:1".parse().unwrap()]).0;
    assert!(matches!(single, Err(JobError::Together)), "{single:?}");
    // The toy has no five points for it.
    let none = run_job(dir.path(), &paper, &[]).0;
    assert!(matches!(none, Err(JobError::Recipe(_))), "{none:?}");
}

#[test]
fn lite_files_from_before_the_gate_still_load() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/street");
    let model = Model::load(&dir).unwrap();
    assert!(model.tilers.iter().any(|tiler| tiler.kind == TilerKind::Lite));
}

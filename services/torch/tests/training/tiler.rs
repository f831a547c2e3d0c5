//! A tiler of a small random detector, through the real codec. Needs ffmpeg with libx265.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use autotiler_core::{CompressionRatio, Gain, LayerIndex};
use autotiler_graph::{
    darknet::{BatchNorm, Cfg, Network, init},
    tiler::{ImportanceShape, Lite, LiteShape, TilerSpec},
};
use autotiler_hevc::EncoderOptions;
use autotiler_model::{Precision, weights};
use autotiler_scene::{World, WorldOptions};
use autotiler_torch::train::tiler::{
    Course, Progress, Recipe, Scored, TilerTrainingError,
    lesson::{Lessons, Teacher},
    picture_batch,
    start::{self, Start},
    train,
};
use tch::Device;

const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=12,12, 30,30\nmask=0,1\nnum=2\n";

struct School {
    teacher: Teacher,
    training: Lessons,
    validation: Lessons,
    start: Start,
}

fn school() -> School {
    let cfg = Cfg::parse(CFG).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Folded).unwrap();
    let layer = LayerIndex(1);
    let teacher = Teacher::try_new(&network, layer, Device::Cpu).unwrap();
    let lessons = |seed: u64, count: u32| {
        let world = World::new(WorldOptions { seed, width: 64, height: 64 });
        let mut lessons = Lessons::default();
        for index in 0..count / 4 {
            let pictures: Vec<_> = (0..4).map(|i| world.scene(index * 4 + i).picture).collect();
            lessons.add(&teacher, &picture_batch(&pictures, network.input).unwrap()).unwrap();
        }
        lessons
    };
    let (training, validation) = (lessons(1, 16), lessons(2, 8));
    let shape = network.layer(layer).unwrap().shape;
    let spec = TilerSpec::new(layer, shape, CompressionRatio::ONE).unwrap();
    let start = start::fit(spec, &teacher, &training, 1).unwrap();
    School { teacher, training, validation, start }
}

fn recipe(steps: u64) -> Recipe {
    Recipe {
        steps,
        batch: 4,
        learning_rate: 1e-3,
        warm_up_steps: 4,
        gains: (Gain(24), Gain(72)),
        validation_gains: vec![Gain(32), Gain(64)],
        validate_every: 10,
        patience: 100,
        importance_steps: 60,
        seed: 1,
        precision: Precision::I8,
    }
}

/// Score and points of each validation.
type Scores = Vec<(f64, Vec<Scored>)>;

/// Trains until `stop_at` steps are made, or to the end.
fn run_until(
    school: &School,
    checkpoint: &Path,
    recipe: &Recipe,
    stop_at: u64,
) -> (Result<Lite, TilerTrainingError>, Scores) {
    let mut scores = Vec::new();
    let importance = Some(ImportanceShape { width: 4, layers: 1 });
    let shape = LiteShape { importance, decoder_width: 8, decoder_blocks: 1 };
    let stop = AtomicBool::new(false);
    let mut first = None;
    let trained = train(
        recipe,
        &school.start,
        shape,
        &mut Course {
            teacher: &school.teacher,
            training: &school.training,
            validation: &school.validation,
            codec: EncoderOptions::default(),
            checkpoint,
            origin: "here",
            stop: &stop,
            report: &mut |progress| match progress {
                Progress::Importance { step: 0, .. } => {}
                Progress::Importance { step, of, loss } => {
                    let first = *first.get_or_insert(*loss);
                    assert!(step < of || *loss < first, "the device learned nothing: {first} to {loss}");
                }
                Progress::Validated { score, points, .. } => scores.push((*score, points.clone())),
                Progress::Step { step, .. } => stop.store(*step >= stop_at, Ordering::Relaxed),
            },
        },
    );
    (trained, scores)
}

fn run(school: &School, checkpoint: &Path, recipe: &Recipe) -> (Result<Lite, TilerTrainingError>, Scores) {
    run_until(school, checkpoint, recipe, u64::MAX)
}

fn bytes(lite: &Lite) -> Vec<u8> {
    weights::encode(&lite.weights, Precision::I8).unwrap()
}

#[test]
fn a_tiler_gets_better_than_its_start_and_a_resumed_run_repeats() {
    let school = school();
    let dir = tempfile::tempdir().unwrap();
    let (lite, scores) = run(&school, &dir.path().join("a"), &recipe(40));
    let lite = lite.unwrap();
    assert!(scores[0].0.abs() < 1e-9, "the start is what it is measured against");
    let last = scores.last().unwrap().0;
    assert!(last < 0.0, "{scores:?}");

    // The rates' effect reaches the decoder: training did not kill its branch.
    let out = lite.weights.iter().find(|w| w.name == "untiler.out.weight").unwrap();
    assert!(out.values.iter().any(|value| *value != 0.0));

    let (again, same) = run(&school, &dir.path().join("b"), &recipe(40));
    let again = again.unwrap();
    assert_eq!((bytes(&again), &same), (bytes(&lite), &scores));
    // Its checkpoint says that it is finished: nothing is done again.
    let (finished, none) = run(&school, &dir.path().join("b"), &recipe(40));
    assert_eq!((finished.unwrap(), none.len()), (again, 0));

    let path = dir.path().join("c");
    let (stopped, mut seen) = run_until(&school, &path, &recipe(40), 20);
    assert!(matches!(stopped, Err(TilerTrainingError::Stopped { step: 20, .. })), "{stopped:?}");
    let (resumed, rest) = run(&school, &path, &recipe(40));
    seen.extend(rest);
    assert_eq!((bytes(&resumed.unwrap()), seen), (bytes(&lite), scores));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_nothing() {
    let mut school = school();
    school.start.klt.mean[0] = f32::NAN;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (broken, _) = run(&school, &path, &recipe(10));
    assert!(matches!(broken, Err(TilerTrainingError::Diverged { step: 0, .. })), "{broken:?}");
    assert!(!path.exists());
}

#[test]
fn the_checkpoint_of_another_recipe_is_refused() {
    let school = school();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    run(&school, &path, &recipe(10)).0.unwrap();
    let other = run(&school, &path, &recipe(20)).0;
    assert!(matches!(other, Err(TilerTrainingError::OtherRun { .. })), "{other:?}");
}

//! The shared restorer on a small random detector, through the real codec. Needs ffmpeg with libx265.

use std::{path::Path, rc::Rc, sync::atomic::AtomicBool};

use autotiler_core::{CompressionRatio, Gain, LayerIndex};
use autotiler_graph::{
    darknet::{BatchNorm, Cfg, Network, init},
    tiler::{KltFit, Omni, Restorer, TilerSpec},
};
use autotiler_hevc::EncoderOptions;
use autotiler_scene::{World, WorldOptions};
use autotiler_torch::train::{
    omni::{OmniCourse, OmniProgress, OmniTraining, Subject, SubjectScore, train},
    tiler::{
        TilerTrainingError,
        lesson::{Lessons, Teacher},
        picture_batch,
    },
};
use tch::Device;

const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=12,12, 30,30\nmask=0,1\nnum=2\n";

fn subject(layer: u16) -> Subject {
    let cfg = Cfg::parse(CFG).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Folded).unwrap();
    let layer = LayerIndex(layer);
    let teacher = Teacher::try_new(&network, layer, Device::Cpu).unwrap();
    let shape = network.layer(layer).unwrap().shape;
    let spec = TilerSpec::new(layer, shape, CompressionRatio::ONE).unwrap();
    let mut fit = KltFit::new(spec);
    let mut lessons = |seed: u64, count: u32| {
        let world = World::new(WorldOptions { seed, width: 64, height: 64 });
        let mut lessons = Lessons::default();
        for index in 0..count / 4 {
            let pictures: Vec<_> = (0..4).map(|i| world.scene(index * 4 + i).picture).collect();
            let pictures = picture_batch(&pictures, network.input).unwrap();
            lessons.add(&teacher, &pictures).unwrap();
        }
        let numbers: Vec<usize> = (0..lessons.len()).collect();
        let maps = lessons.batch(&numbers).unwrap().feature.contiguous().view(-1);
        let values = Vec::<f32>::try_from(maps).unwrap();
        values.chunks_exact(shape.len()).for_each(|map| fit.add(map).unwrap());
        Rc::new(lessons)
    };
    let (training, validation) = (lessons(1, 16), lessons(2, 8));
    let omni = Omni::from_fit(&fit, Restorer::untrained(1, || 0.0)).unwrap();
    Subject { name: format!("small layer {layer}"), teacher, omni, training, validation }
}

fn recipe(steps: u64) -> OmniTraining {
    OmniTraining {
        steps,
        batch: 4,
        warm_up: 4,
        gains: (Gain(24), Gain(72)),
        validation_gains: vec![Gain(32), Gain(64)],
        validate_every: 10,
        patience: 100,
        width: 4,
        ..OmniTraining::default()
    }
}

type Scores = Vec<(f64, Vec<SubjectScore>)>;

fn run(
    (subjects, unseen): (&[Subject], &[Subject]),
    checkpoint: &Path,
    recipe: &OmniTraining,
    stop_at: u64,
) -> (Result<Restorer, TilerTrainingError>, Scores) {
    // Tests run side by side, and so small a network gains nothing from a second thread.
    autotiler_torch::set_threads(1);
    let mut scores = Vec::new();
    let stop = AtomicBool::new(false);
    let trained = train(
        recipe,
        &mut OmniCourse {
            subjects,
            unseen,
            codec: EncoderOptions::default(),
            checkpoint,
            origin: "test",
            stop: &stop,
            report: &mut |progress| {
                if let OmniProgress::Validated { score, subjects, step, .. } = progress {
                    scores.push((*score, subjects.clone()));
                    if *step == stop_at {
                        stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            },
        },
    );
    (trained, scores)
}

#[test]
fn a_restorer_helps_on_what_it_learns_from_and_repeats_after_a_stop() {
    let (subjects, unseen) = ([subject(0), subject(1)], [subject(2)]);
    let both = (&subjects[..], &unseen[..]);
    let dir = tempfile::tempdir().unwrap();
    let (restorer, scores) = run(both, &dir.path().join("a"), &recipe(40), u64::MAX);
    let restorer = restorer.unwrap();
    assert!(scores[0].0.abs() < 1e-9, "an untrained restorer does nothing");
    let (last, by_subject) = scores.last().unwrap();
    assert!(*last < -0.01, "{scores:?}");
    assert_eq!(by_subject.iter().map(|s| s.unseen).collect::<Vec<_>>(), [false, false, true]);
    // What is on the wire is the same with any restorer.
    let bits = |scores: &[SubjectScore]| -> Vec<f64> {
        scores.iter().flat_map(|s| s.points.iter().map(|p| p.bits)).collect()
    };
    assert_eq!(bits(&scores[0].1), bits(by_subject));

    let path = dir.path().join("b");
    let (stopped, _) = run(both, &path, &recipe(40), 20);
    assert!(matches!(stopped, Err(TilerTrainingError::Stopped { step: 20, .. })), "{stopped:?}");
    let (resumed, later) = run(both, &path, &recipe(40), u64::MAX);
    assert_eq!(resumed.unwrap(), restorer);
    assert_eq!(later.last(), scores.last());
}

#[test]
fn the_checkpoint_of_another_recipe_is_refused() {
    let subjects = [subject(1)];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    run((&subjects, &[]), &path, &recipe(10), u64::MAX).0.unwrap();
    let other = run((&subjects, &[]), &path, &recipe(20), u64::MAX).0;
    assert!(matches!(other, Err(TilerTrainingError::OtherRun { .. })), "{other:?}");
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let none = run((&[], &[]), &dir.path().join("run"), &recipe(10), u64::MAX).0;
    assert!(matches!(none, Err(TilerTrainingError::NoPictures(_))), "{none:?}");
}

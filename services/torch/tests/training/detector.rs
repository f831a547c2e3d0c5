//! A toy detector that finds bright squares.

use std::{path::Path, sync::Arc};

use autotiler_core::{BBox, GroundTruth};
use autotiler_graph::{
    Graph,
    darknet::{BatchNorm, Cfg, Network as Darknet, init},
};
use autotiler_torch::train::{
    detector::{DetectorError, Network, Progress, Recipe, Surroundings, train},
    loader::Sample,
    yolo::HeadLayout,
};

const SIDE: usize = 32;
const CFG: &str = "[net]\nwidth=32\nheight=32\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n\
    [convolutional]\nfilters=6\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=1\nanchors=12,12\nmask=0\nnum=1\n";

/// A bright square of 8 to 15 pixels somewhere on grey.
fn square(index: u64, side: usize) -> Sample {
    assert_eq!(side, SIDE);
    let mix = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let pick = |shift: u32, n: u64| ((mix >> shift) % n) as usize;
    let size = 8 + pick(8, 8);
    let (x, y) = (pick(20, (SIDE - size) as u64), pick(40, (SIDE - size) as u64));
    let inside = |i: usize| (x..x + size).contains(&(i % SIDE)) && (y..y + size).contains(&(i / SIDE));
    let rgb = (0..SIDE * SIDE).flat_map(|i| [if inside(i) { 230 } else { 60 + (i % 7) as u8 }; 3]).collect();
    let edge = |at: usize| at as f32 / SIDE as f32;
    let bbox = BBox { x0: edge(x), y0: edge(y), x1: edge(x + size), y1: edge(y + size) };
    Sample { rgb, truth: vec![GroundTruth { class: 0, bbox, difficult: false }] }
}

fn network() -> Network {
    let cfg = Cfg::parse(CFG).unwrap();
    let built = Darknet::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Kept).unwrap();
    let heads = vec![HeadLayout { anchors: vec![[0.375, 0.375]], rows: 4, cols: 4 }];
    Network { graph: Arc::new(built.graph), heads, classes: 1 }
}

fn recipe() -> Recipe {
    Recipe {
        steps: 120,
        batch: 8,
        learning_rate: 5e-3,
        weight_decay: 0.01,
        warm_up_steps: 10,
        average_keep: 0.9,
        small_start: None,
        side: SIDE,
        validate_every: 40,
        validation_pictures: 24,
    }
}

/// Trains to the end, or until a validation when `stop_at_first` says so; what was exported last and reported.
fn run(checkpoint: &Path, recipe: &Recipe) -> (Result<f64, DetectorError>, Option<Graph>, Vec<f64>) {
    let (mut exported, mut losses) = (None, Vec::new());
    let best = train(
        recipe,
        &network(),
        None,
        &mut Surroundings {
            training: Arc::new(square),
            validation: Arc::new(|index: u64, side: usize| square(index + 1_000_000, side)),
            checkpoint,
            report: &mut |progress| {
                if let Progress::Step { loss, .. } = progress {
                    losses.push(*loss);
                }
            },
            export: &mut |graph| {
                exported = Some(graph.clone());
                Ok(())
            },
        },
    );
    (best, exported, losses)
}

#[test]
fn a_toy_detector_learns_and_repeats_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (best, graph, losses) = run(&dir.path().join("a"), &recipe());
    let best = best.unwrap();
    assert!(best > 0.8, "mAP {best}");
    assert!(*losses.last().unwrap() < 2.3, "{losses:?}");
    let (again, same, same_losses) = run(&dir.path().join("b"), &recipe());
    assert_eq!((again.unwrap(), &same, &same_losses), (best, &graph, &losses));
}

#[test]
fn a_finished_run_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let short = Recipe { steps: 40, ..recipe() };
    let best = run(&path, &short).0.unwrap();
    let (again, _, losses) = run(&path, &short);
    assert_eq!((again.unwrap(), losses.len()), (best, 0));
}

#[test]
fn the_checkpoint_of_another_recipe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    run(&path, &Recipe { steps: 2, validate_every: 2, ..recipe() }).0.unwrap();
    let other = run(&path, &Recipe { steps: 2, validate_every: 2, learning_rate: 1e-4, ..recipe() }).0;
    assert!(matches!(other, Err(DetectorError::OtherRun { .. })), "{other:?}");
}

#[test]
fn a_run_can_be_made_longer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    run(&path, &Recipe { steps: 20, validate_every: 10, ..recipe() }).0.unwrap();
    let (longer, _, losses) = run(&path, &Recipe { steps: 40, validate_every: 10, ..recipe() });
    longer.unwrap();
    assert_eq!(losses.len(), 1, "steps 21 to 40 only");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let wild = Recipe { learning_rate: 1e30, warm_up_steps: 1, ..recipe() };
    let ended = run(&dir.path().join("run"), &wild).0;
    assert!(matches!(ended, Err(DetectorError::Diverged { .. })), "{ended:?}");
}

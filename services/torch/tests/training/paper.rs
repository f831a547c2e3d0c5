//! The paper's tilers of a small random detector.

use std::{cell::RefCell, path::Path};

use autotiler_core::Digest;
use autotiler_graph::{
    Weight,
    darknet::{BatchNorm, Cfg, Network, init},
};
use autotiler_model::TilerKind;
use autotiler_scene::{Picture, World, WorldOptions};
use autotiler_torch::train::paper::{
    LearningRates, PaperCourse, PaperProgress, PaperRecipe, PaperTrainingError, Pictures, Variant, train,
};
use tch::Device;

const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nanchors=12,12, 30,30\nmask=0,1\nnum=2\n";

/// Pictures, of which one may not be readable.
struct Drawn(Vec<Picture>, Option<usize>);

impl Pictures for Drawn {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn load(&self, index: usize) -> Option<Picture> {
        self.0.get(index).filter(|_| self.1 != Some(index)).cloned()
    }
}

fn drawn(seed: u64, count: u32, unreadable: Option<usize>) -> Drawn {
    let world = World::new(WorldOptions { seed, width: 64, height: 64 });
    Drawn((0..count).map(|index| world.scene(index).picture).collect(), unreadable)
}

fn recipe(variants: &[Variant]) -> PaperRecipe {
    PaperRecipe {
        variants: variants.to_vec(),
        epochs: 4,
        batch: 8,
        learning_rates: LearningRates {
            core: 3e-3,
            shallow: 3e-3,
            middle: 3e-3,
            autoencoder_fine: 3e-3,
            autoencoder_coarse: 3e-3,
        },
        ..PaperRecipe::of_points([0, 1, 2, 3, 4])
    }
}

/// A stored tiler.
#[derive(Clone, PartialEq)]
struct Kept {
    kind: TilerKind,
    layer: u16,
    cr: u16,
    weights: Vec<Weight>,
    error: f64,
}

impl std::fmt::Debug for Kept {
    /// Without the weights.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} layer {} cr {}: {}", self.kind, self.layer, self.cr, self.error)
    }
}

struct Outcome {
    result: Result<(), PaperTrainingError>,
    kept: Vec<Kept>,
    /// Names of the runs that were trained, and of those that were read.
    trained: Vec<String>,
    read: Vec<String>,
    /// Validation errors of each run: at the start, and the least.
    errors: Vec<(f64, f64)>,
}

fn run(recipe: &PaperRecipe, work: &Path) -> Outcome {
    run_until(recipe, work, usize::MAX, None)
}

/// Stops when so many runs are finished.
fn run_until(recipe: &PaperRecipe, work: &Path, last: usize, unreadable: Option<usize>) -> Outcome {
    // Tests run side by side, and so small a network gains nothing from a second thread.
    autotiler_torch::set_threads(1);
    let cfg = Cfg::parse(CFG).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Folded).unwrap();
    let (mut kept, mut read) = (Vec::new(), Vec::new());
    let trained = RefCell::new(Vec::new());
    let result = train(
        recipe,
        &mut PaperCourse {
            network: &network,
            digest: Digest([7; 32]),
            training: &drawn(1, 32, unreadable),
            validation: &drawn(2, 8, None),
            device: Device::Cpu,
            work,
            stop: &|| trained.borrow().len() >= last,
            store: &mut |given| {
                let spec = given.tiler.spec();
                let (layer, cr) = (spec.layer.0, spec.cr.get());
                let (weights, error) = (given.tiler.weights(), given.error);
                kept.push(Kept { kind: given.kind, layer, cr, weights, error });
                Ok(())
            },
            report: &mut |progress| {
                if let PaperProgress::Finished { run, read: was_read, .. } = progress {
                    if *was_read { read.push(run.clone()) } else { trained.borrow_mut().push(run.clone()) }
                }
            },
        },
    );
    let of = |curve: &autotiler_torch::train::paper::PaperCurve| {
        let least = curve.scores.iter().map(|score| score.validation).fold(f64::INFINITY, f64::min);
        (curve.scores[0].validation, least)
    };
    let errors = result.as_ref().map(|curves| curves.iter().map(of).collect()).unwrap_or_default();
    Outcome { result: result.map(drop), kept, trained: trained.into_inner(), read, errors }
}

/// The weights whose names start with `part`, of every tiler that has them and for which `pick` holds.
fn parts<'a>(kept: &'a [Kept], part: &str, pick: impl Fn(&Kept) -> bool) -> Vec<Vec<&'a Weight>> {
    let own = |kept: &'a Kept| kept.weights.iter().filter(|w| w.name.starts_with(part)).collect::<Vec<_>>();
    kept.iter().filter(|kept| pick(kept)).map(own).filter(|weights| !weights.is_empty()).collect()
}

fn coarse(kept: &Kept) -> bool {
    kept.weights.iter().any(|w| w.name.starts_with("tiler.extra."))
}

#[test]
fn shared_parts_are_the_same_in_all_tilers_and_own_parts_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = run(&recipe(&[Variant::Variable]), dir.path());
    outcome.result.unwrap();
    let kept = outcome.kept;
    assert_eq!(kept.len(), 10, "five points, two ratios");
    let same = |found: &[Vec<&Weight>], count: usize| {
        assert_eq!(found.len(), count);
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "a shared part differs");
    };
    // What was trained first is frozen in all that came later.
    same(&parts(&kept, "tiler.core.", |_| true), 10);
    same(&parts(&kept, "tiler.extra.", |_| true), 5);
    same(&parts(&kept, "untiler.extra.", |_| true), 5);
    same(&parts(&kept, "untiler.core.", coarse), 5);
    same(&parts(&kept, "untiler.core.", |kept| !coarse(kept)), 5);
    for layer in [0, 1] {
        same(&parts(&kept, "tiler.compat.", |kept| kept.layer == layer), 2);
        let own = parts(&kept, "untiler.compat.", |kept| kept.layer == layer);
        assert!(own[0] != own[1], "decoders are each ratio's own");
    }
    let cores = parts(&kept, "untiler.core.", |_| true);
    assert!(cores.iter().any(|core| *core != cores[0]));
    let ratios: Vec<(u16, u16)> = kept.iter().map(|kept| (kept.layer, kept.cr)).collect();
    for expected in [(0, 16), (0, 64), (1, 6), (1, 24), (2, 2), (2, 8), (4, 2), (4, 8)] {
        assert!(ratios.contains(&expected), "{ratios:?}");
    }
}

#[test]
fn training_learns() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = run(&recipe(&[Variant::Autoencoder]), dir.path());
    outcome.result.unwrap();
    assert!(outcome.errors.iter().all(|(start, least)| least < start), "{:?}", outcome.errors);
    // The fine autoencoder learns a good part of a map within 16 steps.
    let (start, least) = outcome.errors[0];
    assert!(least < 0.6 * start, "{start} {least}");
}

#[test]
fn a_training_repeats_bit_for_bit_and_goes_on_behind_finished_runs() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut recipe = recipe(&[Variant::Independent, Variant::Autoencoder]);
    recipe.epochs = 1;
    let once = run(&recipe, a.path());
    once.result.unwrap();
    assert_eq!(once.trained.len(), 12);

    let stopped = run_until(&recipe, b.path(), 3, None);
    assert!(matches!(stopped.result, Err(PaperTrainingError::Stopped)), "{:?}", stopped.result);
    let resumed = run(&recipe, b.path());
    resumed.result.unwrap();
    assert_eq!((resumed.read.len(), resumed.trained.len()), (3, 9));
    assert_eq!(resumed.kept.len(), once.kept.len());
    for (a, b) in once.kept.iter().zip(&resumed.kept) {
        assert!(a.weights == b.weights, "{a:?} and {b:?} differ");
        // JSON does not keep the last bit.
        assert!((a.error - b.error).abs() < 1e-12, "{a:?} {b:?}");
    }
}

#[test]
fn a_picture_that_cannot_be_read_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut recipe = recipe(&[Variant::Autoencoder]);
    recipe.epochs = 1;
    for memory_mib in [0, 100] {
        recipe.memory_mib = memory_mib;
        run_until(&recipe, dir.path(), usize::MAX, Some(5)).result.unwrap();
    }
}

#[test]
fn finished_runs_of_another_recipe_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut recipe = recipe(&[Variant::Autoencoder]);
    run(&recipe, dir.path()).result.unwrap();
    recipe.seed = 2;
    let other = run(&recipe, dir.path());
    assert_eq!((other.read.len(), other.trained.len()), (0, 2));
}

#[test]
fn feature_maps_that_are_not_remembered_give_the_same() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut recipe = recipe(&[Variant::Autoencoder]);
    recipe.epochs = 1;
    let remembered = run(&recipe, a.path());
    recipe.memory_mib = 0;
    let live = run(&recipe, b.path());
    for ((start, least), (other_start, other_least)) in remembered.errors.iter().zip(&live.errors) {
        // The detector sees other batches, which rounds otherwise.
        assert!((start - other_start).abs() < 1e-2 * start, "{start} {other_start}");
        assert!((least - other_least).abs() < 2e-2 * least, "{least} {other_least}");
    }
    assert_eq!(remembered.errors.len(), live.errors.len());
}

#[test]
fn a_loss_that_is_no_number_names_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut recipe = recipe(&[Variant::Autoencoder]);
    recipe.learning_rates.autoencoder_fine = 1e38;
    let result = run(&recipe, dir.path()).result;
    assert!(
        matches!(&result, Err(PaperTrainingError::Diverged { run, .. }) if run == "autoencoder-fine"),
        "{result:?}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-trained is kept");
}

#[test]
fn points_without_a_plan_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = run(&PaperRecipe::of_points([0, 1, 2, 3, 40]), dir.path()).result;
    assert!(matches!(wrong, Err(PaperTrainingError::NoLayer(layer)) if layer.0 == 40), "{wrong:?}");
    let unequal = run(&PaperRecipe::of_points([0, 1, 1, 3, 4]), dir.path()).result;
    assert!(matches!(unequal, Err(PaperTrainingError::Plan(_))), "{unequal:?}");
}

//! Model directories on a real disk.

use std::fs;

use autotiler_core::{CompressionRatio, LayerIndex};
use autotiler_graph::tiler::{Autoencoder, Grade, KltFit, Paper, PaperPlan};

use super::*;

const CFG_TEXT: &str = "\
[net]\nwidth=16\nheight=16\nchannels=3\n\
[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
[convolutional]\nfilters=21\nsize=1\nstride=1\npad=1\nactivation=linear\n\
[yolo]\nmask=0,1,2\nanchors=2,2, 4,4, 8,8\nclasses=2\nnum=3\n";

fn cfg() -> Cfg {
    Cfg::parse(CFG_TEXT).unwrap()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class-{i}")).collect()
}

fn create(dir: &Path) -> Model {
    let weights = darknet::init(&cfg(), 3).unwrap();
    Model::create(dir, "tiny", &cfg(), &weights, names(2), Precision::F32).unwrap()
}

fn with_tiler(dir: &Path) -> Model {
    let mut model = create(dir);
    let spec = model.tiler_spec(LayerIndex(0), CompressionRatio::ONE).unwrap();
    let mut fit = KltFit::new(spec);
    let feature: Vec<f32> = (0..spec.feature.len()).map(|i| (i as f32 * 0.37).sin()).collect();
    fit.add(&feature).unwrap();
    model.store_tiler(TilerKind::Klt, &fit.finish(None).unwrap(), Precision::F32).unwrap();
    model
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_was_written_is_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let written = with_tiler(dir.path());
    let read = Model::load(dir.path()).unwrap();
    assert_eq!(read.manifest, written.manifest);
    assert_eq!(read.network, written.network);
    assert_eq!(read.tilers, written.tilers);
    let prefix = read.tilers[0].digest.prefix();
    assert_eq!(read.tiler_by_prefix(prefix), Some(&read.tilers[0]));
}

#[test]
fn storing_a_tiler_again_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = with_tiler(dir.path());
    let klt = model.tilers[0].klt().unwrap().clone();
    model.store_tiler(TilerKind::Klt, &klt, Precision::F16).unwrap();
    assert_eq!(model.tilers.len(), 1);
    assert_eq!(Model::load(dir.path()).unwrap().tilers, model.tilers);
}

#[test]
fn a_changed_file_is_refused_by_its_digest() {
    for file in [CFG, WEIGHTS, "tilers/layer0-cr1-klt.safetensors"] {
        let dir = tempfile::tempdir().unwrap();
        with_tiler(dir.path());
        let path = dir.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Model::load(dir.path()), Err(ModelError::Digest { .. })), "{file}");
    }
}

#[test]
fn a_tiler_of_another_network_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_tiler(one.path());
    let weights = darknet::init(&cfg(), 4).unwrap();
    let mut model = Model::create(other.path(), "tiny", &cfg(), &weights, names(2), Precision::F32).unwrap();
    model.manifest.tilers = Model::load(one.path()).unwrap().manifest.tilers;
    model.write_manifest().unwrap();
    fs::create_dir(other.path().join(TILERS)).unwrap();
    let file = "tilers/layer0-cr1-klt.safetensors";
    fs::copy(one.path().join(file), other.path().join(file)).unwrap();
    assert!(matches!(Model::load(other.path()), Err(ModelError::Digest { .. })));
}

#[test]
fn bad_manifests_name_the_key() {
    let broken = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        with_tiler(dir.path());
        edit(&dir.path().join(MANIFEST), from, to);
        Model::load(dir.path()).unwrap_err()
    };
    let ModelError::Manifest { source, .. } = broken("name: tiny", "name: tiny\ncolour: red") else {
        panic!()
    };
    assert!(source.to_string().contains("colour"));
    assert!(matches!(broken("format: 1", "format: 9"), ModelError::Format { found: 9, .. }));
    assert!(matches!(broken("cfg: network.cfg", "cfg: ../network.cfg"), ModelError::Outside(_)));
    assert!(matches!(broken("weights: network", "weights: nothing"), ModelError::File(_)));
    assert!(matches!(broken("class-1", "class-9"), ModelError::Digest { .. }));
}

#[test]
fn points_ratios_and_classes_that_cannot_be_are_refused_with_what_can() {
    let dir = tempfile::tempdir().unwrap();
    let model = with_tiler(dir.path());
    let seven = CompressionRatio::try_new(7).unwrap();
    let points = model.tiler_spec(LayerIndex(2), CompressionRatio::ONE);
    assert!(matches!(points, Err(ModelError::NoPoint { points, .. }) if points == [LayerIndex(0)]));
    assert!(matches!(model.tiler_spec(LayerIndex(0), seven), Err(ModelError::Tiler { .. })));
    let missing = model.tiler(LayerIndex(0), seven, None).unwrap_err().to_string();
    assert!(
        missing.contains("layer=0,cr=1 (klt)") && missing.contains("autotiler train tilers"),
        "{missing}"
    );

    let weights = darknet::init(&cfg(), 3).unwrap();
    let three = Model::create(&dir.path().join("other"), "x", &cfg(), &weights, names(3), Precision::F32);
    assert!(matches!(three, Err(ModelError::Classes { names: 3, classes: 2 })));
    assert!(!dir.path().join("other").join(MANIFEST).exists());
}

#[test]
fn tilers_of_all_kinds_are_stored_and_read_and_say_what_a_device_loads() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = with_tiler(dir.path());
    let layer = LayerIndex(0);
    let ratio = |cr| CompressionRatio::try_new(cr).unwrap();
    // Points as the plan of a larger network would have them; this one has only the last.
    let feature = model.feature(layer).unwrap();
    let deep = [8, 9, 10].map(|layer| (LayerIndex(layer), feature));
    let above = |layer, factor| (LayerIndex(layer), Shape::new(8, feature.h * factor, feature.w * factor));
    let plan = PaperPlan::new(&[&[above(1, 4), above(2, 2)], &deep[..]].concat()).unwrap();
    let mut state = 0.0_f32;
    let mut random = || {
        state += 1.0;
        (state * 12.9898).sin() * 1.4
    };
    let mut paper = Paper::new(&plan, 4, Grade::Coarse, &mut random).unwrap();
    paper.spec.layer = layer;
    let spec = model.tiler_spec_of(TilerKind::Ae, layer, ratio(4)).unwrap();
    let autoencoder = Autoencoder::new(spec, Grade::Coarse, random).unwrap();

    for kind in [TilerKind::Paper, TilerKind::PaperSolo] {
        let stored = model.store_tiler(kind, &paper, Precision::I8).unwrap();
        let kernels: usize =
            paper.weights.iter().filter(|w| w.name.starts_with("tiler.")).map(|w| w.values.len()).sum();
        assert!((kernels..kernels + 200).contains(&stored.encoder_bytes()), "{}", stored.encoder_bytes());
        assert!(stored.encoder_macs() > 0);
    }
    model.store_tiler(TilerKind::Ae, &autoencoder, Precision::F32).unwrap();

    let read = Model::load(dir.path()).unwrap();
    assert_eq!(read.tilers, model.tilers);
    let kinds: Vec<_> = read.tilers.iter().map(|t| t.kind).collect();
    let expected = [TilerKind::Klt, TilerKind::Ae, TilerKind::Paper, TilerKind::PaperSolo];
    assert!(kinds.len() == 4 && expected.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    // A ratio that the kind cannot have names those that it can.
    let error = model.tiler_spec_of(TilerKind::Paper, layer, ratio(5)).unwrap_err();
    assert!(matches!(error, ModelError::Tiler { source: TilerError::Ratio { .. }, .. }), "{error}");
}

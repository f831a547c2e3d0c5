//! Whole networks: against golden outputs, against the reference, and cut in two.

use std::{
    fs,
    path::{Path, PathBuf},
};

use autotiler_core::{LayerIndex, Shape};
use autotiler_graph::{
    Engine, Graph, NodeId, Tensor,
    darknet::{BatchNorm, COCO_ANCHORS, Cfg, Network, Weights, WidthMultiplier, init, yolov3},
    partition,
    reference::Reference,
};
use safetensors::SafeTensors;

use crate::{
    comparison::{difference, largest, noise, run},
    engine,
};

/// Layers of the shared detector with golden outputs; the last two are its raw heads.
const GOLDEN_LAYERS: [u16; 7] = [2, 9, 16, 27, 42, 68, 78];
/// Largest absolute difference from the golden outputs.
const GOLDEN_TOLERANCE: f32 = 1e-3;
/// Largest difference of head and tail from the whole.
const CUT_TOLERANCE: f32 = 1e-4;

/// The shared data, if there.
fn shared(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("AUTOTILER_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join("data").join(path);
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

fn shared_detector() -> Option<Network> {
    let cfg = shared("detectors/MobileNetV2-YOLOv3-Nano-voc.cfg")?;
    let weights = fs::read(cfg.with_extension("weights")).unwrap();
    let cfg = Cfg::parse(&fs::read_to_string(cfg).unwrap()).unwrap();
    let weights = Weights::read(&cfg, &weights).unwrap();
    Some(Network::build(&cfg, &weights, BatchNorm::Folded).unwrap())
}

/// A YOLOv3 of our own cfg with random weights, narrow enough for the reference.
fn narrow_yolov3() -> Network {
    let width = WidthMultiplier::try_new(0.125).unwrap();
    let cfg = Cfg::parse(&yolov3(width, 64, 3, &COCO_ANCHORS).unwrap()).unwrap();
    let weights = init(&cfg, 1).unwrap();
    Network::build(&cfg, &weights, BatchNorm::Folded).unwrap()
}

fn picture(shape: Shape) -> Tensor {
    Tensor::f32(shape, noise(11, shape.len()).iter().map(|x| x.abs()).collect())
}

/// Asserts that head then tail yield what the whole yields, at every partition point.
fn assert_cuts_agree(network: &Network, least: usize) {
    let engine = engine();
    let picture = picture(network.input);
    let whole = run(&engine, &network.graph, std::slice::from_ref(&picture));
    let points = partition::points(network);
    assert!(points.len() >= least, "{} partition points", points.len());
    for point in points {
        let (head, tail) = partition::split(network, point.layer).unwrap();
        let features = run(&engine, &head, std::slice::from_ref(&picture));
        assert_eq!(features[0].shape, point.shape);
        let results = run(&engine, &tail, &features);
        let distance = largest(results.iter().zip(&whole).map(|(a, b)| difference(a, b)));
        assert!(distance <= CUT_TOLERANCE, "cut after layer {}: {distance}", point.layer);
    }
}

#[test]
fn the_shared_detector_has_the_golden_outputs() {
    let (Some(network), Some(golden)) =
        (shared_detector(), shared("golden/mobilenetv2-yolov3-nano-voc.safetensors"))
    else {
        return;
    };
    let golden = fs::read(golden).unwrap();
    let golden = SafeTensors::deserialize(&golden).unwrap();
    let graph = layers(&network, &GOLDEN_LAYERS);
    let mut session = engine().load(&graph).unwrap();
    for image in 0..3 {
        let bytes = golden.tensor(&format!("{image}.input_rgb_u8")).unwrap();
        let picture = Tensor::f32(network.input, to_planes(bytes.data()));
        let results = session.run(&[picture]).unwrap();
        for (layer, result) in GOLDEN_LAYERS.iter().zip(&results) {
            let expected = golden.tensor(&format!("{image}.layer_{layer}")).unwrap();
            let expected = floats(expected.data());
            let got = result.as_f32().unwrap();
            assert_eq!(got.len(), expected.len());
            let distance = largest(got.iter().zip(&expected).map(|(a, b)| (a - b).abs()));
            println!("image {image} layer {layer}: {distance:e}");
            assert!(distance <= GOLDEN_TOLERANCE, "image {image} layer {layer}: {distance}");
        }
    }
}

/// The network with the outputs of `wanted` layers as results.
fn layers(network: &Network, wanted: &[u16]) -> Graph {
    let nodes: Vec<NodeId> =
        wanted.iter().map(|layer| network.layer(LayerIndex(*layer)).unwrap().node).collect();
    partition::extract(&network.graph, &network.graph.inputs, &nodes).unwrap()
}

/// Interleaved bytes to planes of floats in 0 ..= 1.
fn to_planes(rgb: &[u8]) -> Vec<f32> {
    (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).map(|&byte| f32::from(byte) / 255.0)).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

#[test]
fn head_then_tail_equals_the_whole_of_the_shared_detector() {
    if let Some(network) = shared_detector() {
        // Layers 0 to 46 by liveness; the fourteen listed with the data are among them.
        assert_cuts_agree(&network, 14);
    }
}

#[test]
fn head_then_tail_equals_the_whole_of_yolov3() {
    assert_cuts_agree(&narrow_yolov3(), 5);
}

#[test]
fn yolov3_agrees_with_the_reference() {
    let network = narrow_yolov3();
    let picture = [picture(network.input)];
    let ours = run(&engine(), &network.graph, &picture);
    let theirs = run(&Reference, &network.graph, &picture);
    let distance = largest(ours.iter().zip(&theirs).map(|(a, b)| difference(a, b)));
    assert!(distance <= CUT_TOLERANCE, "{distance}");
}

#[test]
fn a_batch_yields_what_its_pictures_yield_alone() {
    let network = narrow_yolov3();
    let len = network.input.len();
    let both = Tensor {
        batch: 2,
        ..Tensor::f32(network.input, noise(12, 2 * len).iter().map(|x| x.abs()).collect())
    };
    let mut session = engine().load(&network.graph).unwrap();
    let together = session.run(std::slice::from_ref(&both)).unwrap();
    for (index, values) in both.as_f32().unwrap().chunks(len).enumerate() {
        let alone = session.run(&[Tensor::f32(network.input, values.to_vec())]).unwrap();
        for (alone, together) in alone.iter().zip(&together) {
            let part = together.as_f32().unwrap().chunks(alone.shape.len()).nth(index).unwrap();
            let part = Tensor::f32(alone.shape, part.to_vec());
            assert!(difference(&part, alone) <= CUT_TOLERANCE);
        }
    }
}

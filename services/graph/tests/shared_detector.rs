//! The real detector of the shared data: its exact length, cuts and golden layer outputs. Skipped with a
//! line when the data is absent (`AUTOTILER_SHARED`, or `../shared` beside the workspace).

#![allow(clippy::unwrap_used)] // the helpers of tests may, like the tests

use std::path::{Path, PathBuf};

use autotiler_core::{LayerIndex, Shape};
use autotiler_graph::{
    Engine, NodeId, Tensor,
    darknet::{BatchNorm, Cfg, Network, Weights, WeightsError},
    partition,
    reference::Reference,
};
use safetensors::SafeTensors;

const NAME: &str = "MobileNetV2-YOLOv3-Nano-voc";
/// Agreement that `data/README.md` promises, absolute.
const TOLERANCE: f32 = 1e-3;

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("AUTOTILER_SHARED").map_or(beside, PathBuf::from);
    let data = root.join("data");
    if !data.is_dir() {
        println!("skipped: no shared data at {}", data.display());
    }
    data.is_dir().then_some(data)
}

fn detector(data: &Path) -> (Cfg, Vec<u8>) {
    let file = |kind: &str| data.join("detectors").join(format!("{NAME}.{kind}"));
    let text = std::fs::read_to_string(file("cfg")).unwrap();
    (Cfg::parse(&text).unwrap(), std::fs::read(file("weights")).unwrap())
}

fn network(data: &Path) -> Network {
    let (cfg, bytes) = detector(data);
    let weights = Weights::read(&cfg, &bytes).unwrap();
    Network::build(&cfg, &weights, BatchNorm::Folded).unwrap()
}

#[test]
fn the_weights_file_is_read_to_its_last_byte_and_written_back() {
    let Some(data) = shared() else { return };
    let (cfg, bytes) = detector(&data);
    let weights = Weights::read(&cfg, &bytes).unwrap();
    assert!(weights.write() == bytes);
    assert_eq!(Cfg::parse(&cfg.to_string()).unwrap().to_string(), cfg.to_string());
    let short = Weights::read(&cfg, &bytes[..bytes.len() - 4]).unwrap_err();
    assert_eq!(short, WeightsError::Length { expected: bytes.len(), got: bytes.len() - 4 });
}

#[test]
fn its_partition_points_are_found() {
    let Some(data) = shared() else { return };
    let network = network(&data);
    let found: Vec<(u16, String)> =
        partition::points(&network).iter().map(|point| (point.layer.0, point.shape.to_string())).collect();
    let expected = [
        (0, "160x160x16"),
        (1, "160x160x16"),
        (2, "160x160x8"),
        (3, "160x160x48"),
        (4, "80x80x48"),
        (5, "80x80x12"),
        (9, "80x80x12"),
        (10, "80x80x72"),
        (11, "40x40x72"),
        (12, "40x40x16"),
        (16, "40x40x16"),
        (20, "40x40x16"),
        (21, "40x40x96"),
        (22, "20x20x96"),
        (23, "20x20x32"),
        (27, "20x20x32"),
        (31, "20x20x32"),
        (35, "20x20x32"),
        (36, "20x20x192"),
        (37, "20x20x192"),
        (38, "20x20x48"),
        (42, "20x20x48"),
        (46, "20x20x48"),
        // Both heads hang on the expanded layer 47 and on nothing before it, so it is one tensor still.
        (47, "20x20x288"),
    ];
    assert_eq!(found, expected.map(|(layer, shape)| (layer, shape.to_owned())));
    let heads: Vec<_> = network.heads.iter().map(|head| (head.layer.0, head.scale_x_y)).collect();
    assert_eq!(heads, [(69, 1.1), (79, 1.05)]);
}

#[test]
fn layers_and_raw_heads_are_the_golden_ones() {
    let Some(data) = shared() else { return };
    let network = network(&data);
    let bytes = std::fs::read(data.join("golden/mobilenetv2-yolov3-nano-voc.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let layers = [2, 9, 16, 27, 42, 68, 78];
    let nodes: Vec<NodeId> =
        layers.iter().map(|&layer| network.layer(LayerIndex(layer)).unwrap().node).collect();
    let graph = partition::extract(&network.graph, &network.graph.inputs, &nodes).unwrap();
    let mut session = Reference.load(&graph).unwrap();
    // One picture: this interpreter is slow. The engines are held to all of them.
    let picture =
        golden.names().into_iter().filter_map(|name| name.strip_suffix(".input_rgb_u8")).min().unwrap();
    let rgb = golden.tensor(&format!("{picture}.input_rgb_u8")).unwrap();
    let Shape { h, w, .. } = network.input;
    let at = |c: usize, pixel: usize| f32::from(rgb.data()[pixel * 3 + c]) / 255.0;
    let values = (0..3).flat_map(|c| (0..h * w).map(move |pixel| at(c, pixel))).collect();
    let outputs = session.run(&[Tensor::f32(network.input, values)]).unwrap();
    for (layer, output) in layers.iter().zip(&outputs) {
        let expected = golden.tensor(&format!("{picture}.layer_{layer}")).unwrap();
        let expected = expected.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let worst =
            output.as_f32().unwrap().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("layer {layer}: largest difference {worst:e}");
        assert!(worst <= TOLERANCE, "layer {layer}: {worst}");
    }
}

//! Both engines on the same networks.

use std::{env, path::PathBuf};

use autotiler_graph::{
    Graph,
    darknet::{BatchNorm, COCO_ANCHORS, Cfg, Network, WidthMultiplier, init, yolov3},
};
use autotiler_onnx::{OnnxEngine, OnnxOptions};

use crate::{
    comparison::{difference, largest, noisy_inputs, run},
    engine,
};

/// Where the set-up puts the library, below the home directory.
const CACHED: &str = ".cache/autotiler/onnxruntime-1.32.0/libonnxruntime.so.1.32.0";
/// Largest difference, relative to the largest value.
const TOLERANCE: f32 = 1e-4;

fn onnx() -> Option<OnnxEngine> {
    let given = env::var_os("AUTOTILER_ORT").or_else(|| env::var_os("ORT_DYLIB_PATH")).map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let library = path.filter(|path| path.is_file());
    if library.is_none() {
        println!("skipped: no ONNX Runtime");
    }
    let options = OnnxOptions { library: Some(library?), ..OnnxOptions::default() };
    Some(OnnxEngine::new(options).unwrap())
}

fn assert_engines_agree(graph: &Graph, batch: usize) {
    let Some(onnx) = onnx() else { return };
    let inputs = noisy_inputs(graph, batch, 5);
    let (ours, theirs) = (run(&engine(), graph, &inputs), run(&onnx, graph, &inputs));
    let distance = largest(ours.iter().zip(&theirs).map(|(a, b)| difference(a, b)));
    assert!(distance <= TOLERANCE, "{distance}");
}

fn network(side: usize, kept: BatchNorm) -> Network {
    let width = WidthMultiplier::try_new(0.125).unwrap();
    let cfg = Cfg::parse(&yolov3(width, side, 3, &COCO_ANCHORS).unwrap()).unwrap();
    Network::build(&cfg, &init(&cfg, 3).unwrap(), kept).unwrap()
}

#[test]
fn both_engines_give_the_same_heads_of_yolov3() {
    assert_engines_agree(&network(160, BatchNorm::Folded).graph, 2);
}

#[test]
fn both_engines_give_the_same_heads_before_folding() {
    assert_engines_agree(&network(96, BatchNorm::Kept).graph, 1);
}

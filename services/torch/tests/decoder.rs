//! The decoder process on libtorch, beside the one on ONNX Runtime: real nats-server, device and codec.

// The lint's own exception for tests sees `#[test]` functions alone, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path, time::Duration};

use autotiler_tests::{NatsServer, NatsServerOptions, Service};
use serde_json::Value;

/// Long enough for a busy machine.
const AT_LAST: Duration = Duration::from_secs(120);
const FRAMES: &str = "12";

#[test]
fn both_decoders_find_the_same() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/street").display().to_string();
    let (folder, nats) =
        (tempfile::tempdir().unwrap(), NatsServer::start_with(NatsServerOptions::default()).unwrap());
    let common = ["--model", &model, "--nats", &nats.url()].map(str::to_owned);
    let start = |program: &str, name: &str, more: &[&str]| {
        let more = more.iter().map(|&arg| arg.to_owned());
        Service::start(program, name, common.iter().cloned().chain(more), folder.path()).unwrap()
    };
    let found = |program: &str, more: &[&str], point: &str| -> Vec<Value> {
        let mut decoder = start(program, program, more);
        decoder.wait_ready(AT_LAST).unwrap();
        let results = folder.path().join(format!("{program}.{}.jsonl", point.len())).display().to_string();
        let edge = ["--device", "cam", "--point", point, "--source", "scenes", "--frames", FRAMES];
        let mut edge = start("autotiler-edge", "edge", &[&edge[..], &["--results", &results]].concat());
        let status = edge.process().wait(AT_LAST).unwrap();
        assert!(status.success(), "{}", edge.process().stderr());
        let lines = fs::read_to_string(&results).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for point in ["layer=36,cr=4,bits=8k", "server-only,bits=40k"] {
        let onnx = found("autotiler-decoder", &[], point);
        let torch = found("autotiler-decoder-torch", &["--device", "cpu"], point);
        assert_eq!(onnx.len(), FRAMES.parse::<usize>().unwrap());
        assert!(onnx.iter().any(|line| !detections(line).is_empty()), "something is found");
        for (onnx, torch) in onnx.iter().zip(&torch) {
            let sent =
                |line: &Value| (line["sequence"].clone(), line["bits"].clone(), line["outcome"].clone());
            assert_eq!(sent(onnx), sent(torch));
            assert_eq!(onnx["outcome"], "received");
            same(detections(onnx), detections(torch));
        }
    }
}

#[test]
fn where_there_is_no_gpu_it_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    if autotiler_torch::TorchEngine::cuda(0, autotiler_torch::Precision::Float32).is_ok() {
        println!("there is a GPU: skipped");
        return;
    }
    let args = ["--model", "no-such-folder"];
    let mut decoder = Service::start("autotiler-decoder-torch", "decoder", args, folder.path()).unwrap();
    let status = decoder.process().wait(AT_LAST).unwrap();
    let said = decoder.process().stderr();
    assert!(
        !status.success() && said.contains("--device cpu") && said.contains("no CUDA device 0"),
        "{said}"
    );
}

fn detections(line: &Value) -> &[Value] {
    line["detections"].as_array().map_or(&[], Vec::as_slice)
}

/// The same objects: engines round differently, scores and boxes by far less than this.
fn same(onnx: &[Value], torch: &[Value]) {
    assert_eq!(onnx.len(), torch.len(), "{onnx:?} {torch:?}");
    let number = |value: &Value| value.as_f64().unwrap();
    for (onnx, torch) in onnx.iter().zip(torch) {
        assert_eq!(onnx["class"], torch["class"]);
        assert!((number(&onnx["score"]) - number(&torch["score"])).abs() < 1e-3, "{onnx} {torch}");
        for side in ["x0", "y0", "x1", "y1"] {
            let sides = [onnx, torch].map(|found| number(&found["bbox"][side]));
            assert!((sides[0] - sides[1]).abs() < 1e-3, "{onnx} {torch}");
        }
    }
}

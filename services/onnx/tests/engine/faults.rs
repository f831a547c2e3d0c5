//! Bad input, bad graphs and bad libraries are typed errors.

use std::path::PathBuf;

use autotiler_core::Shape;
use autotiler_graph::{
    Activation, Engine, EngineError, Graph, GraphBuilder, Node, NodeId, Op, Session, Tensor, WeightId,
};
use autotiler_onnx::{ExportError, OnnxEngine, OnnxOptions, to_onnx};

use crate::{engine, library};

const SHAPE: Shape = Shape::new(2, 3, 4);

fn relu() -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder.input(SHAPE);
    let y = builder.push(Op::Activate(Activation::Relu), &[x]).unwrap();
    builder.finish(&[y])
}

fn session() -> Box<dyn Session> {
    engine().load(&relu()).unwrap()
}

#[track_caller]
fn assert_input_error(inputs: &[Tensor], index: usize) {
    let error = session().run(inputs).unwrap_err();
    assert!(matches!(error, EngineError::Input { index: got, .. } if got == index), "{error:?}");
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let good = Tensor::f32(SHAPE, vec![0.0; SHAPE.len()]);
    assert_input_error(&[], 0);
    assert_input_error(&[good.clone(), good.clone()], 1);
    assert_input_error(&[Tensor::u8(SHAPE, vec![0; SHAPE.len()])], 0);
    assert_input_error(&[Tensor::f32(Shape::new(2, 4, 3), vec![0.0; SHAPE.len()])], 0);
    assert_input_error(&[Tensor::f32(SHAPE, vec![0.0; SHAPE.len() - 1])], 0);
    assert_input_error(&[Tensor { batch: 2, ..good.clone() }], 0);
    assert_input_error(&[Tensor { batch: 0, ..Tensor::f32(SHAPE, vec![]) }], 0);
    assert!(session().run(&[good]).is_ok());
}

#[test]
fn a_session_goes_on_after_a_refused_input() {
    let mut session = session();
    assert!(session.run(&[]).is_err());
    let good = Tensor::f32(SHAPE, vec![1.0; SHAPE.len()]);
    assert_eq!(session.run(std::slice::from_ref(&good)).unwrap(), [good]);
}

#[test]
fn inputs_of_different_batches_are_refused() {
    let mut builder = GraphBuilder::new();
    let (a, b) = (builder.input(SHAPE), builder.input(SHAPE));
    let sum = builder.push(Op::Add, &[a, b]).unwrap();
    let mut session = engine().load(&builder.finish(&[sum])).unwrap();
    let one = Tensor::f32(SHAPE, vec![0.0; SHAPE.len()]);
    let two = Tensor { batch: 2, ..Tensor::f32(SHAPE, vec![0.0; 2 * SHAPE.len()]) };
    let error = session.run(&[one, two]).unwrap_err();
    assert!(matches!(error, EngineError::Input { index: 1, .. }), "{error:?}");
}

#[test]
fn broken_graphs_are_refused() {
    let mut graph = relu();
    graph.nodes[1].inputs = vec![NodeId(1)];
    assert_eq!(to_onnx(&graph), Err(ExportError::Input { node: 1, input: 0 }));
    assert!(matches!(engine().load(&graph), Err(EngineError::Load { .. })));

    let mut graph = relu();
    graph.outputs = vec![NodeId(9)];
    assert_eq!(to_onnx(&graph), Err(ExportError::Ports { list: "outputs" }));

    let mut graph = relu();
    graph.inputs = vec![NodeId(1)];
    assert_eq!(to_onnx(&graph), Err(ExportError::Ports { list: "inputs" }));

    let mut graph = relu();
    let weight = WeightId(0);
    let op = Op::Conv { weight, bias: None, out: 2, size: 1, stride: 1, pad: 0, dilation: 1, groups: 1 };
    graph.nodes.push(Node { op, inputs: vec![NodeId(1)], shape: SHAPE, layer: None });
    assert_eq!(to_onnx(&graph), Err(ExportError::Weight { node: 2, weight: 0 }));
}

#[test]
fn what_the_runtime_refuses_is_a_load_error() {
    let mut graph = relu();
    graph.nodes[1].op = Op::SpaceToDepth { block: 2 };
    graph.nodes[1].shape = Shape::new(8, 1, 2);
    // Three rows do not fold by two; the runtime sees it when it infers shapes, or at the latest in the run.
    let refused = match engine().load(&graph) {
        Err(error) => error,
        Ok(mut session) => session.run(&[Tensor::f32(SHAPE, vec![0.0; SHAPE.len()])]).unwrap_err(),
    };
    assert!(matches!(refused, EngineError::Load { .. } | EngineError::Run { .. }), "{refused:?}");
}

#[test]
fn engines_of_one_process_share_the_library() {
    let first = engine();
    let second =
        OnnxEngine::new(OnnxOptions { threads: 2, spinning: true, ..OnnxOptions::default() }).unwrap();
    let input = [Tensor::f32(SHAPE, vec![2.0; SHAPE.len()])];
    for engine in [&first, &second] {
        assert_eq!(engine.load(&relu()).unwrap().run(&input).unwrap(), input);
    }
    let other = OnnxOptions { library: Some(PathBuf::from("other.so")), ..OnnxOptions::default() };
    assert!(matches!(OnnxEngine::new(other), Err(EngineError::Unavailable { .. })));
}

#[test]
fn engines_start_on_several_threads_at_once() {
    let path = library();
    let start = || {
        let options = OnnxOptions { library: Some(path.clone()), ..OnnxOptions::default() };
        OnnxEngine::new(options).unwrap().load(&relu()).unwrap()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
}

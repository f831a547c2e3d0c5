//! Bad input and bad graphs are typed errors.

use autotiler_core::Shape;
use autotiler_graph::{Activation, Engine, EngineError, Graph, GraphBuilder, NodeId, Op, Tensor};
use autotiler_torch::{Precision, TorchEngine};

use crate::engine;

const SHAPE: Shape = Shape::new(2, 3, 4);

fn relu() -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder.input(SHAPE);
    let y = builder.push(Op::Activate(Activation::Relu), &[x]).unwrap();
    builder.finish(&[y])
}

#[track_caller]
fn assert_input_error(inputs: &[Tensor], index: usize) {
    let error = engine().load(&relu()).unwrap().run(inputs).unwrap_err();
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
}

#[test]
fn broken_graphs_are_refused() {
    let mut graph = relu();
    graph.nodes[1].inputs = vec![NodeId(1)];
    assert!(matches!(engine().load(&graph), Err(EngineError::Load { .. })));
    let mut graph = relu();
    graph.outputs = vec![NodeId(9)];
    assert!(matches!(engine().load(&graph), Err(EngineError::Load { .. })));
}

#[test]
fn what_libtorch_refuses_is_an_error_and_the_session_goes_on() {
    let mut graph = relu();
    graph.nodes[1].op = Op::SpaceToDepth { block: 2 };
    graph.nodes[1].shape = Shape::new(8, 1, 2);
    let mut session = engine().load(&graph).unwrap();
    for _ in 0..2 {
        // Three rows do not fold by two.
        let error = session.run(&[Tensor::f32(SHAPE, vec![0.0; SHAPE.len()])]).unwrap_err();
        assert!(matches!(error, EngineError::Run { .. }), "{error:?}");
    }
}

#[test]
fn a_device_that_is_not_there_is_unavailable() {
    let error = TorchEngine::cuda(4096, Precision::BFloat16).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
}

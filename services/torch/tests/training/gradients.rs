//! Gradients of the tilers against finite differences, in 64 bits, without the codec. Rounding to bytes has none
//! and is left out: what passes it is held to in the tests of the engine.

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Shape};
use autotiler_graph::{
    Graph, Op,
    tiler::{
        AutoTiler, GAIN_SHAPE, Grade, ImportanceShape, Klt, KltFit, Lite, LiteShape, Paper, PaperPlan,
        Restorer, TilerSpec, gain_input, is_constant,
    },
};
use autotiler_torch::{Executor, Mode};
use tch::{Device, Kind, Tensor};

/// Steps of the finite differences. Where a kink of a leaky unit lies within one, a smaller one agrees; where a
/// gradient is wrong, none does.
const STEPS: [f64; 3] = [1e-6, 1e-7, 1e-8];
/// Share by which a slope may be off; losses of some thousand in 64 bits leave about 1e-5 of it.
const TOLERANCE: f64 = 1e-4;
/// Values tried of each weight.
const TRIED: usize = 6;

/// Numbers from -1 to 1 that depend on the seed alone.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// The graph as far as the last rounding to bytes.
fn unrounded(mut graph: Graph) -> Graph {
    let rounded = graph.outputs.iter_mut().filter(|id| graph.nodes[id.0].op == Op::ToPlane);
    rounded.for_each(|id| *id = graph.nodes[id.0].inputs[0]);
    graph
}

/// Compares the gradients of all learned weights of a graph, which are moved off their start: zeros hide what is
/// behind them.
fn check(what: &str, graph: Graph) {
    let graph = unrounded(graph);
    let mut random = noise(what.len() as u64);
    let mut random = |len: usize| -> Vec<f64> { (0..len).map(|_| random()).collect() };
    let weights: Vec<Tensor> = graph
        .weights
        .iter()
        .map(|weight| {
            let dims: Vec<i64> = weight.dims.iter().map(|&dim| dim as i64).collect();
            let values: Vec<f64> = weight.values.iter().map(|&v| f64::from(v)).collect();
            let by = if is_constant(&weight.name) { 0.0 } else { 0.2 };
            let moved = Tensor::from_slice(&values) + Tensor::from_slice(&random(values.len())) * by;
            moved.reshape(dims).set_requires_grad(true)
        })
        .collect();
    let inputs: Vec<Tensor> = graph
        .inputs
        .iter()
        .map(|id| {
            let shape = graph.nodes[id.0].shape;
            let values = match &graph.nodes[id.0].op {
                _ if shape == GAIN_SHAPE => gain_input(&[Gain(30), Gain(50)]).as_f32().unwrap().to_vec(),
                Op::InputU8 => random(2 * shape.len()).iter().map(|x| (128.0 + 100.0 * x) as f32).collect(),
                _ => random(2 * shape.len()).iter().map(|&x| x as f32).collect(),
            };
            let dims = [2, shape.c as i64, shape.h as i64, shape.w as i64];
            Tensor::from_slice(&values).to_kind(Kind::Double).reshape(dims)
        })
        .collect();
    let names: Vec<String> = graph.weights.iter().map(|weight| weight.name.clone()).collect();
    let executor = Executor::try_new(graph.into()).unwrap();
    let target = noise(77)();
    let loss = |weights: &[Tensor]| {
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::shallow_clone).collect();
        let output = executor.run(weights, &inputs, Mode::default()).unwrap().remove(0);
        assert_eq!(output.kind(), Kind::Double, "{what}");
        (output - target).square().mean(Kind::Double)
    };
    let gradients = Tensor::run_backward(&[&loss(&weights)], &weights, false, false);
    let _no_grad = tch::no_grad_guard();
    for (at, (gradient, name)) in gradients.iter().zip(&names).enumerate() {
        if is_constant(name) {
            continue;
        }
        let flat = gradient.contiguous().view(-1);
        let largest = f64::try_from(flat.abs().max()).unwrap();
        let len = flat.numel();
        for value in (0..len).step_by(len.div_ceil(TRIED)) {
            let moved = |by: f64| {
                let mut moved: Vec<Tensor> = weights.iter().map(Tensor::shallow_clone).collect();
                let copy = moved[at].contiguous().copy();
                let _ = copy.view(-1).get(value as i64).g_add_scalar_(by);
                moved[at] = copy;
                f64::try_from(loss(&moved)).unwrap()
            };
            let ours = f64::try_from(flat.get(value as i64)).unwrap();
            let slopes = STEPS.map(|step| (moved(step) - moved(-step)) / (2.0 * step));
            let agrees = |slope: &f64| (slope - ours).abs() < TOLERANCE * (slope.abs() + largest + 1e-3);
            let found = slopes.iter().any(agrees);
            assert!(found, "{what}, {name}[{value}]: {ours} instead of {slopes:?}");
        }
    }
    assert!(gradients.iter().any(|g| f64::try_from(g.abs().max()).unwrap() > 0.0), "{what}");
    assert!(gradients.iter().all(|g| g.device() == Device::Cpu));
}

fn klt(spec: TilerSpec) -> (Klt, Vec<f32>) {
    let mut fit = KltFit::new(spec);
    let mut random = noise(5);
    for _ in 0..40 {
        let feature: Vec<f32> = (0..spec.feature.len()).map(|_| random() as f32).collect();
        fit.add(&feature).unwrap();
    }
    let klt = fit.finish(None).unwrap();
    let deviation = fit.deviation(&klt);
    (klt, deviation)
}

fn lite(shape: LiteShape) -> Lite {
    let feature = Shape::new(8, 4, 6);
    let spec = TilerSpec::new(LayerIndex(0), feature, CompressionRatio::try_new(4).unwrap()).unwrap();
    let (klt, deviation) = klt(spec);
    let mut random = noise(9);
    let lite = Lite::from_klt(&klt, shape, || random() as f32).unwrap();
    lite.with_restorer(&deviation, &Restorer::untrained(2, || 0.5))
}

#[test]
fn gradients_of_lite_are_those_of_finite_differences() {
    let importance = Some(ImportanceShape { width: 3, layers: 2 });
    let lite = lite(LiteShape { importance, decoder_width: 4, decoder_blocks: 2 });
    check("lite encoder", lite.encoder().unwrap());
    check("lite decoder", lite.decoder().unwrap());
}

#[test]
fn gradients_of_the_papers_tilers_are_those_of_finite_differences() {
    let at = |layer: u16, c, side| (LayerIndex(layer), Shape::new(c, side, side));
    let points = [at(0, 4, 16), at(1, 6, 8), at(2, 8, 4), at(3, 8, 4), at(4, 8, 4)];
    let plan = PaperPlan::new(&points).unwrap();
    for (point, grade) in [(0, Grade::Coarse), (1, Grade::Fine), (2, Grade::Coarse)] {
        let mut random = noise(3);
        let paper = Paper::new(&plan, point, grade, || random() as f32).unwrap();
        check(&format!("paper encoder of point {point}"), paper.encoder().unwrap());
        check(&format!("paper decoder of point {point}"), paper.decoder().unwrap());
    }
}

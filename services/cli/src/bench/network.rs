//! The whole network, per image.

use std::time::Instant;

use autotiler_graph::Tensor;
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};

use super::{Args, Row, median};

const WARM_UP: usize = 20;
const RUNS: usize = 200;

pub(super) fn measure(args: &Args, model: &Model) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for threads in [1, args.engine.threads.max(2)] {
        let library = args.engine.ort_library.clone();
        let options = OnnxOptions { library, threads, ..OnnxOptions::default() };
        let engine = OnnxEngine::new(options)?;
        let mut session = autotiler_graph::Engine::load(&engine, &model.network.graph)?;
        let input = [Tensor::f32(model.network.input, vec![0.5; model.network.input.len()])];
        let mut times = Vec::with_capacity(RUNS);
        for run in 0..WARM_UP + RUNS {
            let start = Instant::now();
            session.run(&input)?;
            if run >= WARM_UP {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        rows.push(Row::new(format!("whole network, {threads} threads"), median(times), "ms", None));
    }
    Ok(rows)
}

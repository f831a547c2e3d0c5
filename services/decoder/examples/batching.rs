//! Does batching pay? Time of the tail per frame at several batch sizes: what the default of `--max-batch` rests on.
//!
//! `cargo run --release -p autotiler-decoder --example batching -- MODEL_DIR [THREADS]`; the library of ONNX
//! Runtime comes from `ORT_DYLIB_PATH`, else from the system. Prints the median of [`ROUNDS`] rounds, batch sizes
//! taken in turn so that a busy machine hits all of them alike.

use std::{env, path::Path, time::Instant};

use autotiler_core::Gain;
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::{CodedFrame, ServerSource, ServerStage};

const BATCHES: [usize; 4] = [1, 2, 4, 8];
const ROUNDS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let dir = arguments.next().ok_or("usage: batching MODEL_DIR [THREADS]")?;
    let threads = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let library = env::var_os("ORT_DYLIB_PATH").map(Into::into);
    let engine = OnnxEngine::new(OnnxOptions { library, threads, ..OnnxOptions::default() })?;
    let model = Model::load(Path::new(&dir))?;

    println!("{threads} threads; ms per frame at batches of {BATCHES:?}");
    for tiler in &model.tilers {
        let name = format!("layer {} cr {} {}", tiler.layer(), tiler.spec().cr, tiler.kind);
        measure(&name, &mut ServerStage::new(&engine, &model, ServerSource::Plane(tiler))?)?;
    }
    measure("picture", &mut ServerStage::new(&engine, &model, ServerSource::Picture)?)?;
    Ok(())
}

fn measure(name: &str, stage: &mut ServerStage) -> Result<(), Box<dyn std::error::Error>> {
    let bytes: Vec<u8> = (0..stage.format().len()).map(|i| (i * 37 % 251) as u8).collect();
    let mut times = BATCHES.map(|_| Vec::with_capacity(ROUNDS));
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        for (batch, times) in BATCHES.into_iter().zip(&mut times) {
            let frames = vec![CodedFrame { bytes: &bytes, gain: Gain(20) }; batch];
            let start = Instant::now();
            stage.run(&frames)?;
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3 / batch as f64);
            }
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    });
    println!("{name:<28}{}", medians.map(|ms| format!("{ms:8.2}")).concat());
    Ok(())
}

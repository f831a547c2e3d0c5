//! Does batching pay? Time of the tail per frame at several batch sizes: what the default of `--max-batch` rests on.
//!
//! `cargo run --release -p autotiler-decoder --example batching -- MODEL_DIR [THREADS]`; the library of ONNX
//! Runtime comes from `ORT_DYLIB_PATH`, else from the system. Batch sizes are taken in turn, for [`ROUNDS`]
//! rounds. Prints medians, of time that passed and of time on a processor (Linux's `schedstat`, all threads): the
//! second is what a machine that has other work to do can go by.

use std::{env, fs, io, path::Path, time::Instant};

use autotiler_core::Gain;
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::{CodedFrame, ServerSource, ServerStage};

const BATCHES: [usize; 4] = [1, 2, 4, 8];
const ROUNDS: usize = 40;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let dir = arguments.next().ok_or("usage: batching MODEL_DIR [THREADS]")?;
    let threads = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let library = env::var_os("ORT_DYLIB_PATH").map(Into::into);
    let engine = OnnxEngine::new(OnnxOptions { library, threads, ..OnnxOptions::default() })?;
    let model = Model::load(Path::new(&dir))?;

    println!("{threads} threads; ms per frame at batches of {BATCHES:?}: passed | on a processor");
    for tiler in &model.tilers {
        let name = format!("layer {} cr {} {}", tiler.layer(), tiler.spec().cr, tiler.kind);
        measure(&name, &mut ServerStage::new(&engine, &model, ServerSource::Plane(tiler))?)?;
    }
    measure("picture", &mut ServerStage::new(&engine, &model, ServerSource::Picture)?)
}

fn measure(name: &str, stage: &mut ServerStage) -> Result<(), Failure> {
    let bytes: Vec<u8> = (0..stage.format().len()).map(|i| (i * 37 % 251) as u8).collect();
    let mut passed = BATCHES.map(|_| Vec::with_capacity(ROUNDS));
    let mut on_processor = passed.clone();
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        for ((batch, passed), on_processor) in BATCHES.into_iter().zip(&mut passed).zip(&mut on_processor) {
            let frames = vec![CodedFrame { bytes: &bytes, gain: Gain(20), qp_gain: Gain::UNITY }; batch];
            let (start, busy) = (Instant::now(), busy_ms()?);
            stage.run(&frames)?;
            if round > 0 {
                passed.push(start.elapsed().as_secs_f64() * 1e3 / batch as f64);
                on_processor.push((busy_ms()? - busy) / batch as f64);
            }
        }
    }
    let shown = |times: [Vec<f64>; 4]| times.map(|times| format!("{:7.2}", median(times))).concat();
    println!("{name:<24}{} |{}", shown(passed), shown(on_processor));
    Ok(())
}

/// Milliseconds that the threads of this process have run.
fn busy_ms() -> io::Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
    }
    Ok(sum / 1e6)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

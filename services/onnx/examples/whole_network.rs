//! Times a whole Darknet network through the engine, or writes it as an ONNX file.
//!
//! `whole_network time CFG WEIGHTS [RUNS]` prints one JSON line per setting; `whole_network export CFG WEIGHTS
//! FILE` writes the model that the engine runs; `whole_network serve CFG WEIGHTS THREADS SPINNING` runs it once
//! per line read and answers with the nanoseconds it took, so that another program can interleave its own
//! runs (`tests/peers/whole_network.py`). The library's path comes from `ORT_DYLIB_PATH`.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead as _, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use autotiler_graph::{
    Engine, Session, Tensor,
    darknet::{BatchNorm, Cfg, Network, Weights},
};
use autotiler_onnx::{OnnxEngine, OnnxOptions, to_onnx};

const USAGE: &str = "usage: whole_network time CFG WEIGHTS [RUNS] | export CFG WEIGHTS FILE | \
                     serve CFG WEIGHTS THREADS SPINNING";
const DEFAULT_RUNS: usize = 100;
const WARM_UP_RUNS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["time", cfg, weights] => time(&network(cfg, weights)?, DEFAULT_RUNS),
        ["time", cfg, weights, runs] => time(&network(cfg, weights)?, runs.parse()?),
        ["export", cfg, weights, file] => Ok(fs::write(file, to_onnx(&network(cfg, weights)?.graph)?)?),
        ["serve", cfg, weights, threads, spinning] => {
            serve(&network(cfg, weights)?, threads.parse()?, spinning.parse()?)
        }
        _ => Err(USAGE.into()),
    }
}

fn network(cfg: &str, weights: &str) -> Result<Network, Box<dyn Error>> {
    let cfg = Cfg::parse(&fs::read_to_string(cfg)?)?;
    let weights = Weights::read(&cfg, &fs::read(weights)?)?;
    Ok(Network::build(&cfg, &weights, BatchNorm::Folded)?)
}

fn time(network: &Network, runs: usize) -> Result<(), Box<dyn Error>> {
    for (threads, spinning) in [(1, false), (2, false), (2, true)] {
        let mut runner = Runner::new(network, threads, spinning)?;
        let mut times: Vec<Duration> = (0..runs.max(1)).map(|_| runner.run()).collect::<Result<_, _>>()?;
        times.sort_unstable();
        let p50_ms = times[times.len() / 2].as_secs_f64() * 1e3;
        let load_ms = runner.load.as_secs_f64() * 1e3;
        let resident_mib = resident_mib().unwrap_or(f64::NAN);
        println!(
            "{{\"threads\":{threads},\"spinning\":{spinning},\"p50_ms\":{p50_ms:.2},\"load_ms\":{load_ms:.1},\
             \"resident_mib\":{resident_mib:.1}}}"
        );
    }
    Ok(())
}

fn serve(network: &Network, threads: usize, spinning: bool) -> Result<(), Box<dyn Error>> {
    let mut runner = Runner::new(network, threads, spinning)?;
    let mut answers = io::stdout().lock();
    writeln!(answers, "ready")?;
    answers.flush()?;
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(answers, "{}", runner.run()?.as_nanos())?;
        answers.flush()?;
    }
    Ok(())
}

/// A loaded network with a picture to run it on.
struct Runner {
    session: Box<dyn Session>,
    picture: [Tensor; 1],
    load: Duration,
}

impl Runner {
    fn new(network: &Network, threads: usize, spinning: bool) -> Result<Self, Box<dyn Error>> {
        let library = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
        let start = Instant::now();
        let engine = OnnxEngine::new(OnnxOptions { library, threads, spinning, ..OnnxOptions::default() })?;
        let session = engine.load(&network.graph)?;
        let load = start.elapsed();
        let shades = (0..network.input.len()).map(|i| (i % 251) as f32 / 250.0).collect();
        let mut runner = Self { session, picture: [Tensor::f32(network.input, shades)], load };
        for _ in 0..WARM_UP_RUNS {
            runner.run()?;
        }
        Ok(runner)
    }

    fn run(&mut self) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        self.session.run(&self.picture)?;
        Ok(start.elapsed())
    }
}

/// Resident memory of this process.
fn resident_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

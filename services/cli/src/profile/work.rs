//! The run: point by point, what is kept first.

use std::{cell::OnceCell, env, path::PathBuf, process::Command, thread};

use anyhow::Context as _;
use autotiler_core::{
    TargetBits,
    average_precision::{Ranking, UNCUT},
};
use autotiler_eval::{
    PictureSet, Workbench, Workshop,
    profile::{Clock, Kept, MeasuredPoint, Planned, Rate, device_memory_kib, of_trials},
};
use autotiler_hevc::{DecoderOptions, EncoderOptions};
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_scene::Picture;

use super::Args;
use crate::{common::progress, eval::bench::Bars};

/// With `--quick`.
const QUICK_PICTURES: usize = 60;
const QUICK_FRAMES: usize = 20;
/// Without.
const FRAMES: usize = 60;
/// Pictures that times are taken on, in turn.
const TIMED_PICTURES: usize = 32;

/// Everything that is open for a run.
pub(super) struct Work<'a> {
    args: &'a Args,
    model: &'a Model,
    planned: &'a [Planned],
    device: OnnxEngine,
    server: OnnxEngine,
    /// Accuracy hangs on no time, and a slow device would take its time over each picture.
    unslowed: OnnxEngine,
    encoder: EncoderOptions,
    decoder: DecoderOptions,
    set: PictureSet,
    folder: PathBuf,
}

impl<'a> Work<'a> {
    pub(super) fn new(args: &'a Args, model: &'a Model, planned: &'a [Planned]) -> anyhow::Result<Self> {
        let engine = |threads, slowdown| {
            let library = args.ort_library.clone();
            OnnxEngine::new(OnnxOptions { library, threads, slowdown, ..OnnxOptions::default() })
        };
        let limit = args.limit.map(usize::from).or(args.quick.then_some(QUICK_PICTURES));
        let beside = || {
            let mut name = args.out.as_os_str().to_owned();
            name.push(".work");
            PathBuf::from(name)
        };
        Ok(Self {
            device: engine(args.threads, args.slowdown)?,
            server: engine(args.server_threads, 1)?,
            unslowed: engine(args.threads, 1)?,
            encoder: args.codec.encoder(),
            decoder: args.codec.decoder(),
            set: args.data.open(limit, &model.manifest.classes)?,
            folder: args.work.clone().unwrap_or_else(beside),
            args,
            model,
            planned,
        })
    }

    /// What was measured of each point, what is kept without running anything.
    pub(super) fn measure(&self) -> anyhow::Result<Vec<(Planned, MeasuredPoint)>> {
        let kept = Kept::new(&self.folder, self.conditions());
        let bench = OnceCell::new();
        let pictures = OnceCell::new();
        let mut measured = Vec::new();
        for (number, planned) in self.planned.iter().enumerate() {
            let point = match kept.read(planned)? {
                Some(point) => {
                    eprintln!("[{}/{}] {planned}: kept", number + 1, self.planned.len());
                    point
                }
                None => {
                    eprintln!("[{}/{}] {planned}", number + 1, self.planned.len());
                    if bench.get().is_none() {
                        warn_if_busy();
                        let _ = bench.set(self.bench()?);
                        let _ = pictures.set(self.pictures()?);
                    }
                    let (bench, pictures) = bench.get().zip(pictures.get()).context("both were set")?;
                    let point = self.point(number, planned, bench, pictures);
                    let point = point.with_context(|| format!("measuring {planned}"))?;
                    kept.write(planned, &point)?;
                    point
                }
            };
            measured.push((planned.clone(), point));
        }
        Ok(measured)
    }

    /// Prints the memory of a point, for the process that asks.
    pub(super) fn print_memory(&self, number: usize) -> anyhow::Result<()> {
        let planned = self.planned.get(number).context("--memory-of: no such point")?;
        let picture = self.pictures()?.into_iter().next().context("no picture")?;
        println!("{}", device_memory_kib(&self.device, self.model, planned, &self.encoder, &picture)?);
        Ok(())
    }

    fn point(
        &self,
        number: usize,
        planned: &Planned,
        bench: &Workbench<'_>,
        pictures: &[Picture],
    ) -> anyhow::Result<MeasuredPoint> {
        let classes = bench.classes().len();
        let uncut = Ranking::new(bench.uncut(), classes).score_once(UNCUT).map50;
        anyhow::ensure!(
            uncut > 0.0,
            "--data {}: the uncut network finds nothing there, so there is no accuracy to lose",
            self.args.data
        );
        let input = self.model.network.input;
        let rates = match planned.method(input) {
            Some(method) => {
                let settings = planned.settings(input, self.args.quick);
                let measured = bench.measure(method, &settings, &Bars::default())?;
                of_trials(&measured.trials, classes, uncut)
            }
            None => Vec::new(),
        };
        let clock = Clock { workshop: self.workshop(), server: &self.server, frames: self.frames() };
        let bar = progress(clock.passes(), &format!("times of {planned}"));
        let times = clock.time(planned, pictures, middle(&rates), || bar.inc(1));
        bar.finish_and_clear();
        Ok(MeasuredPoint {
            times: times?,
            rates,
            memory_kib: self.memory(number)?,
            uncut_map50_permille: (1e3 * uncut).round() as u16,
            pictures: bench.len(),
        })
    }

    /// Asks a fresh process: this one has grown already.
    fn memory(&self, number: usize) -> anyhow::Result<u32> {
        let own = env::current_exe().context("finding the path of this program")?;
        let mut child = Command::new(own);
        child.args(env::args_os().skip(1)).args(["--memory-of", &number.to_string()]);
        let output = child.output().context("starting this program again to measure memory")?;
        let error = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "measuring memory: {}", error.trim());
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().with_context(|| format!("measuring memory: {text:?} is no number"))
    }

    /// One thread each: workers share the cores between them.
    fn bench(&self) -> anyhow::Result<Workbench<'_>> {
        let bar = progress(self.set.len(), "uncut");
        let cache = Some(self.folder.clone());
        let workshop = Workshop { engine: &self.unslowed, ..self.workshop() };
        let bench = Workbench::new(workshop, &self.set, self.args.workers, cache, || bar.inc(1));
        bar.finish_and_clear();
        bench.context("running the uncut network")
    }

    fn workshop(&self) -> Workshop<'_> {
        Workshop { model: self.model, engine: &self.device, encoder: &self.encoder, decoder: &self.decoder }
    }

    fn pictures(&self) -> anyhow::Result<Vec<Picture>> {
        let some = (0..self.set.len()).filter_map(|index| self.set.load(index));
        let pictures: Vec<Picture> = some.take(TIMED_PICTURES).map(|sample| sample.picture).collect();
        anyhow::ensure!(!pictures.is_empty(), "--data {}: no picture can be read", self.args.data);
        Ok(pictures)
    }

    fn frames(&self) -> usize {
        self.args.frames.map_or(if self.args.quick { QUICK_FRAMES } else { FRAMES }, usize::from)
    }

    /// All that a point hangs on beside itself.
    fn conditions(&self) -> String {
        let Args { data, quick, threads, server_threads, workers, slowdown, .. } = self.args;
        format!(
            "network {} data {data} pictures {} frames {} quick {quick} threads {threads} {server_threads} \
             workers {workers} slowdown {slowdown} codec {:?} {}",
            self.model.manifest.digest,
            self.set.len(),
            self.frames(),
            self.encoder.preset,
            self.encoder.base_qp
        )
    }
}

/// Bits in the middle of what was measured, on the logarithm: times hang on them a little.
fn middle(rates: &[Rate]) -> Option<TargetBits> {
    let (few, many) = (rates.first()?.bits, rates.last()?.bits);
    TargetBits::try_new((f64::from(few) * f64::from(many)).sqrt().round() as u32).ok()
}

/// Other work on this machine makes times too long.
fn warn_if_busy() {
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    if load > 0.5 * cores {
        eprintln!("warning: this machine is busy (load {load:.1} on {cores} cores); times will be too long");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_in_the_middle_of_the_bits() {
        let rate = |bits| Rate { bits, accuracy_drop_permille: 0 };
        assert_eq!(middle(&[rate(1_000), rate(2_000), rate(16_000)]).map(TargetBits::get), Some(4_000));
        assert_eq!(middle(&[]), None);
    }
}

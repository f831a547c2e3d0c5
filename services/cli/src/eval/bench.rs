//! What `compare` and the figures share: a model, a set, an engine for each worker, and progress.

use std::{path::PathBuf, sync::Mutex};

use anyhow::Context as _;
use autotiler_eval::{Method, PictureSet, Watcher, Workbench, Workshop};
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use indicatif::ProgressBar;

use crate::common::{CodecArgs, load_model, progress};

/// Lists that are tried in turn where no set is named.
const DEFAULT_SETS: [&str; 2] = ["test", "test_voc,test_coco"];

/// Model, pictures, workers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArgs {
    /// Model directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// VOC devkit (JPEGImages, Annotations, ImageSets/Main), or `generated` for the built-in world.
    #[arg(long, value_name = "VOCDIR")]
    pub(crate) data: PathBuf,
    /// Lists of ImageSets/Main, joined by commas [default: test, or else test_voc,test_coco].
    #[arg(long, value_name = "SET")]
    pub(crate) set: Option<String>,
    /// Use only the first so many pictures.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Folder for tables, plots, and what is kept for the next run.
    #[arg(long, default_value = "out/eval", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// ONNX Runtime's library, libonnxruntime.so.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    ort_library: Option<PathBuf>,
    /// Pictures carried side by side.
    #[arg(long, env = "AUTOTILER_THREADS", default_value_t = 2, value_name = "N")]
    workers: usize,
    #[command(flatten)]
    codec: CodecArgs,
}

/// What is open for an evaluation.
pub(crate) struct Bench {
    model: Model,
    engine: OnnxEngine,
    set: PictureSet,
    args: BenchArgs,
}

impl BenchArgs {
    /// Opens model, engine and pictures.
    pub(crate) fn open(&self) -> anyhow::Result<Bench> {
        let model = load_model(&self.model)?;
        // One thread each: workers share the cores between them.
        let options = OnnxOptions { library: self.ort_library.clone(), threads: 1, ..Default::default() };
        let set = self.pictures(&model.manifest.classes)?;
        Ok(Bench { engine: OnnxEngine::new(options)?, model, set, args: self.clone() })
    }

    fn pictures(&self, classes: &[String]) -> anyhow::Result<PictureSet> {
        let open = |set: &str| PictureSet::open(&self.data, set, self.limit, classes);
        let opened = match &self.set {
            Some(set) => open(set),
            None => {
                DEFAULT_SETS.iter().map(|set| open(set)).find(Result::is_ok).unwrap_or_else(|| open("test"))
            }
        };
        opened.with_context(|| format!("opening the pictures of {}", self.data.display()))
    }
}

impl Bench {
    /// Name of the set.
    pub(crate) fn set_name(&self) -> &str {
        self.set.name()
    }

    /// Runs the uncut network over the pictures, then `work`.
    pub(crate) fn with<T>(
        &self,
        _bars: &Bars,
        work: impl FnOnce(&Workbench<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (encoder, decoder) = (self.args.codec.encoder(), self.args.codec.decoder());
        let engine: &dyn Engine = &self.engine;
        let workshop = Workshop { model: &self.model, engine, encoder: &encoder, decoder: &decoder };
        let cache = Some(self.args.out.join("kept"));
        let bar = progress(self.set.len(), "uncut");
        let bench = Workbench::new(workshop, &self.set, self.args.workers, cache, || bar.inc(1));
        bar.finish_and_clear();
        work(&bench.context("running the uncut network")?)
    }
}

/// A progress bar for each method in turn.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    current: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        if let Ok(mut current) = self.current.lock() {
            act(&mut current);
        }
    }

    /// Takes the last bar off the screen.
    pub(crate) fn clear(&self) {
        self.with(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl Watcher for Bars {
    fn begin(&self, method: &Method, pictures: usize) {
        self.with(|bar| *bar = Some(progress(pictures, &method.to_string())));
    }

    fn step(&self) {
        self.with(|bar| bar.iter().for_each(|bar| bar.inc(1)));
    }

    fn end(&self, _cached: bool) {
        self.clear();
    }

    fn say(&self, what: &str) {
        eprintln!("  {what}");
    }
}

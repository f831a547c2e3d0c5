//! Options and steps that several commands share.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use autotiler_graph::Engine;
use autotiler_hevc::{DecoderOptions, EncoderOptions, Preset};
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use indicatif::{ProgressBar, ProgressStyle};

/// Which runtime runs the network, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// ONNX Runtime's library, libonnxruntime.so (PyPI package `onnxruntime`, under onnxruntime/capi).
    /// Without it the system's loader is asked.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub(crate) ort_library: Option<PathBuf>,
    /// Threads of the engine.
    #[arg(long, env = "AUTOTILER_THREADS", default_value_t = 2, value_name = "N")]
    pub(crate) threads: usize,
}

impl EngineArgs {
    pub(crate) fn engine(&self) -> anyhow::Result<Arc<dyn Engine>> {
        let options =
            OnnxOptions { library: self.ort_library.clone(), threads: self.threads, ..Default::default() };
        Ok(Arc::new(OnnxEngine::new(options)?))
    }
}

/// How planes are coded.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Codec")]
pub(crate) struct CodecArgs {
    /// The ffmpeg program, built with libx265.
    #[arg(long, env = "AUTOTILER_FFMPEG", default_value = "ffmpeg", value_name = "PROGRAM")]
    pub(crate) ffmpeg: PathBuf,
    /// fast: x265 ultrafast; quality: 4 to 10 % fewer bits for about twice the encoding time.
    #[arg(long, env = "AUTOTILER_PRESET", default_value = "fast", value_name = "PRESET")]
    pub(crate) preset: PresetArg,
}

/// Time against bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PresetArg {
    /// x265 ultrafast.
    Fast,
    /// Rate-distortion optimised.
    Quality,
}

impl CodecArgs {
    pub(crate) fn encoder(&self) -> EncoderOptions {
        let preset = match self.preset {
            PresetArg::Fast => Preset::Fast,
            PresetArg::Quality => Preset::Quality,
        };
        EncoderOptions { ffmpeg: self.ffmpeg.clone(), preset, ..Default::default() }
    }

    pub(crate) fn decoder(&self) -> DecoderOptions {
        DecoderOptions { ffmpeg: self.ffmpeg.clone(), ..Default::default() }
    }
}

pub(crate) fn load_model(dir: &Path) -> anyhow::Result<Model> {
    Model::load(dir).with_context(|| format!("loading the model {}", dir.display()))
}

/// A progress bar on standard error; hidden when nobody looks.
pub(crate) fn progress(total: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg:28} [{bar:32}] {pos}/{len} {per_sec} {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}

/// Prints `value` as JSON on standard output.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

//! The decoder process on libtorch, for servers with a GPU. It does what `autotiler-decoder` does, on another engine.

use anyhow::{Context, Result};
use autotiler_decoder::{Args, Service};
use autotiler_graph::Engine;
use autotiler_torch::{Precision, TorchEngine, set_threads};
use clap::{Parser, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  autotiler-decoder-torch --model models/street                         # the first CUDA device, 32-bit floats
  autotiler-decoder-torch --model DIR --device cuda:1 --precision bf16 --max-batch 16
  autotiler-decoder-torch --model DIR --device cpu --threads 4

It shares the frames of a model with every other decoder of it, on whatever engine they run.";

/// Finishes the inference of frames from devices and publishes their detections, on libtorch.
#[derive(Debug, Parser)]
#[command(name = "autotiler-decoder-torch", version, after_help = EXAMPLES, max_term_width = 110)]
#[command(mut_arg("ort_library", |library| library.hide(true)))]
struct Arguments {
    /// Where the network runs: `cuda` or `cuda:N` for a GPU, or `cpu`.
    #[arg(long, env = "AUTOTILER_TORCH_DEVICE", default_value = "cuda", value_name = "DEVICE")]
    device: Place,
    /// Numbers that it computes with. `bf16` is for GPUs.
    #[arg(long, env = "AUTOTILER_TORCH_PRECISION", default_value = "f32", value_name = "PRECISION")]
    precision: Numbers,
    #[command(flatten)]
    decoder: Args,
}

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Cpu,
    Cuda(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Numbers {
    F32,
    Bf16,
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ => Err("must be cuda, cuda:N or cpu".to_owned()),
        }
    }
}

impl Arguments {
    fn engine(&self) -> Result<Box<dyn Engine>> {
        set_threads(u16::try_from(self.decoder.threads).unwrap_or(u16::MAX));
        let precision = match self.precision {
            Numbers::F32 => Precision::Float32,
            Numbers::Bf16 => Precision::BFloat16,
        };
        Ok(Box::new(match self.device {
            Place::Cpu => TorchEngine::cpu(),
            Place::Cuda(index) => TorchEngine::cuda(index, precision)
                .context("--device cuda: use --device cpu, or autotiler-decoder, where there is no GPU")?,
        }))
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let engine = arguments.engine()?;
    let (config, log) = arguments.decoder.into_config();
    log.install()?;
    Ok(Service::prepare_on(engine, config)?.run_to_the_end()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["autotiler-decoder-torch", "--model", "m"], options].concat())
    }

    #[test]
    fn a_place_is_a_gpu_by_number_or_the_processor() {
        let place = |text| parse(&["--device", text]).map(|arguments| arguments.device);
        assert_eq!(parse(&[]).unwrap().device, Place::Cuda(0));
        assert_eq!((place("cuda:3").unwrap(), place("cpu").unwrap()), (Place::Cuda(3), Place::Cpu));
        for wrong in ["gpu", "cuda:", "cuda:x", "cpu:0", ""] {
            assert!(place(wrong).unwrap_err().to_string().contains("must be cuda, cuda:N or cpu"), "{wrong}");
        }
    }
}

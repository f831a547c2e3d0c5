//! `autotiler profile`: what each way to share the work costs on this machine, as a PartitionProfile.

mod document;
mod source;
mod table;
mod work;

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;
use autotiler_core::CompressionRatio;
use autotiler_crds::PartitionProfile;
use autotiler_eval::{choice::Choices, profile::plan};
use autotiler_model::files;
use indicatif::HumanDuration;

use crate::common::{CodecArgs, load_model};
use document::Origin;
use source::Source;
use work::Work;

/// Measure partition points on this machine, and write what came out as a PartitionProfile.
///
/// For each layer and compression ratio that the model has a tiler for, and for device-only and server-only: the time
/// of head, tiler and codec on the device (p50, p95), of decoding and tail on the server for runs of 1, 2, 4 and 8
/// frames, bits against accuracy, and memory. Everything runs as edge and decoder run it. A stopped run goes on where
/// it was.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Model directory.
    #[arg(long, env = "AUTOTILER_MODEL", default_value = "models/street", value_name = "DIR")]
    model: PathBuf,
    /// Pictures with their truth: a VOC devkit and a list of its ImageSets/Main, or generated:val. Profiles steer
    /// decisions, so pictures that results are reported on are refused: no set with `test` in its name.
    #[arg(long, env = "AUTOTILER_PROFILE_DATA", default_value = "generated:val", value_name = "VOCDIR:SET")]
    data: Source,
    /// Use only the first so many pictures for bits against accuracy [default: all, with --quick 60].
    #[arg(long, env = "AUTOTILER_PROFILE_LIMIT", value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// What devices like this machine are called: EdgeDevices and telemetry say the same.
    #[arg(long, env = "AUTOTILER_DEVICE_CLASS", value_name = "NAME", value_parser = document::device_class)]
    device_class: String,
    /// Name of the object [default: NETWORK-CLASS, in lower case].
    #[arg(long, env = "AUTOTILER_PROFILE_NAME", value_name = "NAME", value_parser = document::object_name)]
    name: Option<String>,
    /// Where the profile goes.
    #[arg(long, env = "AUTOTILER_PROFILE_OUT", default_value = "profile.yaml", value_name = "FILE")]
    out: PathBuf,
    /// Folder for what is kept for the next run [default: OUT.work].
    #[arg(long, env = "AUTOTILER_PROFILE_WORK", value_name = "DIR")]
    work: Option<PathBuf>,
    /// The choice of `autotiler eval compare --choose`: where several tilers fit a point, the one that did best on
    /// val is measured. Without it the first of the model is, as services take it.
    #[arg(long, env = "AUTOTILER_PROFILE_CHOICE", value_name = "FILE")]
    choice: Option<PathBuf>,
    /// Only these layers.
    #[arg(long, env = "AUTOTILER_PROFILE_LAYERS", value_delimiter = ',', value_name = "LAYER")]
    layers: Vec<u16>,
    /// Only these compression ratios.
    #[arg(long, env = "AUTOTILER_PROFILE_CR", value_delimiter = ',', value_name = "CR")]
    cr: Vec<CompressionRatio>,
    /// Frames of a round of times; of three rounds the quickest counts [default: 60, with --quick 20].
    #[arg(long, env = "AUTOTILER_PROFILE_FRAMES", value_name = "N")]
    frames: Option<NonZeroUsize>,
    /// Fewer frames, pictures and settings: a first look in a minute or two.
    #[arg(long, env = "AUTOTILER_PROFILE_QUICK")]
    quick: bool,
    /// Write the profile of a device that is so many times slower (or faster, below 1) than this machine: device
    /// times are multiplied, and an annotation says so.
    #[arg(long, env = "AUTOTILER_PROFILE_SCALE_DEVICE", default_value = "1", value_name = "X",
          value_parser = document::scale)]
    scale_device: f64,
    /// Measure with networks run so many times slower on the device, by waiting, and a codec as fast as ever: what
    /// `autotiler-edge --slowdown` then is.
    #[arg(long, env = "AUTOTILER_SLOWDOWN", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "scale_device")]
    slowdown: u32,
    /// ONNX Runtime's library, libonnxruntime.so.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE", help_heading = "Engine")]
    ort_library: Option<PathBuf>,
    /// Threads of the device's engine.
    #[arg(long, env = "AUTOTILER_THREADS", default_value_t = 1, value_name = "N", help_heading = "Engine")]
    threads: usize,
    /// Threads of the server's engine.
    #[arg(
        long,
        env = "AUTOTILER_SERVER_THREADS",
        default_value_t = 1,
        value_name = "N",
        help_heading = "Engine"
    )]
    server_threads: usize,
    /// Pictures carried side by side for bits against accuracy; times are taken alone.
    #[arg(long, env = "AUTOTILER_WORKERS", default_value_t = 2, value_name = "N", help_heading = "Engine")]
    workers: usize,
    #[command(flatten)]
    codec: CodecArgs,
    /// Print the memory of the plan's point of this number: asked of a fresh process.
    #[arg(long, hide = true, value_name = "NUMBER")]
    memory_of: Option<usize>,
}

const AFTER_HELP: &str = "\
Times are only as good as the machine is idle, though of three rounds the quickest counts. The uncut network's own
mAP is in the profile; accuracy drops are thousandths of it, on the pictures of --data, made monotone in bits.

Examples:
  autotiler profile --device-class laptop --quick
  autotiler profile --model models/x --data VOCdevkit:val --device-class orin --out orin.yaml
  autotiler profile --model models/x --data VOCdevkit:val --device-class camera --scale-device 10 --out camera.yaml

Then: kubectl apply -f orin.yaml, or autotiler-controller --profile orin.yaml.";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let model = load_model(&args.model)?;
    let choices = args.choices(&model.manifest.digest.to_string())?;
    let planned = plan(&model, choices.as_ref(), &args.layers, &args.cr)?;
    let work = Work::new(args, &model, &planned)?;
    if let Some(number) = args.memory_of {
        return work.print_memory(number);
    }
    let start = std::time::Instant::now();
    let measured = work.measure()?;
    let origin = Origin {
        name: args.name.clone(),
        device_class: args.device_class.clone(),
        set: args.data.to_string(),
        scale_device: args.scale_device,
        slowdown: args.slowdown,
    };
    let profile: PartitionProfile = document::document(&model, &origin, &measured)?;
    let text = serde_yaml::to_string(&profile).context("writing the profile as YAML")?;
    files::write(&args.out, text.as_bytes())?;
    println!("{}", table::table(&profile.spec));
    println!(
        "{} points of {} for device class {} in {}: {}",
        profile.spec.points.len(),
        model.manifest.name,
        args.device_class,
        HumanDuration(start.elapsed()),
        args.out.display()
    );
    Ok(())
}

impl Args {
    fn choices(&self, network: &str) -> anyhow::Result<Option<Choices>> {
        let Some(file) = &self.choice else { return Ok(None) };
        let choices =
            Choices::read_file(file, network).with_context(|| format!("--choice {}", file.display()))?;
        anyhow::ensure!(
            choices.is_some(),
            "--choice {}: there is no such file; make it with: autotiler eval compare --set val --choose",
            file.display()
        );
        Ok(choices)
    }
}

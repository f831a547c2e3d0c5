//! Options of the command, and what each part of the service needs of them.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use autotiler_hevc::DecoderOptions;
use autotiler_onnx::OnnxOptions;
use autotiler_pipeline::BoxOptions;
use autotiler_runtime::LogOptions;
use autotiler_transport::{ConnectOptions, NatsOptions};
use clap::{Parser, builder::RangedU64ValueParser};

const EXAMPLES: &str = "\
Examples:
  autotiler-decoder --model models/street
  autotiler-decoder --model DIR --nats nats://broker:4222 --threads 2 --json-lines
  AUTOTILER_MODEL=DIR AUTOTILER_ADMIN=off autotiler-decoder

Several decoders of one model share the frames between them: start as many as are needed, each with an admin
address of its own when they run on one machine. SIGTERM finishes what was taken on, then ends with status 0.";

/// Finishes the inference of frames from devices and publishes their detections.
///
/// Takes the frames of one model's network off NATS, decodes their HEVC access units, runs the rest of the
/// network and answers each frame with its detections, or with the reason why there are none.
#[derive(Debug, Parser)]
#[command(name = "autotiler-decoder", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Args {
    /// Model directory: the network and the tilers that devices may use. Make one with `autotiler import`.
    #[arg(long, env = "AUTOTILER_MODEL", value_name = "DIR")]
    pub model: PathBuf,
    /// The broker.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// Where /livez, /readyz and /metrics are served; `off` for nowhere, port 0 for a free port (logged).
    #[arg(long, env = "AUTOTILER_ADMIN", default_value = "0.0.0.0:9102", value_name = "ADDRESS")]
    pub admin: AdminAddress,
    /// The library of ONNX Runtime, libonnxruntime.so; by default the system's.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub ort_library: Option<PathBuf>,
    /// Threads of the tail. More make single frames faster, not the whole: for that, start more decoders.
    #[arg(long, env = "AUTOTILER_THREADS", default_value = "1", value_name = "N", value_parser = count(1..=256))]
    pub threads: usize,
    /// The ffmpeg program, with its HEVC decoder.
    #[arg(long, env = "AUTOTILER_FFMPEG", default_value = "ffmpeg", value_name = "PROGRAM")]
    pub ffmpeg: PathBuf,
    /// Frames taken on and not yet answered; a frame beyond is answered `overloaded` at once.
    #[arg(long, env = "AUTOTILER_QUEUE", default_value = "64", value_name = "N", value_parser = count(1..=65_536))]
    pub queue: usize,
    /// Planes of one operating point that may share a run of the tail. On a CPU, 4 together take 5 to 20 % less
    /// time than one by one, and 8 no less than that. Pictures are run one by one: sharing gains them nothing.
    #[arg(long, env = "AUTOTILER_MAX_BATCH", default_value = "4", value_name = "N", value_parser = count(1..=256))]
    pub max_batch: usize,
    /// How long a frame may wait for others to share its run, like `5ms`. By default none waits: a run takes
    /// what is there.
    #[arg(long, env = "AUTOTILER_BATCH_WAIT", default_value = "0s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub batch_wait: Duration,
    /// Detections below this score (0 to 1) are left out.
    #[arg(long, env = "AUTOTILER_SCORE_THRESHOLD", default_value = "0.2", value_name = "SCORE", value_parser = share)]
    pub score_threshold: f32,
    /// Boxes of one class that overlap more than this (0 to 1) are one object.
    #[arg(long, env = "AUTOTILER_NMS_IOU", default_value = "0.45", value_name = "IOU", value_parser = share)]
    pub nms_iou: f32,
    /// Most detections in one answer.
    #[arg(long, env = "AUTOTILER_MAX_DETECTIONS", default_value = "300", value_name = "N", value_parser = count(1..=65_535))]
    pub max_detections: usize,
    /// Writes each answer as a line of JSON on standard output: device, stream, sequence, epoch, detections
    /// (class, name, score, box as [x0, y0, x1, y1] in shares of the picture), lost, batch, times_us.
    #[arg(long, env = "AUTOTILER_JSON_LINES")]
    pub json_lines: bool,
    /// Operating points that are kept loaded, the least recently used one given up for another.
    #[arg(long, env = "AUTOTILER_STAGES", default_value = "16", value_name = "N", value_parser = count(1..=1024))]
    pub stages: usize,
    /// HEVC sessions that are kept open, each an ffmpeg of about 30 MB. Streams coded alike share one.
    #[arg(long, env = "AUTOTILER_SESSIONS", default_value = "8", value_name = "N", value_parser = count(1..=256))]
    pub sessions: usize,
    /// How long a device may take to answer for the parameter sets of its stream.
    #[arg(long, env = "AUTOTILER_PARAMETERS_TIMEOUT", default_value = "1s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub parameters_timeout: Duration,
    /// How long what was taken on may take to finish after SIGTERM.
    #[arg(long, env = "AUTOTILER_DRAIN_DEADLINE", default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub drain_deadline: Duration,
    /// Logs.
    #[command(flatten)]
    pub log: LogOptions,
}

/// Where the admin port is, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddress {
    /// No admin port.
    Off,
    /// Listen here.
    At(SocketAddr),
}

/// A text that is no admin address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("admin address {0:?} must be ADDRESS:PORT, like 127.0.0.1:9102, or off")]
pub struct BadAdminAddress(String);

/// The service's settings, by the part that reads them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Model directory.
    pub model: PathBuf,
    /// The engine.
    pub onnx: OnnxOptions,
    /// The broker.
    pub nats: ConnectOptions,
    /// The admin port.
    pub admin: AdminAddress,
    /// What is taken on.
    pub intake: IntakeOptions,
    /// How it is worked off.
    pub worker: WorkerOptions,
    /// How raw heads become detections.
    pub boxes: BoxOptions,
    /// Whether answers go to standard output too.
    pub json_lines: bool,
    /// Time to finish after SIGTERM.
    pub drain_deadline: Duration,
}

/// What is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeOptions {
    /// Frames taken on and not yet answered.
    pub queue: usize,
    /// Limit of a request for parameter sets.
    pub parameters_timeout: Duration,
}

/// How frames are worked off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Most frames in one run of the tail.
    pub max_batch: usize,
    /// How long the oldest frame may wait for others.
    pub batch_wait: Duration,
    /// HEVC sessions.
    pub codec: DecoderOptions,
    /// Most HEVC sessions open at once.
    pub sessions: usize,
    /// Most operating points loaded at once.
    pub stages: usize,
}

impl Args {
    /// The settings, and how to log.
    pub fn into_config(self) -> (Config, LogOptions) {
        let config = Config {
            model: self.model,
            onnx: OnnxOptions { library: self.ort_library, threads: self.threads, ..OnnxOptions::default() },
            nats: self.nats.connect_options("autotiler-decoder"),
            admin: self.admin,
            intake: IntakeOptions { queue: self.queue, parameters_timeout: self.parameters_timeout },
            worker: WorkerOptions {
                max_batch: self.max_batch,
                batch_wait: self.batch_wait,
                codec: DecoderOptions { ffmpeg: self.ffmpeg, ..DecoderOptions::default() },
                sessions: self.sessions,
                stages: self.stages,
            },
            boxes: BoxOptions {
                score_threshold: self.score_threshold,
                nms_iou: self.nms_iou,
                max_detections: self.max_detections,
            },
            json_lines: self.json_lines,
            drain_deadline: self.drain_deadline,
        };
        (config, self.log)
    }
}

impl FromStr for AdminAddress {
    type Err = BadAdminAddress;
    fn from_str(text: &str) -> Result<Self, BadAdminAddress> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| BadAdminAddress(text.to_owned())),
        }
    }
}

fn count(range: std::ops::RangeInclusive<u64>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(range)
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(options: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["autotiler-decoder", "--model", "m"], options].concat())
    }

    #[test]
    fn the_command_is_consistent_and_every_option_has_help_and_a_variable() {
        let mut command = Args::command();
        command.build();
        for option in command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
            assert!(option.get_help().is_some(), "{}", option.get_id());
            assert!(option.get_env().is_some(), "{}", option.get_id());
        }
        command.debug_assert();
    }

    #[test]
    fn options_reach_the_part_that_reads_them() {
        let (config, _) =
            parse(&["--queue", "3", "--batch-wait", "5ms", "--admin", "off"]).unwrap().into_config();
        assert_eq!(config.intake.queue, 3);
        assert_eq!(config.worker.batch_wait, Duration::from_millis(5));
        assert_eq!(config.admin, AdminAddress::Off);
        assert!(!config.json_lines);
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (option, value) in [
            ("--queue", "0"),
            ("--max-batch", "0"),
            ("--score-threshold", "1.5"),
            ("--score-threshold", "nan"),
            ("--max-detections", "65536"),
            ("--admin", "localhost"),
            ("--drain-deadline", "soon"),
        ] {
            let error = parse(&[option, value]).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
        assert!(
            Args::try_parse_from(["autotiler-decoder"]).is_err() || std::env::var("AUTOTILER_MODEL").is_ok()
        );
    }
}

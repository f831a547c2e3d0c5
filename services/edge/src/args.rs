//! Options of the process, by flag or environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use autotiler_core::{
    DeviceId, Epoch, OperatingPoint, TargetBits,
    bits::BitsSettings,
    order::{GuardTerms, MAX_GUARD_TIME},
    telemetry::is_name,
};
use autotiler_hevc::{EncoderOptions, Preset};
use autotiler_onnx::OnnxOptions;
use autotiler_pipeline::BoxOptions;
use autotiler_runtime::LogOptions;
use autotiler_transport::NatsOptions;
use clap::{Parser, ValueEnum};

use crate::{
    frame::Assignment,
    prepared::CodecOptions,
    run::{Config, Pacing},
    source::SourceSpec,
    stages::CaptureOptions,
};

/// Device process: takes pictures, runs the network's head and the tiler's encoder, codes the plane with HEVC,
/// publishes it on NATS, and takes the detections that come back.
#[derive(Debug, Clone, Parser)]
#[command(name = "autotiler-edge", version, after_help = AFTER_HELP)]
pub struct Args {
    /// Model directory, as `autotiler import` writes it.
    #[arg(long, env = "AUTOTILER_MODEL", value_name = "DIR")]
    pub model: PathBuf,
    /// Name of this device: letters, digits, '-' and '_'.
    #[arg(long, env = "AUTOTILER_DEVICE", default_value = "edge-0", value_name = "NAME")]
    pub device: DeviceId,
    /// Operating point: layer=N,cr=N,bits=N[k|M], device-only, or server-only,bits=N.
    #[arg(long, env = "AUTOTILER_POINT", value_name = "POINT")]
    pub point: OperatingPoint,
    /// Where pictures come from: world[:seed=N,size=WxH], scenes[:seed=N], images:DIR, voc:DIR:SET, video:FILE,
    /// rtsp://HOST/PATH, v4l2:DEVICE.
    #[arg(long, env = "AUTOTILER_SOURCE", default_value = "world", value_name = "SOURCE")]
    pub source: SourceSpec,
    /// Pictures per second; without it as fast as they can be worked on.
    #[arg(long, env = "AUTOTILER_FPS", value_name = "N", value_parser = read_rate)]
    pub fps: Option<f64>,
    /// End after so many pictures.
    #[arg(long, env = "AUTOTILER_FRAMES", value_name = "N")]
    pub frames: Option<u32>,
    /// Start files again at their end.
    #[arg(long = "loop", env = "AUTOTILER_LOOP")]
    pub repeat: bool,
    /// Treat the source as live: keep the newest picture and drop what is late, instead of waiting. Cameras
    /// always are.
    #[arg(long, env = "AUTOTILER_LIVE")]
    pub live: bool,

    /// Address of the admin port (/livez, /readyz, /metrics); none without it.
    #[arg(long, env = "AUTOTILER_ADMIN", value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,
    /// Write one JSON line for each frame: its fate, times, bits and detections.
    #[arg(long, env = "AUTOTILER_RESULTS", value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Write the accounts of the run as JSON at its end.
    #[arg(long, env = "AUTOTILER_REPORT", value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// ONNX Runtime's library, libonnxruntime.so; without it the system's loader is asked.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub ort_library: Option<PathBuf>,
    /// Threads of the engine.
    #[arg(long, env = "AUTOTILER_THREADS", default_value_t = 1, value_name = "N")]
    pub threads: usize,
    /// Run networks so many times slower, by waiting, to try out a slower device; the codec is as fast as ever.
    #[arg(long, env = "AUTOTILER_SLOWDOWN", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub slowdown: u32,
    /// Detections made on the device with a lower score are left out.
    #[arg(long, env = "AUTOTILER_SCORE", default_value_t = 0.005, value_name = "SCORE")]
    pub score: f32,

    /// The ffmpeg program, built with libx265.
    #[arg(long, env = "AUTOTILER_FFMPEG", default_value = "ffmpeg", value_name = "PROGRAM")]
    pub ffmpeg: PathBuf,
    /// fast: x265 ultrafast; quality: 4 to 10 % fewer bits for about twice the encoding time.
    #[arg(long, env = "AUTOTILER_PRESET", default_value = "fast", value_name = "PRESET")]
    pub preset: PresetArg,
    /// Most bits that one frame may take, as the mean may be passed by single frames.
    #[arg(long, env = "AUTOTILER_CAP_BITS", value_name = "N")]
    pub cap_bits: Option<autotiler_core::TargetBits>,

    /// Follow the orders of a controller, kept by nats-server (with JetStream). Until the first one comes, and
    /// without a store, the point given here is kept.
    #[arg(long, env = "AUTOTILER_FOLLOW_ORDERS")]
    pub follow_orders: bool,
    /// Measure the uplink by short trains of probes (at most 5 % of it) where frames alone do not tell; with
    /// --follow-orders always.
    #[arg(long, env = "AUTOTILER_MEASURE_UPLINK")]
    pub measure_uplink: bool,
    /// What kind of device this is: a controller looks for the profile of this class.
    #[arg(long, env = "AUTOTILER_DEVICE_CLASS", default_value = "generic", value_name = "NAME",
          value_parser = read_class)]
    pub device_class: String,
    /// Where to go while the link does not carry, until there are orders: an operating point.
    #[arg(long, env = "AUTOTILER_SAFE_POINT", value_name = "POINT")]
    pub safe_point: Option<OperatingPoint>,
    /// A frame that has not got through for longer means that the link does not carry.
    #[arg(long, env = "AUTOTILER_GUARD_AGE", default_value = "300ms", value_name = "TIME", value_parser = read_guard)]
    pub guard_age: u32,
    /// Shortest stay at the safe point.
    #[arg(long, env = "AUTOTILER_GUARD_HOLD", default_value = "300ms", value_name = "TIME",
          value_parser = read_guard)]
    pub guard_hold: u32,
    /// Size frames by the send queue, from so many bits up to the point's, until there are orders.
    #[arg(long, env = "AUTOTILER_MIN_BITS", value_name = "N")]
    pub min_bits: Option<TargetBits>,
    /// Largest share of frames cut below the point's bits, in thousandths.
    #[arg(long, env = "AUTOTILER_MAX_CUT", default_value_t = 200, value_name = "PERMILLE",
          value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub max_cut: u16,
    /// Memory that must be free, in MiB, before an order for something new is obeyed.
    #[arg(long, env = "AUTOTILER_SPARE_MEMORY", default_value_t = 64, value_name = "MIB")]
    pub spare_memory: u32,

    /// Most frames that are sent and not answered.
    #[arg(long, env = "AUTOTILER_WINDOW", default_value_t = 4, value_name = "N")]
    pub window: usize,
    /// An answer that takes longer is held to be lost.
    #[arg(long, env = "AUTOTILER_ANSWER_TIMEOUT", default_value = "2s", value_name = "TIME",
          value_parser = humantime::parse_duration)]
    pub answer_timeout: Duration,
    /// A live picture that is older is not sent.
    #[arg(long, env = "AUTOTILER_MAX_AGE", default_value = "500ms", value_name = "TIME",
          value_parser = humantime::parse_duration)]
    pub max_age: Duration,
    /// Longest time to finish what was begun, when told to stop.
    #[arg(long, env = "AUTOTILER_DRAIN", default_value = "10s", value_name = "TIME",
          value_parser = humantime::parse_duration)]
    pub drain: Duration,

    /// The broker.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// Logs.
    #[command(flatten)]
    pub log: LogOptions,
}

/// Time against bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetArg {
    /// x265 ultrafast.
    Fast,
    /// Rate-distortion optimised.
    Quality,
}

const AFTER_HELP: &str = "\
Examples:
  autotiler-edge --model models/default --point layer=15,cr=8,bits=20k
  autotiler-edge --model models/default --point server-only,bits=40k --source video:clip.mp4 --report out.json
  autotiler-edge --model models/default --point layer=15,cr=8,bits=20k --source rtsp://camera/live --device cam-1

It waits for nats-server for as long as that takes. SIGTERM or SIGINT: no more pictures are taken, what was
begun is finished, the accounts are closed.";

impl Args {
    /// What each part of the process needs.
    pub fn config(self) -> Config {
        let preset = match self.preset {
            PresetArg::Fast => Preset::Fast,
            PresetArg::Quality => Preset::Quality,
        };
        let encoder = EncoderOptions { ffmpeg: self.ffmpeg.clone(), preset, ..EncoderOptions::default() };
        let live = self.live || self.source.is_live();
        Config {
            nats: self.nats.connect_options(format!("autotiler-edge {}", self.device)),
            device: self.device,
            model: self.model,
            assignment: Assignment { epoch: Epoch(0), point: self.point },
            bits: self.min_bits.zip(self.point.bits()).map(|(min, max)| BitsSettings {
                min,
                max,
                max_cut_permille: self.max_cut,
            }),
            guard: self.safe_point.map(|safe_point| GuardTerms {
                queue_age_ms: self.guard_age,
                hold_ms: self.guard_hold,
                safe_point,
            }),
            follow_orders: self.follow_orders,
            measure_uplink: self.follow_orders || self.measure_uplink,
            device_class: self.device_class,
            spare_memory: u64::from(self.spare_memory) << 20,
            source: self.source,
            repeat: self.repeat,
            capture: CaptureOptions { frames_per_second: self.fps, frames: self.frames },
            pacing: if live { Pacing::Live { max_age: self.max_age } } else { Pacing::File },
            admin: self.admin,
            results: self.results,
            report: self.report,
            engine: OnnxOptions {
                library: self.ort_library,
                threads: self.threads,
                slowdown: self.slowdown,
                ..OnnxOptions::default()
            },
            boxes: BoxOptions { score_threshold: self.score, ..BoxOptions::default() },
            codec: CodecOptions { encoder, cap_bits: self.cap_bits.map(|bits| bits.get()) },
            ffmpeg: self.ffmpeg,
            window: self.window,
            answer_timeout: self.answer_timeout,
            drain: self.drain,
        }
    }
}

fn read_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("pictures per second must be a number from 0.001 to 1000".to_owned()),
    }
}

fn read_class(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 63 letters, digits, '-', '_' or '.'".to_owned())
    }
}

/// Milliseconds of a guard.
fn read_guard(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_millis(1)..=MAX_GUARD_TIME).contains(&time);
    if fits { Ok(time.as_millis() as u32) } else { Err(format!("must be from 1ms to {MAX_GUARD_TIME:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [&str; 5] = ["autotiler-edge", "--model", "m", "--point", "layer=16,cr=8,bits=20k"];

    fn parse(more: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&LEAST[..], more].concat())
    }

    #[test]
    fn model_and_point_are_enough() {
        let config = parse(&[]).unwrap().config();
        assert_eq!(config.pacing, Pacing::File);
        assert_eq!(config.assignment.point.to_string(), "layer=16,cr=8,bits=20k");
    }

    #[test]
    fn cameras_and_whatever_is_called_live_are_live() {
        let live = Pacing::Live { max_age: Duration::from_millis(500) };
        assert_eq!(parse(&["--source", "rtsp://camera/a"]).unwrap().config().pacing, live);
        assert_eq!(parse(&["--live"]).unwrap().config().pacing, live);
    }

    #[test]
    fn bad_options_are_refused_by_name() {
        for (flag, value) in [
            ("--device", "a.b"),
            ("--fps", "0"),
            ("--cap-bits", "0"),
            ("--source", "tape:x"),
            ("--answer-timeout", "soon"),
            ("--admin", "here"),
            ("--device-class", "a b"),
            ("--safe-point", "layer=1"),
            ("--guard-age", "0ms"),
            ("--guard-hold", "2min"),
            ("--max-cut", "1001"),
        ] {
            let error = parse(&[flag, value]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
        assert!(Args::try_parse_from(["autotiler-edge", "--model", "m", "--point", "layer=16"]).is_err());
    }
}

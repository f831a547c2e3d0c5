//! `autotiler demo`: the way of a frame on this machine, in separate processes.

mod media;
pub(crate) mod processes;
pub(crate) mod run;
mod sheet;
pub(crate) mod steer;
mod summary;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use autotiler_core::{OperatingPoint, Route, TargetBits};
use autotiler_model::Model;
use autotiler_scene::world::CLASSES;

use crate::common::{CodecArgs, EngineArgs, load_model};
use media::Media;
use processes::{Broker, Decoder, Programs};
use run::PointRun;
use steer::{SteerArgs, Steering};
use summary::Summary;

/// Start nats-server, autotiler-decoder and autotiler-edge as processes of their own, run a stream through
/// several operating points, and show what each costs and finds. Then shape the links of slowed-down cameras through
/// a trace, and show what one gets that follows its link, by Prometheus and autotiler-controller, and what those get
/// that stay at one point.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Leaves in the output directory: summary.json, sheet.png (annotated pictures, tiled planes beside them), for each point
its frames as JSON lines; steer.png (link, operating points, latencies) and the folder steer with each camera's frames,
accounts and link.

summary.json: model, network, source, frames, points[] with point, tiler, kbit_per_frame, map50, map50_uncut,
total_ms, device_ms, transfer_ms, server_ms, wait_ms (each p50, p95), captured, sent, received,
dropped{reason: n}, lost{reason: n}; steering, see services/cli/README.md. Where pictures have no annotations, map50 is against the boxes that the
uncut network finds with a score of at least 0.3, and truth says so.")]
pub(crate) struct Args {
    /// Model directory.
    #[arg(long, default_value = "models/street", value_name = "DIR")]
    model: PathBuf,
    /// Run over the pictures of a folder instead of the generated world.
    #[arg(long, value_name = "DIR", conflicts_with = "video")]
    images: Option<PathBuf>,
    /// Run over a video file.
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Operating points; by default every tiler of the model, device-only and server-only.
    #[arg(long, value_name = "POINT")]
    point: Vec<OperatingPoint>,
    /// Bits per frame of the default points that cut the network.
    #[arg(long, default_value = "8k", value_name = "BITS")]
    bits: TargetBits,
    /// Bits per frame of the default server-only point.
    #[arg(long, default_value = "40k", value_name = "BITS")]
    picture_bits: TargetBits,
    /// Frames per operating point.
    #[arg(long, default_value_t = 60, value_name = "N")]
    frames: u32,
    /// Pictures per second.
    #[arg(long, default_value_t = 20.0, value_name = "N")]
    fps: f64,
    /// Where to leave results.
    #[arg(long, default_value = "out/demo", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    steer: SteerArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    codec: CodecArgs,
    /// Print summary.json on standard output instead of the table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let model = load_model(&args.model)?;
    let programs = Programs::find(&args.engine, &args.codec)?;
    // All mistakes of the second part are told before the first takes its time.
    let setting = args.steers(&model)?.then(|| args.steer.setting()).transpose()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;

    let mut summary = Summary::new(&model);
    if !args.steer.steer_only {
        show_points(args, &model, &programs, &mut summary)?;
    }
    if let Some(setting) = &setting {
        summary.steering = Some(steer::run(setting, &programs, &args.model, &model, &args.out)?);
    }
    summary.write(&args.out.join("summary.json"))?;
    if args.json {
        return crate::common::print_json(&summary);
    }
    if let Some(steering) = &summary.steering {
        say_steering(steering, &args.out);
    }
    println!("figures: {}", args.out.join("summary.json").display());
    Ok(())
}

/// The first part: one operating point after the other.
fn show_points(args: &Args, model: &Model, programs: &Programs, summary: &mut Summary) -> anyhow::Result<()> {
    let mut media = Media::open(args.images.as_deref(), args.video.as_deref(), model, args.frames)?;
    let points = points(args, model)?;
    // Device-only comes first: it is the uncut network, the yardstick of all others.
    let broker = Broker::start()?;
    let decoder = Decoder::start(programs, &broker, &args.model)?;
    eprintln!("nats-server, autotiler-decoder (pid {}) are up", decoder.pid());

    let mut runs = Vec::new();
    for point in points {
        let run =
            PointRun::start(programs, &broker, &args.model, &media, point, args.fps, &args.out)?.finish()?;
        if point.route == Route::DeviceOnly {
            media.adopt_truth(&run.frames);
        }
        runs.push(run);
    }
    decoder.stop()?;

    summary.take_points(model, &media, &runs, args.frames);
    let engine = args.engine.engine()?;
    let sheet = sheet::draw(model, engine.as_ref(), &media, &runs)?;
    let path = args.out.join("sheet.png");
    autotiler_model::files::write(&path, &sheet.encode_png()?)?;
    if !args.json {
        println!("{}\npictures and planes: {}", summary.table(), path.display());
    }
    Ok(())
}

fn say_steering(steering: &Steering, out: &Path) {
    println!("\n{}\n{}\n{}", steering.title(), steering.table(), steering.verdict());
    println!("link, points and latencies: {}", out.join("steer.png").display());
}

impl Args {
    /// Whether there is a second part.
    fn steers(&self, model: &Model) -> anyhow::Result<bool> {
        let generated = model.manifest.classes.iter().eq(CLASSES.iter());
        let own = self.images.is_some() || self.video.is_some();
        let shown = generated && !own && !self.steer.no_steer;
        anyhow::ensure!(
            shown || !self.steer.steer_only,
            "--steer-only: cameras that follow their links see the generated world: leave --images and --video out, and \
             take a --model with the classes {CLASSES:?}"
        );
        Ok(shown)
    }
}

/// The points asked for, device-only first in any case.
fn points(args: &Args, model: &Model) -> anyhow::Result<Vec<OperatingPoint>> {
    let mut points = vec![OperatingPoint::device_only()];
    if args.point.is_empty() {
        for tiler in &model.tilers {
            let point = OperatingPoint::split(tiler.layer(), tiler.spec().cr, args.bits);
            if !points.contains(&point) {
                points.push(point);
            }
        }
        points.push(OperatingPoint::server_only(args.picture_bits));
    }
    for &point in &args.point {
        if let Route::Split { layer, cr } = point.route {
            model.tiler(layer, cr, None)?;
        }
        if !points.contains(&point) {
            points.push(point);
        }
    }
    Ok(points)
}

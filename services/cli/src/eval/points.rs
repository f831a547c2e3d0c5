//! Operating points scored through the real codec, as they are served.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Duration};

use anyhow::Context as _;
use autotiler_core::{
    OperatingPoint,
    average_precision::{Score, Scorer},
};
use autotiler_eval::PictureSet;
use autotiler_graph::Engine;
use autotiler_model::{Model, TilerKind};
use autotiler_pipeline::{BoxFinder, BoxOptions};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use super::path::{CodedPath, Passed};
use crate::{
    common::{CodecArgs, EngineArgs, load_model, print_json, progress},
    set::SetArgs,
};

/// Which points of which model on which pictures.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    set: SetArgs,
    /// Operating points: `uncut` (the whole network), `layer=16,cr=8,bits=20k`, `server-only,bits=40k` or
    /// `device-only`. Give it several times to score several.
    #[arg(long, required = true, value_name = "POINT")]
    point: Vec<Point>,
    /// Use this member of the family where the model has several for a layer and ratio.
    #[arg(long, value_name = "klt|lite|plain")]
    tiler: Option<TilerKind>,
    /// Detections below this score are dropped; 0.005 is usual for mAP, the paper cuts at 0.5.
    #[arg(long, default_value_t = 0.005, value_name = "SCORE")]
    score_threshold: f32,
    /// Overlap above which the weaker of two boxes of one class is dropped.
    #[arg(long, default_value_t = 0.45, value_name = "IOU")]
    nms: f32,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    codec: CodecArgs,
    /// Print JSON. For one point an object, for several an array of them: point, set, images, skipped, boxes,
    /// map50, map50_uncut, kbit_per_image, score_threshold, per_class{name: ap},
    /// ms{device, encode, decode, server} (medians), out_of_reach where the planes cannot carry the bits.
    #[arg(long)]
    json: bool,
}

/// An operating point, or the whole network as the yardstick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    Uncut,
    At(OperatingPoint),
}

impl FromStr for Point {
    type Err = autotiler_core::operating_point::BadOperatingPoint;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "uncut" { Ok(Self::Uncut) } else { text.parse().map(Self::At) }
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uncut => f.write_str("uncut"),
            Self::At(point) => point.fmt(f),
        }
    }
}

/// The score of one point.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) point: String,
    pub(crate) tiler: Option<String>,
    pub(crate) set: String,
    pub(crate) images: usize,
    pub(crate) skipped: usize,
    pub(crate) boxes: usize,
    pub(crate) map50: f64,
    pub(crate) map50_uncut: f64,
    pub(crate) kbit_per_image: f64,
    pub(crate) score_threshold: f32,
    pub(crate) per_class: BTreeMap<String, f64>,
    pub(crate) ms: Medians,
    /// What a target beyond what the planes carry can be; the score is then that of the nearest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_of_reach: Option<String>,
}

/// Median time of each stage in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Medians {
    pub(crate) device: f64,
    pub(crate) encode: f64,
    pub(crate) decode: f64,
    pub(crate) server: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let model = load_model(&args.model)?;
    let engine = args.engine.engine()?;
    let set = args.set.open(&model.manifest.classes)?;
    let boxes =
        BoxOptions { score_threshold: args.score_threshold, nms_iou: args.nms, ..BoxOptions::default() };
    let evaluation =
        Evaluation { model: &model, engine: engine.as_ref(), set: &set, boxes, codec: &args.codec };
    let uncut = evaluation.score(Point::Uncut, None)?;
    let mut reports = Vec::new();
    for &point in &args.point {
        let mut report = match point {
            Point::Uncut => uncut.clone(),
            at @ Point::At(_) => evaluation.score(at, args.tiler)?,
        };
        report.map50_uncut = uncut.map50;
        reports.push(report);
    }
    if !args.json {
        print_table(&reports);
        return Ok(());
    }
    match reports.as_slice() {
        [one] => print_json(one),
        several => print_json(&several),
    }
}

/// What is scored, with what.
pub(crate) struct Evaluation<'a> {
    pub(crate) model: &'a Model,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) set: &'a PictureSet,
    pub(crate) boxes: BoxOptions,
    pub(crate) codec: &'a CodecArgs,
}

impl Evaluation<'_> {
    /// Scores one point over the whole set.
    pub(crate) fn score(&self, point: Point, kind: Option<TilerKind>) -> anyhow::Result<Report> {
        let at = match point {
            Point::Uncut => OperatingPoint::device_only(),
            Point::At(at) => at,
        };
        let mut path = CodedPath::new(self.model, self.engine, at, kind, self.codec)
            .with_context(|| format!("preparing {point}"))?;
        let finder = BoxFinder::new(&self.model.network, self.boxes);
        let mut scorer = Scorer::new(self.model.manifest.classes.len());
        let mut passed = Vec::new();
        let (mut skipped, mut truth_boxes) = (0, 0);
        let bar = progress(self.set.len(), &point.to_string());
        for index in 0..self.set.len() {
            bar.inc(1);
            let Some(sample) = self.set.load(index) else {
                skipped += 1;
                continue;
            };
            let (heads, pass) =
                path.pass(&sample.picture).with_context(|| format!("scoring {}", sample.name))?;
            scorer.add(&finder.find(&heads)?, &sample.truth);
            truth_boxes += sample.truth.len();
            passed.push(pass);
        }
        bar.finish_and_clear();
        anyhow::ensure!(!passed.is_empty(), "the set {} has no usable picture", self.set.name());
        let Score { map50, per_class, .. } = scorer.score();
        let names = self.model.manifest.classes.iter().cloned();
        let bits: u64 = passed.iter().map(|pass| u64::from(pass.bits)).sum();
        Ok(Report {
            point: point.to_string(),
            tiler: path.tiler().map(|kind| kind.to_string()),
            set: self.set.name().to_owned(),
            images: passed.len(),
            skipped,
            boxes: truth_boxes,
            map50,
            map50_uncut: map50,
            kbit_per_image: bits as f64 / 1e3 / passed.len() as f64,
            score_threshold: self.boxes.score_threshold,
            per_class: names.zip(per_class).filter_map(|(name, ap)| Some((name, ap?))).collect(),
            ms: medians(&passed),
            out_of_reach: path.out_of_reach().map(|refusal| refusal.to_string()),
        })
    }
}

fn medians(passed: &[Passed]) -> Medians {
    let median = |time: fn(&Passed) -> Duration| {
        let mut times: Vec<Duration> = passed.iter().map(time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    Medians {
        device: median(|p| p.device),
        encode: median(|p| p.encode),
        decode: median(|p| p.decode),
        server: median(|p| p.server),
    }
}

fn print_table(reports: &[Report]) {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "point",
        "tiler",
        "images",
        "kbit/image",
        "mAP@0.5",
        "uncut",
        "of uncut",
        "device ms",
        "codec ms",
        "server ms",
    ]);
    for r in reports {
        table.add_row([
            r.point.clone(),
            r.tiler.clone().unwrap_or_else(|| "-".to_owned()),
            r.images.to_string(),
            format!("{:.2}", r.kbit_per_image),
            format!("{:.3}", r.map50),
            format!("{:.3}", r.map50_uncut),
            format!("{:.1} %", 100.0 * r.map50 / r.map50_uncut.max(1e-9)),
            format!("{:.1}", r.ms.device),
            format!("{:.1}", r.ms.encode + r.ms.decode),
            format!("{:.1}", r.ms.server),
        ]);
    }
    println!("{table}");
    for r in reports {
        if r.skipped > 0 {
            println!("{}: {} unreadable pictures were skipped", r.point, r.skipped);
        }
        if let Some(refusal) = &r.out_of_reach {
            println!("{}: {refusal}; scored at {:.2} kbit", r.point, r.kbit_per_image);
        }
    }
}

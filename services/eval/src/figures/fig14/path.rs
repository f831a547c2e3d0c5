//! All ways at all five layers of the paper's network.

use std::time::{Duration, Instant};

use autotiler_core::CompressionRatio;
use autotiler_graph::{
    Tensor,
    darknet::{BatchNorm, COCO_ANCHORS, Cfg, Network, WidthMultiplier, init, yolov3},
    partition,
    tiler::{AutoTiler, Grade, KltFit, Lite, LiteShape, Paper, PaperPlan, PaperPoint, TilerSpec},
};
use autotiler_pipeline::input_tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Row, TARGET_KBIT,
    tiles::Layout,
    way::{Passed, Way},
};
use crate::{
    carry::Workshop,
    error::EvalError,
    figures::{FigureError, Study, table1::paper_plan},
};

pub(super) const TILING: &str = "Tiling";
pub(super) const FRAMES: &str = "FPC";
pub(super) const FINE: &str = "AT fine";
pub(super) const COARSE: &str = "AT coarse";
pub(super) const KLT: &str = "KLT";
pub(super) const LITE: &str = "lite";

/// Side of the paper's pictures.
const SIDE: usize = 416;
/// Classes of VOC.
const CLASSES: usize = 20;
/// Seed of all weights.
const SEED: u64 = 14;
/// Feature maps that the KLT is fitted to.
const FITTED: usize = 2;
/// Passes of the first picture: in the first of them the codec searches for its gain, the second warms up.
const SETTLING: usize = 2;

/// The bare network at one layer.
struct Parts {
    part1: Duration,
    part2: Duration,
    /// The first is to warm up with.
    features: Vec<Tensor>,
}

/// The paper's network and the pictures that it looks at; the study's own network is not used.
pub(super) struct Rig {
    plan: PaperPlan,
    network: Network,
    inputs: Vec<Tensor>,
}

impl Rig {
    /// For medians over `pictures` pictures.
    pub(super) fn new(study: &Study<'_>, pictures: usize) -> Result<Self, FigureError> {
        let network = network()?;
        let samples = study.bench().samples().take(pictures + 1);
        let inputs = samples.map(|sample| input_tensor(&sample.picture, network.input)).collect();
        Ok(Self { plan: paper_plan()?, network, inputs })
    }

    /// All ways at one of the five points.
    pub(super) fn measure(&self, study: &Study<'_>, number: usize) -> Result<Vec<Row>, FigureError> {
        let workshop = study.bench().workshop();
        let point = self.plan.points().get(number).ok_or(EvalError::Output("no such point"))?;
        study.say(&format!("layer {}: network", point.layer));
        let parts = time_parts(workshop, &self.network, point, &self.inputs)?;
        let row = |&name: &&str| {
            study.say(&format!("layer {}: {name}", point.layer));
            let way = open(workshop, (&self.plan, number, point), name, &parts.features)?;
            time_way(way, point, name, &parts)
        };
        [TILING, FRAMES, FINE, COARSE, KLT, LITE].iter().map(row).collect()
    }
}

fn network() -> Result<Network, FigureError> {
    let cfg = Cfg::parse(&yolov3(WidthMultiplier::ONE, SIDE, CLASSES, &COCO_ANCHORS)?)?;
    Ok(Network::build(&cfg, &init(&cfg, SEED)?, BatchNorm::Folded)?)
}

fn time_parts(
    workshop: Workshop<'_>,
    network: &Network,
    point: &PaperPoint,
    inputs: &[Tensor],
) -> Result<Parts, FigureError> {
    let (head, tail) = partition::split(network, point.layer)?;
    let mut features = Vec::with_capacity(inputs.len());
    let mut session = workshop.engine.load(&head)?;
    let mut first = Vec::new();
    for input in inputs {
        let start = Instant::now();
        let feature = session.run(std::slice::from_ref(input))?.pop();
        first.push(start.elapsed());
        features.push(feature.ok_or(EvalError::Output("no feature map"))?);
    }
    // Only one part of a large network is in memory.
    drop(session);
    let mut session = workshop.engine.load(&tail)?;
    let mut second = Vec::new();
    for feature in &features {
        let start = Instant::now();
        session.run(std::slice::from_ref(feature))?;
        second.push(start.elapsed());
    }
    Ok(Parts { part1: median(first), part2: median(second), features })
}

fn open(
    workshop: Workshop<'_>,
    (plan, number, point): (&PaperPlan, usize, &PaperPoint),
    name: &str,
    features: &[Tensor],
) -> Result<Way, FigureError> {
    let feature = point.feature();
    let tiler: Box<dyn AutoTiler> = match name {
        TILING | FRAMES => {
            let spec = TilerSpec::new(point.layer, feature, CompressionRatio::ONE)?;
            let layout = Layout { spec, each_map: name == FRAMES };
            return Way::tiles(workshop, layout, TARGET_KBIT);
        }
        FINE | COARSE => {
            let grade = if name == FINE { Grade::Fine } else { Grade::Coarse };
            let tiler = Paper::new(plan, number, grade, random());
            let mut tiler = tiler.ok_or(EvalError::Output("no such point"))?;
            let (mean, deviation) = spread(features);
            tiler.fit(mean, deviation);
            Box::new(tiler)
        }
        _ => {
            // The ratios that the paper's coarse tiler has.
            let spec = TilerSpec::new(point.layer, feature, point.spec(Grade::Coarse).cr)?;
            let mut fit = KltFit::new(spec);
            for values in features.iter().take(FITTED).filter_map(Tensor::as_f32) {
                fit.add(values)?;
            }
            let klt = fit.finish(None)?;
            if name == KLT {
                Box::new(klt)
            } else {
                Box::new(Lite::from_klt(&klt, LiteShape::default(), random())?)
            }
        }
    };
    Way::tiler(workshop, tiler.as_ref(), TARGET_KBIT)
}

fn time_way(mut way: Way, point: &PaperPoint, name: &str, parts: &Parts) -> Result<Row, FigureError> {
    let (first, timed) = parts.features.split_first().ok_or(FigureError::NoPicture)?;
    // A set of one picture is timed on that.
    let timed = if timed.is_empty() { std::slice::from_ref(first) } else { timed };
    for _ in 0..SETTLING {
        way.pass(first)?;
    }
    let passed = timed.iter().map(|feature| way.pass(feature)).collect::<Result<Vec<_>, _>>()?;
    let ms = |of: fn(&Passed) -> Duration| milliseconds(median(passed.iter().map(of).collect()));
    let (coded_height, coded_width, coded_frames) = way.frames();
    let bits: u64 = passed.iter().map(|passed| passed.bits).sum();
    Ok(Row {
        layer: point.layer.0,
        method: name.to_owned(),
        cr: match name {
            TILING | FRAMES => 1,
            FINE => point.spec(Grade::Fine).cr.get(),
            _ => point.spec(Grade::Coarse).cr.get(),
        },
        coded_height,
        coded_width,
        coded_frames,
        part1_ms: milliseconds(parts.part1),
        tiler_ms: ms(|p| p.tiler),
        tiling_ms: ms(|p| p.tiling),
        encode_ms: ms(|p| p.encode),
        decode_ms: ms(|p| p.decode),
        untiling_ms: ms(|p| p.untiling),
        untiler_ms: ms(|p| p.untiler),
        part2_ms: milliseconds(parts.part2),
        kbit: bits as f64 / 1e3 / passed.len().max(1) as f64,
        pictures: passed.len(),
    })
}

/// Mean and deviation of the first feature map.
fn spread(features: &[Tensor]) -> (f32, f32) {
    let values = features.first().and_then(Tensor::as_f32).unwrap_or_default();
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance.sqrt() as f32)
}

/// Values of unit variance.
fn random() -> impl FnMut() -> f32 {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    move || random.random_range(-1.0_f32..1.0) * 3.0_f32.sqrt()
}

/// The middle one: a slow first one does not count.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

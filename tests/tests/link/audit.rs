//! Holds each frame's detections to those of an undisturbed run: the same picture through the same stages at the same
//! operating point and gain, with no network, no queue and no switch around them.
//!
//! A gain may be taken by either of two neighbouring QPs, as the encoder happens to have them open. Whichever it was,
//! bits and detections must be those of one of them.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    path::{Path, PathBuf},
};

use autotiler_core::{Detection, Digest, Gain, OperatingPoint, Route};
use autotiler_hevc::{
    AccessUnit, Decoder, DecoderOptions, Encoder, EncoderOptions, FrameFormat, encoder::RUNG_STEPS,
};
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::{
    BoxFinder, BoxOptions, CodedFrame, DeviceOutput, DeviceStage, RawHeads, ServerSource, ServerStage,
};
use autotiler_scene::{World, WorldOptions};
use serde_json::Value;

/// Most that a score or a corner may differ: the wire's 16 bits, and sums in another order where frames share a run.
const TOLERANCE: f32 = 1e-3;

/// What finds boxes on the device and on the server.
#[derive(Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) device: BoxOptions,
    pub(crate) server: BoxOptions,
}

/// The undisturbed run.
pub(crate) struct Audit {
    model: Model,
    engine: OnnxEngine,
    world: World,
    thresholds: Thresholds,
    routes: HashMap<Route, Way>,
}

/// The stages of one route.
struct Way {
    device: DeviceStage,
    server: Option<(ServerStage, Decoder)>,
    /// One for each QP, by its rung.
    encoders: HashMap<u8, Encoder>,
}

/// The embedded model.
pub(crate) fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/street")
}

/// Its network.
pub(crate) fn network() -> Digest {
    Model::load(&model_dir()).unwrap().manifest.digest
}

impl Default for Thresholds {
    /// Those of the services where nothing else is asked for.
    fn default() -> Self {
        let server = BoxOptions { score_threshold: 0.2, nms_iou: 0.45, max_detections: 300 };
        Self { device: BoxOptions::default(), server }
    }
}

impl Audit {
    /// Of frames of the generated world of seed 0, seen as video at the network's size.
    pub(crate) fn new(model: &Path, thresholds: Thresholds) -> Self {
        let model = Model::load(model).unwrap();
        let library = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
        let engine = OnnxEngine::new(OnnxOptions { library, threads: 1, ..OnnxOptions::default() }).unwrap();
        let input = model.network.input;
        let world = World::new(WorldOptions { seed: 0, width: input.w, height: input.h });
        Self { model, engine, world, thresholds, routes: HashMap::new() }
    }

    /// Checks all received frames among `lines`, and that no order has two points; the number of frames.
    pub(crate) fn check(&mut self, lines: &[Value]) -> usize {
        let received: Vec<_> = lines.iter().filter(|line| line["outcome"] == "received").collect();
        received.iter().for_each(|line| self.check_frame(line));
        let mut points: BTreeMap<u64, &str> = BTreeMap::new();
        // A guard's safe point goes with any order.
        for line in lines.iter().filter(|line| line["point"] != "device-only") {
            let (epoch, point) = (line["epoch"].as_u64().unwrap(), line["point"].as_str().unwrap());
            assert_eq!(*points.entry(epoch).or_insert(point), point, "order {epoch}");
        }
        received.len()
    }

    fn check_frame(&mut self, line: &Value) {
        let point: OperatingPoint = line["point"].as_str().unwrap().parse().unwrap();
        let number = |key: &str| u32::try_from(line[key].as_u64().unwrap()).unwrap();
        let (sequence, bits) = (number("sequence"), number("bits"));
        let gain = Gain(u8::try_from(number("gain")).unwrap());
        let found: Vec<Detection> = serde_json::from_value(line["detections"].clone()).unwrap();
        let picture = self.world.frame(sequence).picture;
        let way = self.way(point.route);
        let (ways, options) = match way.device.run(&picture).unwrap() {
            DeviceOutput::Heads(heads) => (vec![heads], self.thresholds.device),
            DeviceOutput::Frame(plane) => (way.serve(&plane, gain, bits), self.thresholds.server),
        };
        let finder = BoxFinder::new(&self.model.network, options);
        let least = options.score_threshold + TOLERANCE;
        let differ = |heads: &RawHeads| {
            let wanted = finder.find(heads).unwrap();
            (without(&wanted, &found, least), without(&found, &wanted, least))
        };
        let differ: Vec<_> = ways.iter().map(differ).collect();
        let same = differ.iter().any(|(missing, extra)| missing.is_empty() && extra.is_empty());
        assert!(
            same,
            "{line:#}\nof {} encodes of these bits, what each lacks and has too much: {differ:#?}",
            ways.len()
        );
    }

    fn way(&mut self, route: Route) -> &mut Way {
        let (engine, model) = (&self.engine, &self.model);
        self.routes.entry(route).or_insert_with(|| {
            let device = DeviceStage::new(engine, model, route, None).unwrap();
            let source = match route {
                Route::DeviceOnly => None,
                Route::ServerOnly => Some(ServerSource::Picture),
                Route::Split { layer, cr } => {
                    Some(ServerSource::Plane(model.tiler(layer, cr, None).unwrap()))
                }
            };
            let server = source.map(|source| {
                let stage = ServerStage::new(engine, model, source).unwrap();
                let sets = encoder(stage.format(), 0).parameter_sets().clone();
                let decoder = Decoder::spawn(stage.format(), sets, DecoderOptions::default()).unwrap();
                (stage, decoder)
            });
            Way { device, server, encoders: HashMap::new() }
        })
    }
}

impl Way {
    /// Codes `plane` with `gain` and runs the server's part: once for each way to do it that takes `bits`.
    fn serve(&mut self, plane: &[u8], gain: Gain, bits: u32) -> Vec<RawHeads> {
        let (stage, decoder) = self.server.as_mut().unwrap();
        let rung = gain.0 / RUNG_STEPS;
        let mut code = |rung: u8| {
            let new = || encoder(stage.format(), rung);
            self.encoders.entry(rung).or_insert_with(new).encode(plane, gain).unwrap()
        };
        let units = [Some(rung), rung.checked_sub(1)].into_iter().flatten().map(&mut code);
        let units: Vec<AccessUnit> = units.filter(|unit| unit.bits() == bits).collect();
        let mut run = |unit: &AccessUnit| {
            let plane = decoder.decode_scaled(unit.bytes()).unwrap();
            let frame = CodedFrame { bytes: &plane.samples, gain, qp_gain: plane.qp_gain };
            stage.run(&[frame]).unwrap().remove(0)
        };
        units.iter().map(&mut run).collect()
    }
}

/// An encoder that serves gains by the QP of `rung`: it goes on with the QP that served last, and half of a rung above
/// is served by no other.
fn encoder(format: FrameFormat, rung: u8) -> Encoder {
    let mut encoder = Encoder::spawn(format, EncoderOptions::default()).unwrap();
    let gain = Gain(rung.saturating_mul(RUNG_STEPS).saturating_add(RUNG_STEPS / 2));
    encoder.encode(&vec![128; format.len()], gain).unwrap();
    encoder
}

/// Those of `these`, scoring at least `least`, that are not in `those`.
fn without(these: &[Detection], those: &[Detection], least: f32) -> Vec<Detection> {
    let near = |a: f32, b: f32| (a - b).abs() <= TOLERANCE;
    let same = |a: &Detection, b: &Detection| {
        let corners =
            [(a.bbox.x0, b.bbox.x0), (a.bbox.y0, b.bbox.y0), (a.bbox.x1, b.bbox.x1), (a.bbox.y1, b.bbox.y1)];
        a.class == b.class && near(a.score, b.score) && corners.iter().all(|(a, b)| near(*a, *b))
    };
    these
        .iter()
        .filter(|one| one.score >= least && !those.iter().any(|other| same(one, other)))
        .copied()
        .collect()
}

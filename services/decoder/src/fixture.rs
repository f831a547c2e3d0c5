//! A tiny model, and devices that send real frames of it, for tests.

use std::{env, path::PathBuf, time::Duration};

use autotiler_core::{
    CompressionRatio, Detection, DeviceId, Epoch, Gain, LayerIndex, Sequence, StreamId,
    wire::{FrameHeader, Payload},
};
use autotiler_graph::{
    darknet::{self, Cfg},
    tiler::KltFit,
};
use autotiler_hevc::{AccessUnit, Decoder, DecoderOptions, Encoder, EncoderOptions};
use autotiler_model::{Model, Precision, TilerKind};
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::{BoxFinder, BoxOptions, CodedFrame, ServerSource, ServerStage};
use autotiler_transport::{ConnectOptions, NatsOptions};
use clap::Parser;
use tempfile::TempDir;

use crate::{
    args::{AdminAddress, Config, IntakeOptions, WorkerOptions},
    catalogue::Point,
};

/// Where the set-up puts the library, below the home directory.
const CACHED: &str = ".cache/autotiler/onnxruntime-1.32.0/libonnxruntime.so.1.32.0";
/// Four convolutions and one head; can be cut after the first three.
const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nmask=0,1\nanchors=10,14,30,24\nclasses=2\nnum=2\n";
/// Untrained heads are nearly flat: so much louder, they find something everywhere.
const HEAD_GAIN: f32 = 20.0;
/// Partition points of the model's tilers, in the order of the model.
pub(crate) const LAYERS: [u16; 2] = [1, 2];
/// Low enough for an untrained network to find something in any frame.
pub(crate) const BOXES: BoxOptions = BoxOptions { score_threshold: 0.002, nms_iou: 0.45, max_detections: 50 };

/// A model directory with two KLT tilers.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) model: Model,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cfg = Cfg::parse(CFG).unwrap();
        let mut weights = darknet::init(&cfg, 1).unwrap();
        let head = weights.layers.last_mut().unwrap();
        head.kernel = std::sync::Arc::new(head.kernel.iter().map(|tap| tap * HEAD_GAIN).collect());
        let classes = vec!["cat".to_owned(), "dog".to_owned()];
        let mut model =
            Model::create(folder.path(), "tiny", &cfg, &weights, classes, Precision::F32).unwrap();
        for layer in LAYERS {
            let spec = model.tiler_spec(LayerIndex(layer), CompressionRatio::ONE).unwrap();
            let mut fit = KltFit::new(spec);
            for seed in 0..4 {
                let bytes = noise(seed, spec.feature.len());
                let feature: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) / 64.0 - 2.0).collect();
                fit.add(&feature).unwrap();
            }
            model.store_tiler(TilerKind::Klt, &fit.finish(None).unwrap(), Precision::F32).unwrap();
        }
        Self { folder, model }
    }

    /// Settings for this model; `nats` may be of no use to the test.
    pub(crate) fn config(&self, nats: Option<ConnectOptions>) -> Config {
        #[derive(Parser)]
        struct Nats {
            #[command(flatten)]
            nats: NatsOptions,
        }
        let nowhere = || Nats::parse_from(["test"]).nats.connect_options("test");
        Config {
            model: self.folder.path().to_owned(),
            onnx: onnx(),
            nats: nats.unwrap_or_else(nowhere),
            admin: AdminAddress::Off,
            intake: IntakeOptions { queue: 64, parameters_timeout: Duration::from_secs(5) },
            worker: worker_options(),
            boxes: BOXES,
            json_lines: false,
            drain_deadline: Duration::from_secs(20),
        }
    }

    pub(crate) fn source(&self, point: Point) -> ServerSource<'_> {
        match point {
            Point::Plane(at) => ServerSource::Plane(&self.model.tilers[at]),
            Point::Picture => ServerSource::Picture,
        }
    }

    pub(crate) fn payload(&self, point: Point) -> Payload {
        match point {
            Point::Plane(at) => {
                let tiler = &self.model.tilers[at];
                let (layer, cr) = (tiler.layer(), tiler.spec().cr);
                Payload::Plane { layer, cr, tiler: tiler.digest.prefix() }
            }
            Point::Picture => Payload::Picture,
        }
    }
}

pub(crate) fn worker_options() -> WorkerOptions {
    WorkerOptions {
        max_batch: 8,
        batch_wait: Duration::ZERO,
        codec: DecoderOptions::default(),
        sessions: 4,
        stages: 8,
    }
}

/// The library for tests, from the environment or the cache.
pub(crate) fn onnx() -> OnnxOptions {
    let given = env::var_os("AUTOTILER_ORT").or_else(|| env::var_os("ORT_DYLIB_PATH")).map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let library = path.filter(|path| path.is_file());
    assert!(
        library.is_some(),
        "ONNX Runtime is missing: run the set-up, or set AUTOTILER_ORT to libonnxruntime.so"
    );
    OnnxOptions { library, ..OnnxOptions::default() }
}

pub(crate) fn engine() -> OnnxEngine {
    OnnxEngine::new(onnx()).unwrap()
}

/// Any bytes, the same for the same seed (xorshift), smooth enough to be coded in few bits.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut value = 128.0_f32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value = 0.7 * value + 0.3 * ((state >> 40) & 0xff) as f32;
        value as u8
    };
    (0..len).map(step).collect()
}

/// A device's encoder at one operating point, and what the server ought to find in its frames.
pub(crate) struct Camera {
    pub(crate) device: DeviceId,
    pub(crate) encoder: Encoder,
    pub(crate) payload: Payload,
    network: u64,
    reference: Decoder,
    stage: ServerStage,
    boxes: BoxFinder,
    frames: u32,
}

/// One frame on its way.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) header: FrameHeader,
    pub(crate) unit: AccessUnit,
    /// What the stages find when they are called directly.
    pub(crate) expected: Vec<Detection>,
}

impl Shot {
    pub(crate) fn message(&self) -> Vec<u8> {
        self.header.encode(self.unit.bytes())
    }
}

impl Camera {
    pub(crate) fn new(fixture: &Fixture, name: &str, point: Point) -> Self {
        let stage = ServerStage::new(&engine(), &fixture.model, fixture.source(point)).unwrap();
        let encoder = Encoder::spawn(stage.format(), EncoderOptions::default()).unwrap();
        let sets = encoder.parameter_sets().clone();
        Self {
            device: name.parse().unwrap(),
            reference: Decoder::spawn(stage.format(), sets, DecoderOptions::default()).unwrap(),
            encoder,
            payload: fixture.payload(point),
            network: fixture.model.manifest.digest.prefix(),
            boxes: BoxFinder::new(&fixture.model.network, BOXES),
            stage,
            frames: 0,
        }
    }

    /// The next frame, of its own noise.
    pub(crate) fn shoot(&mut self, gain: Gain) -> Shot {
        let sequence = Sequence(self.frames);
        self.frames += 1;
        let plane = noise(u64::from(sequence.0), self.stage.format().len());
        let unit = self.encoder.encode(&plane, gain).unwrap();
        let decoded = self.reference.decode_scaled(unit.bytes()).unwrap();
        let frame = CodedFrame { bytes: &decoded.samples, gain, qp_gain: decoded.qp_gain };
        let heads = self.stage.run(&[frame]).unwrap();
        let header = FrameHeader {
            device: self.device.hash64(),
            stream: StreamId(9),
            sequence,
            epoch: Epoch(3),
            network: self.network,
            payload: self.payload,
            gain,
            captured_us: 1_000 + u64::from(sequence.0),
            parameter_sets: unit.parameter_sets().0,
        };
        Shot { header, unit, expected: self.boxes.find(&heads[0]).unwrap() }
    }
}

/// Holds detections to others: same classes in the same order, numbers within `tolerance`, corners no further out
/// than an answer can say.
pub(crate) fn assert_same(got: &[Detection], expected: &[Detection], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        let numbers = |d: &Detection| {
            [d.score, d.bbox.x0, d.bbox.y0, d.bbox.x1, d.bbox.y1].map(|number| number.clamp(-0.5, 1.5))
        };
        let far = numbers(got).iter().zip(numbers(expected)).any(|(a, b)| (a - b).abs() > tolerance);
        assert!(got.class == expected.class && !far, "{got:?} is not {expected:?}");
    }
}

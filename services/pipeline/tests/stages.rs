//! The stages of device and server after each other, without a codec between, on a tiny model and the slow engine.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail loudly

use autotiler_core::{CompressionRatio, Gain, LayerIndex, Route, wire::Payload};
use autotiler_graph::{
    Engine as _,
    darknet::{self, Cfg},
    partition,
    reference::Reference,
    tiler::KltFit,
};
use autotiler_hevc::PixelFormat;
use autotiler_model::{Model, ModelError, Precision, TilerKind};
use autotiler_pipeline::{
    BoxFinder, BoxOptions, CodedFrame, DeviceOutput, DeviceStage, PipelineError, RawHeads, ServerSource,
    ServerStage, input_tensor,
};
use autotiler_scene::Picture;

/// Three convolutions and one head; can be cut after the first two.
const CFG: &str = "[net]\nwidth=32\nheight=32\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=14\nsize=1\nactivation=linear\n\
    [yolo]\nmask=0,1\nanchors=10,14,30,24\nclasses=2\nnum=2\n";
/// Untrained heads are nearly flat about their biases: so much louder, the picture outweighs them.
const HEAD_GAIN: f32 = 100.0;
const LAYER: LayerIndex = LayerIndex(1);
/// A plane's byte is 7 standard deviations of the strongest map over 255: rounding to it moves the heads by some
/// thousandths of their spread.
const ROUNDING: f32 = 0.01;

/// A model whose one tiler, of full rank, was fitted to the pictures of the test.
struct Fixture {
    _folder: tempfile::TempDir,
    model: Model,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cfg = Cfg::parse(CFG).unwrap();
        let mut weights = darknet::init(&cfg, 1).unwrap();
        let head = weights.layers.last_mut().unwrap();
        head.kernel = std::sync::Arc::new(head.kernel.iter().map(|tap| tap * HEAD_GAIN).collect());
        let classes = vec!["cat".to_owned(), "dog".to_owned()];
        let mut model =
            Model::create(folder.path(), "tiny", &cfg, &weights, classes, Precision::F32).unwrap();
        let mut fit = KltFit::new(model.tiler_spec(LAYER, CompressionRatio::ONE).unwrap());
        let (head, _) = partition::split(&model.network, LAYER).unwrap();
        let mut head = Reference.load(&head).unwrap();
        for seed in 0..3 {
            let features = head.run(&[input_tensor(&picture(seed), model.network.input)]).unwrap();
            fit.add(features[0].as_f32().unwrap()).unwrap();
        }
        model.store_tiler(TilerKind::Klt, &fit.finish(None).unwrap(), Precision::F32).unwrap();
        Self { _folder: folder, model }
    }

    fn device(&self, route: Route) -> DeviceStage {
        DeviceStage::new(&Reference, &self.model, route, None).unwrap()
    }

    fn server(&self, source: ServerSource<'_>) -> ServerStage {
        ServerStage::new(&Reference, &self.model, source).unwrap()
    }

    fn whole(&self, picture: &Picture) -> RawHeads {
        match self.device(Route::DeviceOnly).run(picture).unwrap() {
            DeviceOutput::Heads(heads) => heads,
            DeviceOutput::Frame(_) => panic!("nothing is to be coded"),
        }
    }
}

const SPLIT: Route = Route::Split { layer: LAYER, cr: CompressionRatio::ONE };

/// A picture of soft patches, larger than the network's input.
fn picture(seed: usize) -> Picture {
    let mut picture = Picture::filled(48, 40, [90, 120, 150]);
    for y in 0..40 {
        for x in 0..48 {
            let wave = |k: usize| (((x * (k + 2) + y * (k + 5) + seed * 37) % 61) * 4) as u8;
            picture.set_pixel(x, y, [wave(seed), wave(seed + 1), wave(seed + 2)]);
        }
    }
    picture
}

fn frame(stage: &mut DeviceStage, picture: &Picture) -> Vec<u8> {
    match stage.run(picture).unwrap() {
        DeviceOutput::Frame(frame) => frame,
        DeviceOutput::Heads(_) => panic!("the server has work to do"),
    }
}

fn unscaled(bytes: &[u8]) -> CodedFrame<'_> {
    CodedFrame { bytes, gain: Gain::UNITY, qp_gain: Gain::UNITY }
}

/// Largest difference of two pictures' heads, as a share of the spread of `wanted`.
fn distance(got: &RawHeads, wanted: &RawHeads) -> f32 {
    assert_eq!(got.0.len(), wanted.0.len());
    let pairs = || got.0.iter().flatten().zip(wanted.0.iter().flatten());
    let most = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let values = || wanted.0.iter().flatten().copied();
    most / (values().fold(f32::MIN, f32::max) - values().fold(f32::MAX, f32::min))
}

#[test]
fn a_network_in_two_halves_says_what_it_says_whole() {
    let fixture = Fixture::new();
    let mut device = fixture.device(SPLIT);
    let mut server = fixture.server(ServerSource::Plane(&fixture.model.tilers[0]));
    assert_eq!(device.format(), Some(server.format()));
    let tiler = fixture.model.tilers[0].digest.prefix();
    let payload = Payload::Plane { layer: LAYER, cr: CompressionRatio::ONE, tiler };
    assert_eq!(device.payload(), Some(payload));

    let frames: Vec<Vec<u8>> = (0..3).map(|seed| frame(&mut device, &picture(seed))).collect();
    let coded: Vec<CodedFrame<'_>> = frames.iter().map(|bytes| unscaled(bytes)).collect();
    let batch = server.run(&coded).unwrap();
    for (seed, (heads, coded)) in batch.iter().zip(&coded).enumerate() {
        let far = distance(heads, &fixture.whole(&picture(seed)));
        println!("picture {seed}: {far}");
        assert!(far < ROUNDING, "{far}");
        // Pictures of a batch do not touch one another.
        assert_eq!(&server.run(&[*coded]).unwrap()[0], heads);
        let other = distance(heads, &fixture.whole(&picture(seed + 1)));
        assert!(other > 4.0 * ROUNDING, "{other}");
    }
}

#[test]
fn a_gain_in_the_samples_is_undone_and_one_in_the_qp_is_not() {
    let fixture = Fixture::new();
    let bytes = frame(&mut fixture.device(SPLIT), &picture(0));
    let mut server = fixture.server(ServerSource::Plane(&fixture.model.tilers[0]));
    let wanted = server.run(&[unscaled(&bytes)]).unwrap();
    let in_qp = CodedFrame { bytes: &bytes, gain: Gain(36), qp_gain: Gain(36) };
    assert_eq!(server.run(&[in_qp]).unwrap(), wanted);
    // 24 steps are one halving.
    let halved: Vec<u8> =
        bytes.iter().map(|p| ((f32::from(*p) - 128.0) / 2.0 + 128.0).round() as u8).collect();
    let in_samples = CodedFrame { bytes: &halved, gain: Gain(36), qp_gain: Gain(12) };
    let far = distance(&server.run(&[in_samples]).unwrap()[0], &wanted[0]);
    let not_undone = CodedFrame { gain: Gain(12), ..in_samples };
    let farther = distance(&server.run(&[not_undone]).unwrap()[0], &wanted[0]);
    println!("undone: {far}, not undone: {farther}");
    assert!(far < 2.0 * ROUNDING && farther > 4.0 * ROUNDING, "{far}, {farther}");
}

#[test]
fn a_picture_that_is_sent_is_what_the_network_sees() {
    let fixture = Fixture::new();
    let mut device = fixture.device(Route::ServerOnly);
    let mut server = fixture.server(ServerSource::Picture);
    let format = server.format();
    assert_eq!((format.width(), format.height(), format.pixel), (32, 32, PixelFormat::Yuv420));
    assert_eq!((device.format(), device.payload()), (Some(format), Some(Payload::Picture)));

    let bytes = frame(&mut device, &picture(0));
    assert_eq!(bytes.len(), format.len());
    let heads = server.run(&[unscaled(&bytes), unscaled(&bytes)]).unwrap();
    let seen = fixture.whole(&Picture::from_yuv420(32, 32, &bytes).unwrap());
    assert!(heads.iter().all(|heads| distance(heads, &seen) < 1e-5));
    let halved: Vec<u8> =
        bytes.iter().map(|p| ((f32::from(*p) - 128.0) / 2.0 + 128.0).round() as u8).collect();
    let scaled = CodedFrame { bytes: &halved, gain: Gain(24), qp_gain: Gain::UNITY };
    let far = distance(&server.run(&[scaled]).unwrap()[0], &seen);
    println!("undone: {far}");
    assert!(far < 2.0 * ROUNDING, "{far}");
}

#[test]
fn nothing_is_coded_where_the_device_does_it_all() {
    let stage = Fixture::new().device(Route::DeviceOnly);
    assert_eq!((stage.format(), stage.payload()), (None, None));
}

#[test]
fn frames_and_heads_of_wrong_lengths_are_refused() {
    let fixture = Fixture::new();
    let tiler = &fixture.model.tilers[0];
    for source in [ServerSource::Plane(tiler), ServerSource::Picture] {
        let mut server = fixture.server(source);
        let right = vec![128; server.format().len()];
        for wrong in [&right[1..], &[]] {
            let error = server.run(&[unscaled(&right), unscaled(wrong)]).unwrap_err();
            let told = matches!(error, PipelineError::FrameLength { expected, got }
                if (expected, got) == (right.len(), wrong.len()));
            assert!(told, "{error:?}");
        }
        assert_eq!(server.run(&[unscaled(&right)]).unwrap().len(), 1);
    }

    let finder = BoxFinder::new(&fixture.model.network, BoxOptions::default());
    let RawHeads(mut heads) = fixture.whole(&picture(0));
    assert!(finder.find(&RawHeads(heads.clone())).is_ok());
    heads[0].pop();
    let error = finder.find(&RawHeads(heads)).unwrap_err();
    assert!(matches!(error, PipelineError::Heads(_)), "{error:?}");
    assert!(matches!(finder.find(&RawHeads(vec![])), Err(PipelineError::Output(_))));
}

#[test]
fn points_that_the_model_does_not_have_are_refused() {
    let fixture = Fixture::new();
    let refused = |layer: u16, cr: u16| {
        let route = Route::Split { layer: LayerIndex(layer), cr: CompressionRatio::try_new(cr).unwrap() };
        DeviceStage::new(&Reference, &fixture.model, route, None).err().unwrap()
    };
    for error in [refused(0, 1), refused(1, 2), refused(99, 1)] {
        assert!(matches!(error, PipelineError::Model(ModelError::NoTiler { .. })), "{error:?}");
    }
}

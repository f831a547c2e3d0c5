//! The codec path in lockstep, and the rate control over real planes.

use std::time::Instant;

use anyhow::Context as _;
use autotiler_core::{CompressionRatio, LayerIndex, Route, TargetBits};
use autotiler_graph::{Engine as _, Tensor, tiler::gain_input_beside_qp};
use autotiler_hevc::{
    Decoder, Encoder, FrameFormat,
    rate::{OutOfReach, RateControl},
};
use autotiler_model::Model;
use autotiler_onnx::{OnnxEngine, OnnxOptions};
use autotiler_pipeline::{DeviceOutput, DeviceStage, input_tensor};

use super::{Args, Bound, Row, median};

/// Pictures whose planes are coded.
const PICTURES: usize = 100;
/// Frames over which the mean is held to the target.
const RATE_FRAMES: usize = 100;
/// Targets, in thousands of bits.
const TARGETS_KBIT: [u32; 5] = [4, 8, 20, 40, 80];

/// Tiler encoder, HEVC and their inverses on one core.
pub(super) fn path(args: &Args, model: &Model, layers: &[LayerIndex]) -> anyhow::Result<Vec<Row>> {
    let library = args.engine.ort_library.clone();
    let engine = OnnxEngine::new(OnnxOptions { library, ..OnnxOptions::default() })?;
    let mut rows = Vec::new();
    for &layer in layers {
        let tiler = model.tiler(layer, args.cr, None)?;
        let spec = *tiler.spec();
        let mut squeeze = engine.load(&tiler.tiler().encoder()?)?;
        let mut restore = engine.load(&tiler.tiler().decoder()?)?;
        let (head, _) = autotiler_graph::partition::split(&model.network, layer)?;
        let mut head = engine.load(&head)?;
        let planes = planes(args, model, layer, args.cr)?;
        let (mut encoder, mut decoder) = codec(args, planes.format)?;
        let target = TargetBits::try_new(8_000)?;
        let mut control = RateControl::try_new(target, None, encoder.floor_bits(), planes.format.len())?;
        let set = args.set.open(&model.manifest.classes)?;
        let mut times = Vec::new();
        for index in 0..set.len().min(PICTURES) {
            let Some(sample) = set.load(index) else { continue };
            let features = head.run(&[input_tensor(&sample.picture, model.network.input)])?;
            let start = Instant::now();
            let plane = squeeze.run(&features)?;
            let plane = plane.first().and_then(Tensor::as_u8).context("the tiler yielded no plane")?;
            let sent = encoder.encode_steered(plane, &mut control)?;
            let plane = decoder.decode_scaled(sent.unit.bytes())?;
            let gain = gain_input_beside_qp([(sent.gain, plane.qp_gain)]);
            restore.run(&[Tensor::u8(spec.plane(), plane.samples), gain])?;
            // The search of the first frame is a start-up cost and not timed.
            if sent.encodes > 1 {
                continue;
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let what = format!("codec path at {}, {} tiler, one core", spec.feature, tiler.kind);
        rows.push(Row::new(what, median(times), "ms", Some(Bound::AtMost(10.0))));
    }
    Ok(rows)
}

/// Mean bits against targets, and frames above a cap.
pub(super) fn rate(args: &Args, model: &Model, layers: &[LayerIndex]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &layer in layers {
        let planes = planes(args, model, layer, args.cr)?;
        for kbit in TARGETS_KBIT {
            let target = TargetBits::try_new(kbit * 1000)?;
            match steer(args, &planes, target, None)? {
                Ok(bits) => {
                    let mean = bits.iter().map(|&b| f64::from(b)).sum::<f64>() / bits.len() as f64;
                    let error = 100.0 * (mean / f64::from(target.get()) - 1.0).abs();
                    let what =
                        format!("layer {layer}, {kbit} kbit: error of the mean over {} frames", bits.len());
                    rows.push(Row::new(what, error, "%", Some(Bound::AtMost(5.0))));
                }
                Err(refusal) => {
                    let most = f64::from(*refusal.reachable_bits.end()) / 1e3;
                    let what = format!("layer {layer}, {kbit} kbit: refused, most that the plane carries");
                    rows.push(Row::new(what, most, "kbit", None));
                }
            }
        }
        let (target, cap) = (TargetBits::try_new(8_000)?, 9_000);
        if let Ok(bits) = steer(args, &planes, target, Some(cap))? {
            let above = bits.iter().filter(|&&b| f64::from(b) > 1.05 * f64::from(cap)).count();
            let what = format!("layer {layer}, 8 kbit with a cap of 9: frames more than 5 % above");
            rows.push(Row::new(what, above as f64, "frames", Some(Bound::AtMost(0.0))));
        }
    }
    Ok(rows)
}

struct Planes {
    format: FrameFormat,
    frames: Vec<Vec<u8>>,
}

fn planes(args: &Args, model: &Model, layer: LayerIndex, cr: CompressionRatio) -> anyhow::Result<Planes> {
    let engine = args.engine.engine()?;
    let mut stage = DeviceStage::new(engine.as_ref(), model, Route::Split { layer, cr }, None)?;
    let format = stage.format().context("a split point has a format")?;
    let set = args.set.open(&model.manifest.classes)?;
    let mut frames = Vec::new();
    for index in 0..set.len().min(PICTURES) {
        if let Some(sample) = set.load(index)
            && let DeviceOutput::Frame(frame) = stage.run(&sample.picture)?
        {
            frames.push(frame);
        }
    }
    anyhow::ensure!(!frames.is_empty(), "the set has no usable picture");
    Ok(Planes { format, frames })
}

fn codec(args: &Args, format: FrameFormat) -> anyhow::Result<(Encoder, Decoder)> {
    let encoder = Encoder::spawn(format, args.codec.encoder())?;
    let decoder = Decoder::spawn(format, encoder.parameter_sets().clone(), args.codec.decoder())?;
    Ok((encoder, decoder))
}

/// Bits of each frame under control, or the refusal.
fn steer(
    args: &Args,
    planes: &Planes,
    target: TargetBits,
    cap: Option<u32>,
) -> anyhow::Result<Result<Vec<u32>, OutOfReach>> {
    let mut encoder = Encoder::spawn(planes.format, args.codec.encoder())?;
    let mut control = match RateControl::try_new(target, cap, encoder.floor_bits(), planes.format.len()) {
        Ok(control) => control,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut bits = Vec::new();
    for plane in planes.frames.iter().cycle().take(RATE_FRAMES) {
        bits.push(encoder.encode_steered(plane, &mut control)?.unit.bits());
        if let Some(refusal) = control.out_of_reach() {
            return Ok(Err(refusal));
        }
    }
    Ok(Ok(bits))
}

//! The contact sheet: a few frames, what each point found in them, and the planes that were sent.

use autotiler_core::{Detection, Route};
use autotiler_graph::Engine;
use autotiler_model::Model;
use autotiler_pipeline::{DeviceOutput, DeviceStage};
use autotiler_scene::{Picture, draw};

use super::{media::Media, run::FinishedRun};

/// Frames that are shown.
const SHOWN: u32 = 3;
/// Boxes from this score on are drawn.
const DRAWN_SCORE: f32 = 0.3;

/// Draws the sheet: a row for each point, annotated picture and plane by turns.
pub(crate) fn draw(
    model: &Model,
    engine: &dyn Engine,
    media: &Media,
    runs: &[FinishedRun],
) -> anyhow::Result<Picture> {
    let mut tiles = Vec::new();
    let step = (media.frames() / SHOWN).max(1);
    for run in runs {
        let mut stage = DeviceStage::new(engine, model, run.point.route, None)?;
        for sequence in (0..media.frames()).step_by(step as usize).take(SHOWN as usize) {
            let Some(picture) = media.picture(sequence)? else { continue };
            let frame = run.frames.iter().find(|frame| frame.sequence == sequence);
            let found = frame.and_then(|frame| frame.detections.as_deref()).unwrap_or_default();
            tiles.push((annotated(&picture, found, model), format!("{}\nframe {sequence}", run.point)));
            tiles.push((sent(&mut stage, run, &picture, model)?, what_is_sent(run)));
        }
    }
    Ok(draw::sheet(&tiles, 2 * SHOWN as usize))
}

fn annotated(picture: &Picture, found: &[Detection], model: &Model) -> Picture {
    let input = model.network.input;
    let mut picture = picture.resize(input.w, input.h);
    let shown: Vec<_> = found.iter().filter(|d| d.score >= DRAWN_SCORE).copied().collect();
    draw::detections(&mut picture, &shown, &model.manifest.classes);
    picture
}

/// What leaves the device, before the codec.
fn sent(
    stage: &mut DeviceStage,
    run: &FinishedRun,
    picture: &Picture,
    model: &Model,
) -> anyhow::Result<Picture> {
    let input = model.network.input;
    match (stage.run(picture)?, stage.format(), run.point.route) {
        (DeviceOutput::Frame(plane), Some(format), Route::Split { .. }) => {
            Ok(Picture::from_grey(format.width() as usize, format.height() as usize, &plane)?)
        }
        (DeviceOutput::Frame(samples), ..) => Ok(Picture::from_yuv420(input.w, input.h, &samples)?),
        (DeviceOutput::Heads(_), ..) => Ok(Picture::filled(input.w, input.h, [24, 24, 24])),
    }
}

fn what_is_sent(run: &FinishedRun) -> String {
    match run.point.route {
        Route::Split { .. } => format!("tiled plane\n{:.1} kbit/frame", run.report.kbit_per_frame),
        Route::ServerOnly => format!("the picture\n{:.1} kbit/frame", run.report.kbit_per_frame),
        Route::DeviceOnly => "nothing is sent".to_owned(),
    }
}

//! `summary.json` and the table.

use std::{collections::BTreeMap, path::Path};

use autotiler_core::{Route, average_precision::Scorer};
use autotiler_model::Model;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use super::{
    media::Media,
    run::{FinishedRun, Percentiles},
    steer::Steering,
};

/// All that a demo found.
#[derive(Serialize)]
pub(crate) struct Summary {
    model: String,
    network: String,
    source: String,
    truth: &'static str,
    frames: u32,
    points: Vec<PointRow>,
    /// Of the second part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steering: Option<Steering>,
}

#[derive(Serialize)]
struct PointRow {
    point: String,
    tiler: Option<String>,
    kbit_per_frame: f64,
    map50: f64,
    map50_uncut: f64,
    total_ms: Percentiles,
    device_ms: Percentiles,
    transfer_ms: Percentiles,
    server_ms: Percentiles,
    wait_ms: Percentiles,
    captured: u64,
    sent: u64,
    received: u64,
    dropped: BTreeMap<String, u64>,
    lost: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_reach: Option<String>,
}

impl Summary {
    /// Of a demo that has shown nothing yet.
    pub(crate) fn new(model: &Model) -> Self {
        let (name, network) = (model.manifest.name.clone(), model.manifest.digest.to_string());
        let (source, truth) = (String::new(), "annotations");
        Self { model: name, network, source, truth, frames: 0, points: Vec::new(), steering: None }
    }

    /// Takes in what was found at each point.
    pub(crate) fn take_points(&mut self, model: &Model, media: &Media, runs: &[FinishedRun], frames: u32) {
        let uncut = runs.iter().find(|run| run.point.route == Route::DeviceOnly);
        let map50_uncut = uncut.map_or(0.0, |run| map50(model, media, run));
        let row = |run: &FinishedRun| {
            let tiler = match run.point.route {
                Route::Split { layer, cr } => model.tiler(layer, cr, None).ok().map(|t| t.kind.to_string()),
                _ => None,
            };
            let report = run.report.clone();
            PointRow {
                point: run.point.to_string(),
                tiler,
                kbit_per_frame: report.kbit_per_frame,
                map50: map50(model, media, run),
                map50_uncut,
                total_ms: report.total_ms,
                device_ms: report.device_ms,
                transfer_ms: report.transfer_ms,
                server_ms: report.server_ms,
                wait_ms: report.wait_ms,
                captured: report.captured,
                sent: report.sent,
                received: report.received,
                dropped: report.dropped,
                lost: report.lost,
                out_of_reach: report.out_of_reach,
            }
        };
        self.source = media.source();
        self.truth = media.truth_is();
        self.frames = frames.min(media.frames());
        self.points = runs.iter().map(row).collect();
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(autotiler_model::files::write(path, serde_json::to_string_pretty(self)?.as_bytes())?)
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
            "point",
            "tiler",
            "kbit/frame",
            "mAP@0.5",
            "uncut",
            "device ms",
            "transfer",
            "server",
            "total",
            "sent",
            "received",
            "lost",
        ]);
        let pair = |p: &Percentiles| format!("{:.1} / {:.1}", p.p50, p.p95);
        for row in &self.points {
            let losses = row.lost.iter().chain(&row.dropped).map(|(reason, n)| format!("{n} {reason}"));
            let losses: Vec<_> = losses.collect();
            table.add_row([
                row.point.clone(),
                row.tiler.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{:.2}", row.kbit_per_frame),
                format!("{:.3}", row.map50),
                format!("{:.3}", row.map50_uncut),
                pair(&row.device_ms),
                pair(&row.transfer_ms),
                pair(&row.server_ms),
                pair(&row.total_ms),
                row.sent.to_string(),
                row.received.to_string(),
                if losses.is_empty() { "0".to_owned() } else { losses.join(", ") },
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// The mean AP of a run over all frames: a lost frame found nothing.
fn map50(model: &Model, media: &Media, run: &FinishedRun) -> f64 {
    let mut scorer = Scorer::new(model.manifest.classes.len());
    let found: BTreeMap<u32, _> =
        run.frames.iter().map(|f| (f.sequence, f.detections.as_deref().unwrap_or_default())).collect();
    for sequence in 0..media.frames() {
        if let Some(truth) = media.truth(sequence) {
            scorer.add(found.get(&sequence).copied().unwrap_or_default(), truth);
        }
    }
    scorer.score().map50
}

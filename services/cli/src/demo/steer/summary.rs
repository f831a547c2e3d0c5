//! `steering` of `summary.json`, and its table.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use super::{figures::Figures, setting::Setting};

/// All that the second part found.
#[derive(Debug, Serialize)]
pub(crate) struct Steering {
    trace: String,
    trace_s: f64,
    /// How links got their capacity.
    shaped_by: &'static str,
    slowdown: u32,
    frames_per_second: f64,
    profile: String,
    /// The fixed point with the lowest mean effective time on this very trace; none where none was run.
    best_static: Option<String>,
    /// The camera that followed its link first.
    pub(super) runs: Vec<Figures>,
}

impl Steering {
    pub(super) fn new(
        setting: &Setting,
        shaped_by: &'static str,
        profile: &Path,
        runs: Vec<Figures>,
    ) -> Self {
        let fixed = runs.iter().filter(|run| run.point.is_some());
        let best = fixed.min_by(|a, b| a.effective_ms.mean.total_cmp(&b.effective_ms.mean));
        Self {
            trace: setting.trace.name().to_owned(),
            trace_s: setting.trace.length_s(),
            shaped_by,
            slowdown: setting.slowdown,
            frames_per_second: setting.fps,
            profile: profile.display().to_string(),
            best_static: best.map(|best| best.name.clone()),
            runs,
        }
    }

    /// The fixed point that was best in hindsight.
    pub(super) fn best_static(&self) -> Option<&Figures> {
        self.runs.iter().find(|run| Some(&run.name) == self.best_static.as_ref())
    }

    /// What stands over the figures.
    pub(crate) fn title(&self) -> String {
        format!(
            "link {} ({:.0} s, {}), {} pictures a second, networks {} times slower than on this machine",
            self.trace, self.trace_s, self.shaped_by, self.frames_per_second, self.slowdown
        )
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
            "camera",
            "effective ms: mean",
            "p50",
            "p95",
            "> 1 s",
            "answered p50 / p95",
            "mAP@0.5",
            "sent kB",
            "switches",
            "guard moves",
            "dropped, lost",
        ]);
        for run in &self.runs {
            let best = if Some(&run.name) == self.best_static.as_ref() { "\n(best static)" } else { "" };
            let (dropped, lost) = (run.dropped.values().sum::<u64>(), run.lost.values().sum::<u64>());
            table.add_row([
                run.point.as_ref().map_or_else(|| run.name.clone(), |point| format!("{point}{best}")),
                format!("{:.0}", run.effective_ms.mean),
                format!("{:.0}", run.effective_ms.p50),
                format!("{:.0}", run.effective_ms.p95),
                format!("{:.1} %", 100.0 * run.late_share),
                format!("{:.0} / {:.0}", run.total_ms.p50, run.total_ms.p95),
                format!("{:.3}", run.map50),
                format!("{:.0}", run.uplink_kbytes),
                run.switches.to_string(),
                run.guard_moves.to_string(),
                format!("{dropped}, {lost} of {}", run.captured),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// The end of it in a sentence.
    pub(crate) fn verdict(&self) -> String {
        let Some(follows) = self.runs.first() else { return String::new() };
        let mean = follows.effective_ms.mean;
        let against = |run: &Figures| format!("{:+.0} %", 100.0 * (mean / run.effective_ms.mean - 1.0));
        let mut parts = Vec::new();
        if let Some(best) = self.best_static() {
            parts.push(format!(
                "{} against the best static choice in hindsight ({})",
                against(best),
                best.name
            ));
        }
        if let Some(pictures) = self.runs.iter().find(|run| run.name == "server-only") {
            parts.push(format!("{} against server-only", against(pictures)));
        }
        let measured = follows.capacity_error.map_or_else(String::new, |error| {
            format!("; capacity measured within {:.0} % of the link's (median)", 100.0 * error)
        });
        format!("mean effective time of the camera that follows its link: {}{measured}", parts.join(", "))
    }
}

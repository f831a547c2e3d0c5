//! Shows how a job goes on: two bars, or one JSON object a line.

use autotiler_torch::train::{
    omni::OmniProgress,
    paper::PaperProgress,
    tiler::{Progress, Scored},
    tilers::Event,
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// What is on the screen.
pub(crate) struct Display {
    json: bool,
    bars: MultiProgress,
    points: ProgressBar,
    inner: ProgressBar,
    /// What the inner bar counts.
    counted: String,
    /// Steps of the point, at most.
    steps: u64,
}

impl Display {
    pub(crate) fn new(json: bool) -> Self {
        let bars = MultiProgress::new();
        let points = bars.add(ProgressBar::hidden());
        let inner = bars.add(ProgressBar::hidden());
        Self { json, bars, points, inner, counted: String::new(), steps: 0 }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            if let Ok(line) = serde_json::to_string(event) {
                println!("{line}");
            }
            return;
        }
        match event {
            Event::Planned { points, done } => {
                self.say(&format!("points {}; done already: {}", points.join(" "), or_none(done)));
                self.points = self.bar((points.len() - done.len().min(points.len())) as u64, "points");
            }
            Event::Pictures { set, seen, of } => {
                self.count(&format!("pictures of {set}"), *of as u64);
                self.inner.set_position(*seen as u64);
            }
            Event::Skipped { reason } => self.say(&format!("skipped: {reason}")),
            Event::Point { point, number, of, steps } => {
                self.points.set_position(*number as u64 - 1);
                self.say(&format!("point {point}, {number} of {of}"));
                self.steps = *steps;
            }
            Event::Training { point, progress } => self.train(point, progress),
            Event::Paper { progress } => self.paper(progress),
            Event::Omni { progress } => self.omni(progress),
            Event::Stored { point, kind, rounding, seconds, .. } => {
                self.points.inc(1);
                let rounding = rounding.map(|r| format!(", divergence {:+.2} % by storing", r * 100.0));
                let rounding = rounding.unwrap_or_default();
                self.say(&format!("stored {kind} for {point} after {seconds:.0} s{rounding}"));
            }
            Event::Done { card, .. } => self.say(&format!("done; see {}", card.display())),
        }
    }

    pub(crate) fn finish(&self) {
        self.inner.finish_and_clear();
        self.points.finish_and_clear();
    }

    fn train(&mut self, point: &str, progress: &Progress) {
        match progress {
            Progress::Importance { step, of, loss } => {
                self.count("steps of what the device learns", *of);
                self.inner.set_position(*step);
                if step == of {
                    self.say(&format!(
                        "the device has learned where the detector is sensitive: loss {loss:.3}"
                    ));
                }
            }
            Progress::Step { step, divergence, bits, .. } => {
                self.count(&format!("steps of {point}"), self.steps);
                self.inner.set_position(*step);
                self.inner.set_message(format!("divergence {divergence:.1} at {:.1} kbit", bits / 1e3));
            }
            Progress::Validated { step, points, score, best } => {
                let of = |p: &Scored| format!("{:.1} kbit {:.1}", p.bits / 1e3, p.divergence);
                let points = points.iter().map(of).collect::<Vec<_>>().join(", ");
                let mark = if *best { ", best so far" } else { "" };
                let change = (score.exp() - 1.0) * 100.0;
                self.say(&format!(
                    "step {step}: divergence at equal bits {change:+.1} % of the start's ({points}){mark}"
                ));
            }
        }
    }

    fn paper(&mut self, progress: &PaperProgress) {
        match progress {
            PaperProgress::Pictures { purpose, seen, of } => {
                self.count(&format!("pictures to {purpose}"), *of as u64);
                self.inner.set_position(*seen as u64);
            }
            PaperProgress::Run { run, number, of } => {
                if *number == 1 {
                    self.points.finish_and_clear();
                    self.points = self.bar(*of as u64, "runs");
                }
                self.points.set_position(*number as u64 - 1);
                self.say(&format!("run {run}, {number} of {of}"));
            }
            PaperProgress::Step { run, epoch, step, of, error } => {
                self.count(&format!("steps of {run}, epoch {epoch}"), *of as u64);
                self.inner.set_position(*step as u64);
                self.inner.set_message(format!("error {error:.4}"));
            }
            PaperProgress::Epoch { score, best, .. } => {
                let mark = if *best { ", best so far" } else { "" };
                self.say(&format!("epoch {}: validation error {:.4}{mark}", score.epoch, score.validation));
            }
            PaperProgress::Finished { run, error, read } => {
                let how = if *read { "done already" } else { "done" };
                self.say(&format!("run {run} {how}: validation error {error:.4}"));
            }
        }
    }

    fn omni(&mut self, progress: &OmniProgress) {
        match progress {
            OmniProgress::Step { step, divergence, feature_error } => {
                self.count("steps of the restorer", 0);
                self.inner.set_position(*step);
                self.inner
                    .set_message(format!("divergence {divergence:.3}, feature error {feature_error:.3}"));
            }
            OmniProgress::Validated { step, subjects, score, best } => {
                let change = |score: f64| format!("{:+.1} %", (score.exp() - 1.0) * 100.0);
                let mark = if *best { ", best so far" } else { "" };
                let each: Vec<String> =
                    subjects.iter().map(|s| format!("{} {}", s.subject, change(s.score))).collect();
                self.say(&format!(
                    "step {step}: divergence at equal bits {} of that without the restorer ({}){mark}",
                    change(*score),
                    each.join(", ")
                ));
            }
        }
    }

    /// A line above the bars, also where there is no terminal to draw bars on.
    fn say(&self, line: &str) {
        if self.bars.println(line).is_err() || self.bars.is_hidden() {
            println!("{line}");
        }
    }

    fn count(&mut self, what: &str, len: u64) {
        if self.counted != what {
            self.inner.finish_and_clear();
            self.inner = self.bar(len, what);
            what.clone_into(&mut self.counted);
        }
    }

    fn bar(&self, len: u64, what: &str) -> ProgressBar {
        let style = format!("{{elapsed_precise}} {{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left  {{msg}}");
        let style = ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bars.add(ProgressBar::new(len).with_style(style))
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

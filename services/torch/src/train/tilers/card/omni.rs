//! Card and curves of `omni`.

use std::fmt::Write as _;

use autotiler_plot::LineChart;

use super::{Card, OmniDone, StoredOmni, improvement, percent};

/// What became of the restorer, and the tilers with it.
pub(in crate::train::tilers) fn card(stored: &[StoredOmni], done: Option<&OmniDone>) -> Card {
    let mut text =
        "Transforms fitted to generated pictures, with the restorer that all maps of all networks share.\n"
            .to_owned();
    let mut csv = "step,subject,unseen,gain,bits,divergence,feature_error,score,best\n".to_owned();
    match done {
        None => text += "The restorer is the one that comes with the program; nothing was trained.\n\n",
        Some(done) => restorer(&mut text, done),
    }
    text += "| layer | compression ratio | encoder bytes | encoder MMAC | digest |\n| --- | --- | --- | --- | --- |\n";
    for StoredOmni { point, digest, encoder_bytes, encoder_macs } in stored {
        let macs = *encoder_macs as f64 / 1e6;
        let digest = digest.get(..12).unwrap_or(digest);
        let _ =
            writeln!(text, "| {} | {} | {encoder_bytes} | {macs:.2} | `{digest}` |", point.layer, point.cr);
    }
    for v in done.into_iter().flat_map(|done| &done.curve) {
        for subject in &v.subjects {
            for p in &subject.points {
                let _ = writeln!(
                    csv,
                    "{},{},{},{},{:.1},{:.4},{:.6},{:.5},{}",
                    v.step,
                    subject.subject,
                    subject.unseen,
                    p.gain.0,
                    p.bits,
                    p.divergence,
                    p.feature_error,
                    subject.score,
                    v.best
                );
            }
        }
    }
    let chart = done.and_then(chart);
    Card { text, csv, charts: chart.map(|chart| (None, chart)).into_iter().collect() }
}

/// What each validation said of each subject.
fn chart(done: &OmniDone) -> Option<LineChart> {
    let subjects = done.curve.first().map_or(&[][..], |first| &first.subjects);
    let curve = |(at, subject): (usize, &crate::train::omni::SubjectScore)| {
        let of = |v: &super::OmniValidation| Some((v.step as f64, percent(v.subjects.get(at)?.score)));
        let seen = if subject.unseen { " (never learned from)" } else { "" };
        (format!("{}{seen}", subject.subject), done.curve.iter().filter_map(of).collect())
    };
    improvement("that without the restorer", subjects.iter().enumerate().map(curve))
}

/// What the restorer does for each subject.
fn restorer(card: &mut String, done: &OmniDone) {
    let Some(best) = done.curve.iter().rfind(|v| v.best) else { return };
    let (digest, seconds) = (done.restorer.get(..12).unwrap_or(&done.restorer), done.seconds);
    let _ = writeln!(
        card,
        "The restorer `{digest}` was trained for {seconds:.0} s; best of {} validations: step {}. Divergence at\n\
         equal bits against the same tiler without a restorer:\n",
        done.curve.len(),
        best.step
    );
    card.push_str("| subject | learned from | divergence |\n| --- | --- | --- |\n");
    for subject in &best.subjects {
        let (learned, change) = (if subject.unseen { "no" } else { "yes" }, percent(subject.score));
        let _ = writeln!(card, "| {} | {learned} | {change:+.1} % |", subject.subject);
    }
    card.push('\n');
}

//! Card and curves of `lite`.

use std::fmt::Write as _;

use super::{Card, Done, improvement, mean_change, percent};
use crate::train::tiler::trial::Paired;

/// What became of all finished points.
pub(in crate::train::tilers) fn card(done: &[Done]) -> Card {
    let mut text =
        "Divergence: how far the detector's raw heads are from those of the uncompressed feature map, nats\n\
         a picture, mean over the validation pictures; bits: mean slice bits of a plane. `start` is the\n\
         transform (`klt`) with what the device learned of the detector's sensitivity and the shared restorer, before\n\
         the server learned; `stored` the weights as they lie on disk.\n\n"
            .to_owned();
    for point in done {
        section(&mut text, point);
    }
    let curve = |point: &Done| {
        let scores = point.curve.iter().map(|v| (v.step as f64, percent(v.score))).collect();
        let (layer, cr) = point.point.split_once(':').unwrap_or((&point.point, ""));
        (format!("layer {layer}, CR {cr}"), scores)
    };
    let chart = improvement("the start's", done.iter().map(curve));
    Card { text, csv: csv(done), charts: chart.map(|chart| (None, chart)).into_iter().collect() }
}

fn section(card: &mut String, done: &Done) {
    let Done { point, stored, bytes: (whole, encoder), pictures, skipped, seconds, .. } = done;
    let (layer, cr) = point.split_once(':').unwrap_or((point, ""));
    let _ = writeln!(card, "## Layer {layer}, compression ratio {cr}\n");
    let _ = writeln!(
        card,
        "Learned from {} pictures, validated with {}; {skipped} could not be read. {seconds:.0} s. File of \
         {whole} bytes, {encoder} of them for the device. Digest `{stored}`.\n",
        pictures.0, pictures.1
    );
    let (Some(start), Some(best)) = (done.curve.first(), done.curve.iter().rfind(|v| v.best)) else { return };
    let change = percent(best.score);
    let (stored, error) = mean_change(&done.pairs);
    let _ = writeln!(
        card,
        "Best of {} validations: step {}, divergence at equal bits {change:+.1} % of the start's. Stored weights\n\
         against the same in 32 bits, picture by picture: divergence {:+.2} ± {:.2} % in the mean over the gains.\n",
        done.curve.len(),
        best.step,
        stored * 100.0,
        error * 100.0
    );
    card.push_str("| gain | start bits | divergence | stored bits | divergence | of which by storing |\n");
    card.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (from, pair) in start.points.iter().zip(&done.pairs) {
        let Paired { second, change, error, .. } = pair;
        let _ = writeln!(
            card,
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:+.2} ± {:.2} % |",
            from.gain.0,
            from.bits,
            from.divergence,
            second.bits,
            second.divergence,
            change * 100.0,
            error * 100.0
        );
    }
    card.push('\n');
}

/// All validations, one line for each gain.
fn csv(done: &[Done]) -> String {
    let mut text = "layer,cr,step,gain,bits,divergence,feature_error,score,best\n".to_owned();
    for point in done {
        let (layer, cr) = point.point.split_once(':').unwrap_or((&point.point, ""));
        for v in &point.curve {
            for p in &v.points {
                let _ = writeln!(
                    text,
                    "{layer},{cr},{},{},{:.1},{:.4},{:.6},{:.5},{}",
                    v.step, p.gain.0, p.bits, p.divergence, p.feature_error, v.score, v.best
                );
            }
        }
    }
    text
}

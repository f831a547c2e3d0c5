//! What is written beside the tilers: a card for people, and the training curves as CSV.

use std::{fmt::Write as _, path::{Path, PathBuf}};

use super::{Done, JobError};
use crate::train::{checkpoint::replace_file, recipe::RecipeFile, tiler::Scored};

/// Writes both into `tilers/` of the model; returns their paths.
///
/// # Errors
/// [`JobError::File`].
pub fn write(
    model_dir: &Path,
    network: &str,
    recipe: &RecipeFile,
    done: &[Done],
) -> Result<(PathBuf, PathBuf), JobError> {
    let folder = model_dir.join("tilers");
    let card = folder.join(format!("CARD-{}.md", recipe.preset));
    let curves = folder.join(format!("CURVES-{}.csv", recipe.preset));
    replace_file(&card, text(network, recipe, done).as_bytes())?;
    replace_file(&curves, csv(done).as_bytes())?;
    Ok((card, curves))
}

/// The card.
fn text(network: &str, recipe: &RecipeFile, done: &[Done]) -> String {
    let mut card = format!("# Tilers of {network}: {}\n\n", recipe.preset);
    card += "Divergence: how far the detector's raw heads are from those of the uncompressed feature map, nats a\n\
             picture, mean over the validation pictures; bits: mean slice bits of a plane. `start` is the\n\
             untrained transform (`klt`), `stored` the weights as they lie on disk.\n\n";
    for point in done {
        section(&mut card, point);
    }
    card += "## Recipe\n\n```yaml\n";
    card += &serde_yaml::to_string(recipe).unwrap_or_default();
    card += "```\n";
    card
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
    let change = (best.score.exp() - 1.0) * 100.0;
    let rounding = rounding(&best.points, &done.read_back) * 100.0;
    let _ = writeln!(
        card,
        "Best of {} validations: step {}, divergence at equal bits {change:+.1} % of the start's. Storing \
         changed the divergence by {rounding:+.2} %.\n",
        done.curve.len(),
        best.step
    );
    card.push_str("| gain | start bits | divergence | trained bits | divergence | stored bits | divergence |\n");
    card.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for (index, from) in start.points.iter().enumerate() {
        let cells = |point: Option<&Scored>| {
            point.map_or_else(|| " | ".to_owned(), |p| format!("{:.0} | {:.2}", p.bits, p.divergence))
        };
        let (to, read) = (best.points.get(index), done.read_back.get(index));
        let _ = writeln!(card, "| {} | {} | {} | {} |", from.gain.0, cells(Some(from)), cells(to), cells(read));
    }
    card.push('\n');
}

/// Mean change of the divergence by storing, as a share.
pub fn rounding(trained: &[Scored], stored: &[Scored]) -> f64 {
    let shares = trained.iter().zip(stored).map(|(a, b)| b.divergence / a.divergence.max(1e-9) - 1.0);
    shares.sum::<f64>() / trained.len().min(stored.len()).max(1) as f64
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

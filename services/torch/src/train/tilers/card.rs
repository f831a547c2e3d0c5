//! What is written beside the tilers: a card for people, and the training curves as CSV.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{
    Done, JobError,
    omni::{OmniDone, StoredOmni},
    paper::PaperDone,
};
use crate::train::{
    checkpoint::replace_file,
    paper::PaperRecipe,
    recipe::{RecipeFile, TilerPreset},
    tiler::trial::Paired,
};

/// Writes both into `tilers/` of the model; returns their paths.
///
/// # Errors
/// [`JobError::File`].
pub(super) fn write(
    model_dir: &Path,
    preset: TilerPreset,
    text: &str,
    csv: &str,
) -> Result<(PathBuf, PathBuf), JobError> {
    let folder = model_dir.join("tilers");
    let card = folder.join(format!("CARD-{preset}.md"));
    let curves = folder.join(format!("CURVES-{preset}.csv"));
    replace_file(&card, text.as_bytes())?;
    replace_file(&curves, csv.as_bytes())?;
    Ok((card, curves))
}

fn title(network: &str, preset: TilerPreset) -> String {
    format!("# Tilers of {network}: {preset}\n\n")
}

fn ending(card: &mut String, recipe: &RecipeFile) {
    let _ = write!(card, "## Recipe\n\n```yaml\n{}```\n", recipe.to_yaml());
}

/// Card and curves of `lite`.
pub(super) fn lite(network: &str, recipe: &RecipeFile, done: &[Done]) -> (String, String) {
    let mut card = title(network, recipe.preset);
    card += "Divergence: how far the detector's raw heads are from those of the uncompressed feature map, nats a\n\
             picture, mean over the validation pictures; bits: mean slice bits of a plane. `start` is the\n\
             untrained transform (`klt`), `stored` the weights as they lie on disk.\n\n";
    for point in done {
        section(&mut card, point);
    }
    ending(&mut card, recipe);
    (card, csv(done))
}

/// Card and curves of `paper`.
pub(super) fn paper(
    network: &str,
    recipe: &RecipeFile,
    paper: &PaperRecipe,
    done: &PaperDone,
) -> (String, String) {
    let mut card = title(network, recipe.preset);
    let PaperDone { skipped, seconds, curves, tilers, .. } = done;
    let _ = writeln!(
        card,
        "A reconstruction of the paper's tilers, trained for the feature map alone. Error: mean squared error on\n\
         the validation pictures in shares of the variance of the point's feature map, planes rounded to bytes,\n\
         no codec. Points {:?}; {} runs of {} epochs at most; {skipped} pictures could not be read; {seconds:.0}\n\
         s.\n",
        paper.points,
        curves.len(),
        paper.epochs
    );
    card += "| tiler | layer | compression ratio | error | encoder bytes | encoder MMAC | digest |\n";
    card += "| --- | --- | --- | --- | --- | --- | --- |\n";
    for tiler in tilers {
        let (layer, cr) = tiler.point.split_once(':').unwrap_or((&tiler.point, ""));
        let (bytes, macs) = (tiler.encoder_bytes, tiler.encoder_macs as f64 / 1e6);
        let digest = tiler.digest.get(..12).unwrap_or(&tiler.digest);
        let _ = writeln!(
            card,
            "| {} | {layer} | {cr} | {:.4} | {bytes} | {macs:.2} | `{digest}` |",
            tiler.kind, tiler.error
        );
    }
    card.push('\n');
    ending(&mut card, recipe);
    let mut csv = "run,epoch,training_error,validation_error\n".to_owned();
    for curve in curves {
        for score in &curve.scores {
            let training = score.training.map_or_else(String::new, |error| format!("{error:.6}"));
            let _ = writeln!(csv, "{},{},{training},{:.6}", curve.run, score.epoch, score.validation);
        }
    }
    (card, csv)
}

/// Card and curves of `omni`.
pub(super) fn omni(
    network: &str,
    recipe: &RecipeFile,
    stored: &[StoredOmni],
    done: Option<&OmniDone>,
) -> (String, String) {
    let mut card = title(network, recipe.preset);
    card +=
        "Transforms fitted to generated pictures, with the restorer that all maps of all networks share.\n";
    let mut csv = "step,subject,unseen,gain,bits,divergence,feature_error,score,best\n".to_owned();
    match done {
        None => card += "The restorer is the one that comes with the program; nothing was trained.\n\n",
        Some(done) => restorer(&mut card, done),
    }
    card += "| layer | compression ratio | encoder bytes | encoder MMAC | digest |\n| --- | --- | --- | --- | --- |\n";
    for StoredOmni { point, digest, encoder_bytes, encoder_macs } in stored {
        let macs = *encoder_macs as f64 / 1e6;
        let digest = digest.get(..12).unwrap_or(digest);
        let _ =
            writeln!(card, "| {} | {} | {encoder_bytes} | {macs:.2} | `{digest}` |", point.layer, point.cr);
    }
    card.push('\n');
    ending(&mut card, recipe);
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
    (card, csv)
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
        let (learned, change) =
            (if subject.unseen { "no" } else { "yes" }, (subject.score.exp() - 1.0) * 100.0);
        let _ = writeln!(card, "| {} | {learned} | {change:+.1} % |", subject.subject);
    }
    card.push('\n');
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
    let _ = writeln!(
        card,
        "Best of {} validations: step {}, divergence at equal bits {change:+.1} % of the start's. Stored weights\n\
         against the same in 32 bits, picture by picture: divergence {:+.2} % in the mean over the gains.\n",
        done.curve.len(),
        best.step,
        mean_change(&done.pairs) * 100.0
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

/// Mean over the gains of how storing changed the divergence, as a share.
pub(super) fn mean_change(pairs: &[Paired]) -> f64 {
    pairs.iter().map(|pair| pair.change).sum::<f64>() / pairs.len().max(1) as f64
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

//! REPORT.md: what the paper says beside what is measured here, with every deviation named.

use std::path::Path;

use autotiler_model::files;

use crate::{
    error::EvalError,
    figures::{Extent, Figure, FigureId, MIDDLE_KBIT, RATES_KBIT, Study, Verdict},
    table::markdown,
};

/// A figure, or why there is none.
pub type Made = (FigureId, Result<Figure, String>);

/// Writes the report of `figures` as `file`; `command` is what made them.
///
/// # Errors
/// [`EvalError::File`].
pub fn write(file: &Path, study: &Study<'_>, command: &str, figures: &[Made]) -> Result<(), EvalError> {
    Ok(files::write(file, text(study, command, figures).as_bytes())?)
}

fn text(study: &Study<'_>, command: &str, figures: &[Made]) -> String {
    let mut text = head(study, command);
    text.push_str(&summary(figures));
    for (id, made) in figures {
        text.push_str(&match made {
            Ok(figure) => section(figure),
            Err(why) => format!("\n## {}\n\nNot made: {why}\n", id.title()),
        });
    }
    text.push_str(&deviations());
    text
}

fn head(study: &Study<'_>, command: &str) -> String {
    let (bench, uncut) = (study.bench(), study.uncut());
    let model = &bench.workshop().model.manifest;
    let quick = match study.extent() {
        Extent::Full => "",
        Extent::Quick => " A quick look: few pictures and settings; run it without `--quick` before quoting.",
    };
    format!(
        "# The paper's experiments\n\n\
         Model {} on {}: {} images.{quick} Uncut mAP@0.5: {:.3} as the paper counts (scores above 0.5), {:.3} \
         all-point from 0.005. Figures and claims use the former; the CSV files have both.\n\n    {command}\n",
        model.name,
        bench.set(),
        bench.len(),
        uncut.map50_cut,
        uncut.map50,
    )
}

fn summary(figures: &[Made]) -> String {
    let mut rows = Vec::new();
    let count = |verdict| {
        let claims = figures.iter().filter_map(|(_, made)| made.as_ref().ok()).flat_map(|made| &made.claims);
        claims.filter(|claim| claim.verdict == verdict).count()
    };
    let [holds, fails, untold] = [Verdict::Holds, Verdict::Fails, Verdict::Untold].map(count);
    for (id, made) in figures {
        match made {
            Ok(figure) => {
                for claim in &figure.claims {
                    let cells =
                        [id.to_string(), claim.paper.clone(), claim.here.clone(), claim.verdict.to_string()];
                    rows.push(cells.to_vec());
                }
            }
            Err(why) => {
                rows.push(vec![id.to_string(), "-".to_owned(), format!("not made: {why}"), "-".to_owned()])
            }
        }
    }
    let table = markdown(&["figure", "paper says", "here", "holds?"], &rows).unwrap_or_default();
    format!(
        "\n{holds} statements hold, {fails} do not, {untold} are not told (numbers without an ordering, or nothing \
         to compare). A statement holds when its ordering does at every layer that it is about; its numbers are \
         those of another network.\n\n{table}"
    )
}

fn section(figure: &Figure) -> String {
    let mut text = format!("\n## {}\n", figure.id.title());
    if let Some((first, others)) = figure.plots.split_first() {
        text.push_str(&format!("\n[![{}]({first}.png)]({first}.svg)\n", figure.id));
        if !others.is_empty() {
            let links: Vec<String> = others.iter().map(|stem| format!("[{stem}]({stem}.svg)")).collect();
            text.push_str(&format!("\nMore: {}.\n", links.join(", ")));
        }
    }
    if !figure.notes.is_empty() {
        text.push_str(&format!("\n{}\n", figure.notes.join(" ")));
    }
    let tables: Vec<String> = figure.tables.iter().map(|name| format!("[{name}]({name})")).collect();
    text.push_str(&format!("\nData: {}.\n", tables.join(", ")));
    text
}

fn deviations() -> String {
    let rates = RATES_KBIT.map(|kbit| kbit.to_string()).join(", ");
    format!(
        "\n## Deviations from the paper\n\n\
         - Auto-tilers and autoencoder are a reconstruction consistent with Table 1, not the paper's network, whose \
         layers are given nowhere. Its loss is not stated: mean squared error is assumed, with Adam.\n\
         - Width of the network and epochs of training are what the recipe in `models/recipes` says; each tiler's \
         card has what was done. The paper: YOLOv3-416 at full width, 60 epochs on 16,125 pictures.\n\
         - Rates of {rates} kbit and lossless stand for the paper's 15, 30, 60, 120, 240 kbit and lossless, \
         {MIDDLE_KBIT} for 60: planes are that much smaller here. Figure 14 is at the paper's shapes and 60 kbit.\n\
         - HEVC at fixed QP and gain, each picture by itself, in place of average bit rate over a stream of \
         unrelated pictures; values at a rate are interpolated between measured settings.\n\
         - Effective compression ratio: the base is the feature map at 8 bits, as the paper's numbers imply and its \
         text does not say; other bases are in fig13.csv.\n\
         - Layer 11 has 104x104x128 values; the paper's 108 is a typo, as is its plane of 416x1664.\n\
         - The paper's mAP drops detections that score up to 0.5, which cuts the precision-recall curve short; \
         `map50` in the CSV files is without that cut, `map50_cut` with it.\n\
         - Bits are those of slices; parameter sets travel once, a frame message adds 64 bytes.\n"
    )
}

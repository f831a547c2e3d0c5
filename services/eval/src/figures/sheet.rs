//! What a figure leaves behind: tables, plots, claims and remarks.

use std::path::{Path, PathBuf};

use autotiler_plot::Plot;
use serde::Serialize;

use super::{Claim, FigureError, FigureId, Verdict};
use crate::{error::EvalError, show::write_csv};

/// A figure as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Which it is.
    pub id: FigureId,
    /// Names of the CSV files in its folder.
    pub tables: Vec<String>,
    /// Names of the plots, without `.svg` and `.png`; the first is the figure itself.
    pub plots: Vec<String>,
    /// The paper's statements.
    pub claims: Vec<Claim>,
    /// Sentences on how to read it.
    pub notes: Vec<String>,
}

/// A figure in the making.
pub(super) struct Sheet {
    folder: PathBuf,
    figure: Figure,
}

impl Sheet {
    pub(super) fn new(id: FigureId, folder: &Path) -> Self {
        let figure =
            Figure { id, tables: Vec::new(), plots: Vec::new(), claims: Vec::new(), notes: Vec::new() };
        Self { folder: folder.to_owned(), figure }
    }

    /// Its file name with something added: `fig10` and `-layer4`.
    fn stem(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.figure.id)
    }

    /// Writes `<name><suffix>.csv`.
    pub(super) fn table(
        &mut self,
        suffix: &str,
        rows: impl IntoIterator<Item = impl Serialize>,
    ) -> Result<(), FigureError> {
        let name = format!("{}.csv", self.stem(suffix));
        write_csv(&self.folder.join(&name), rows)?;
        self.figure.tables.push(name);
        Ok(())
    }

    /// Writes `<name><suffix>.svg` and `.png`.
    pub(super) fn plot(&mut self, suffix: &str, plot: impl Into<Plot>) -> Result<(), FigureError> {
        let stem = self.stem(suffix);
        plot.into().save(&self.folder, &stem).map_err(EvalError::from)?;
        self.figure.plots.push(stem);
        Ok(())
    }

    /// Adds a statement of the paper.
    pub(super) fn claim(&mut self, paper: impl Into<String>, here: impl Into<String>, holds: Option<bool>) {
        let claim = Claim { paper: paper.into(), here: here.into(), verdict: Verdict::of(holds) };
        self.figure.claims.push(claim);
    }

    /// Adds a sentence.
    pub(super) fn note(&mut self, sentence: impl Into<String>) {
        self.figure.notes.push(sentence.into());
    }

    pub(super) fn finish(self) -> Figure {
        self.figure
    }
}

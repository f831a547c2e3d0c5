//! The paper's figures and its table, made from one set of measurements: CSV, plots, and what of the paper's
//! statements holds here.
//!
//! Nothing that is compared is typed in: each claim's "here" is computed from the measured curves.

mod accuracy;
mod claim;
mod derived;
mod error;
mod fig10;
mod fig11;
mod fig12;
mod fig13;
mod fig14;
mod fig3;
mod fig4;
mod fig5;
mod fig7;
mod fig9;
mod sheet;
mod study;
mod table1;

use std::{fmt, path::Path};

pub use claim::{Claim, Verdict};
pub use error::FigureError;
pub use sheet::Figure;
pub use study::{Extent, Study};

use sheet::Sheet;

/// Kilobits that stand here for the paper's 15, 30, 60, 120 and 240: its planes have 416x416 or 208x208 samples of
/// 256 maps, those of smaller networks far fewer.
pub const RATES_KBIT: [f64; 5] = [2.0, 4.0, 8.0, 16.0, 32.0];
/// The rate in the place of the paper's 60 kbit.
pub const MIDDLE_KBIT: f64 = 8.0;
/// Share of the uncut mAP down to which the paper calls a ratio effective.
pub const EFFECTIVE_SHARE: f64 = 0.85;
/// The paper's accuracy of figure 12d as a share of its uncut one: 0.6 of 0.72.
pub const WANTED_SHARE: f64 = 0.6 / 0.72;

/// One experiment of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FigureId {
    /// JPEG of ever smaller parts of a picture.
    Fig3,
    /// Likeness of neighbours in planes.
    Fig4,
    /// What planes look like.
    Fig5,
    /// Nominal compression ratio and accuracy.
    Fig7,
    /// Independent against variable auto-tilers.
    Fig9,
    /// Storage.
    Table1,
    /// Structural similarity and rate.
    Fig10,
    /// Accuracy and rate at the deepest point.
    Fig11,
    /// Accuracy at one rate.
    Fig12a,
    /// Bits without loss of the codec.
    Fig12b,
    /// Accuracy without loss of the codec.
    Fig12c,
    /// Bits for one accuracy.
    Fig12d,
    /// Range of effective compression ratios.
    Fig13,
    /// Time of each stage at the paper's shapes.
    Fig14,
}

impl FigureId {
    /// All of them, in the order of the paper.
    pub const ALL: [Self; 14] = [
        Self::Fig3,
        Self::Fig4,
        Self::Fig5,
        Self::Fig7,
        Self::Fig9,
        Self::Table1,
        Self::Fig10,
        Self::Fig11,
        Self::Fig12a,
        Self::Fig12b,
        Self::Fig12c,
        Self::Fig12d,
        Self::Fig13,
        Self::Fig14,
    ];

    /// Its name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fig3 => "fig3",
            Self::Fig4 => "fig4",
            Self::Fig5 => "fig5",
            Self::Fig7 => "fig7",
            Self::Fig9 => "fig9",
            Self::Table1 => "table1",
            Self::Fig10 => "fig10",
            Self::Fig11 => "fig11",
            Self::Fig12a => "fig12a",
            Self::Fig12b => "fig12b",
            Self::Fig12c => "fig12c",
            Self::Fig12d => "fig12d",
            Self::Fig13 => "fig13",
            Self::Fig14 => "fig14",
        }
    }

    /// What it shows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fig3 => "Fig. 3: JPEG compression of ever smaller parts of a picture",
            Self::Fig4 => "Fig. 4: spatial similarity of planes",
            Self::Fig5 => "Fig. 5: a picture and its planes",
            Self::Fig7 => "Fig. 7: nominal compression ratio and accuracy",
            Self::Fig9 => "Fig. 9: independent against variable auto-tilers",
            Self::Table1 => "Table 1: storage of independent and variable auto-tilers",
            Self::Fig10 => "Fig. 10: structural similarity and rate",
            Self::Fig11 => "Fig. 11: accuracy and rate at the deepest point",
            Self::Fig12a => "Fig. 12a: accuracy at one rate",
            Self::Fig12b => "Fig. 12b: bits at lossless coding",
            Self::Fig12c => "Fig. 12c: accuracy at lossless coding",
            Self::Fig12d => "Fig. 12d: bits for one accuracy",
            Self::Fig13 => "Fig. 13: range of effective compression ratios",
            Self::Fig14 => "Fig. 14: time of each stage at the paper's shapes",
        }
    }
}

impl fmt::Display for FigureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes one figure: its files lie in `folder`, which must exist.
///
/// # Errors
/// [`FigureError`]; what was measured before is kept.
pub fn make(id: FigureId, study: &Study<'_>, folder: &Path) -> Result<Figure, FigureError> {
    let mut sheet = Sheet::new(id, folder);
    let draw = match id {
        FigureId::Fig3 => fig3::draw,
        FigureId::Fig4 => fig4::draw,
        FigureId::Fig5 => fig5::draw,
        FigureId::Fig7 => fig7::draw,
        FigureId::Fig9 => fig9::draw,
        FigureId::Table1 => table1::draw,
        FigureId::Fig10 => fig10::draw,
        FigureId::Fig11 => fig11::draw,
        FigureId::Fig12a => fig12::draw_accuracy_at_rate,
        FigureId::Fig12b => fig12::draw_lossless_bits,
        FigureId::Fig12c => fig12::draw_lossless_accuracy,
        FigureId::Fig12d => fig12::draw_bits_for_accuracy,
        FigureId::Fig13 => fig13::draw,
        FigureId::Fig14 => fig14::draw,
    };
    draw(study, &mut sheet)?;
    Ok(sheet.finish())
}

#[cfg(test)]
mod tests;

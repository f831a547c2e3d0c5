//! Accuracy in both metrics.

use autotiler_core::average_precision::{Matched, PAPER_LEAST_SCORE, Ranking, UNCUT};

/// Mean average precision at IoU 0.5, as share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Accuracy {
    /// All-point, of scores from 0.005: the usual one.
    pub map50: f64,
    /// As the paper counts: without scores up to 0.5. What figures and claims are about.
    pub map50_cut: f64,
}

impl Accuracy {
    /// The accuracy of all pictures together.
    pub(super) fn of<'m>(pictures: impl IntoIterator<Item = &'m Matched>, classes: usize) -> Self {
        let ranking = Ranking::new(pictures, classes);
        Self {
            map50: ranking.score_once(UNCUT).map50,
            map50_cut: ranking.score_once(PAPER_LEAST_SCORE).map50,
        }
    }
}

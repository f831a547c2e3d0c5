//! What a validation says, and how two of them compare.

use autotiler_core::Gain;
use serde::{Deserialize, Serialize};

/// One gain of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The gain, as the header carries it.
    pub gain: Gain,
    /// Mean bits of a plane.
    pub bits: f64,
    /// Mean divergence of a picture, nats.
    pub divergence: f64,
    /// Squared error of the feature map in shares of its variance.
    pub feature_error: f64,
}

/// Weight of each picture in the loss: the divergence of the untrained start at its gain, turned over and
/// scaled to 1 in the middle of the range. Without it the coarsest gains, whose divergence is ten times that
/// of the finest, would be all that is learned.
pub(super) fn emphasis(gains: &[Gain], start: &[Scored]) -> Vec<f32> {
    let mut curve: Vec<(f64, f64)> =
        start.iter().map(|p| (f64::from(p.gain.0), p.divergence.max(1e-9).ln())).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = curve.iter().map(|p| p.1).sum::<f64>() / curve.len().max(1) as f64;
    gains.iter().map(|gain| (middle - interpolate(&curve, f64::from(gain.0))).exp() as f32).collect()
}

/// The straight line through the points next to `x`, ordered by their first value; extended beyond the ends.
pub(in crate::train) fn interpolate(curve: &[(f64, f64)], x: f64) -> f64 {
    match curve {
        [] => 0.0,
        [only] => only.1,
        many => {
            let last = many.len() - 2;
            let i = many.windows(2).position(|pair| x < pair[1].0).unwrap_or(last);
            let ((x0, y0), (x1, y1)) = (many[i], many[i + 1]);
            y0 + (y1 - y0) * (x - x0) / (x1 - x0).max(1e-9)
        }
    }
}

/// Mean logarithm of the divergence against that of the untrained start at the same bits (interpolated in
/// logarithms, extended beyond its ends): below 0 is better than the start.
pub fn relative_score(points: &[Scored], start: &[Scored]) -> f64 {
    let mut curve: Vec<(f64, f64)> =
        start.iter().map(|p| (p.bits.max(1.0).ln(), p.divergence.max(1e-9).ln())).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let scores =
        points.iter().map(|p| p.divergence.max(1e-9).ln() - interpolate(&curve, p.bits.max(1.0).ln()));
    scores.sum::<f64>() / points.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bits: f64, divergence: f64) -> Scored {
        Scored { gain: Gain(0), bits, divergence, feature_error: 0.0 }
    }

    #[test]
    fn fine_gains_weigh_more_as_their_divergence_is_less() {
        let at = |gain, divergence| Scored { gain: Gain(gain), ..point(1.0, divergence) };
        let found = emphasis(&[Gain(10), Gain(20), Gain(30), Gain(40)], &[at(30, 40.0), at(10, 10.0)]);
        for (found, expected) in found.iter().zip([2.0, 1.0, 0.5, 0.25]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn the_start_scores_zero_against_itself_and_half_the_divergence_less() {
        let start = [point(1000.0, 40.0), point(4000.0, 10.0)];
        assert!(relative_score(&start, &start).abs() < 1e-9);
        let better = [point(2000.0, 10.0)];
        assert!((relative_score(&better, &start) - 0.5f64.ln()).abs() < 1e-9);
    }
}

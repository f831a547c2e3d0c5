//! Rate-accuracy curves, and the numbers that are read off them.
//!
//! Between measured points a curve is straight over the logarithm of the bits; beyond them nothing is claimed.
//! Accuracy measured on some hundred pictures is not monotone, so questions are answered from the envelope: at
//! each rate the best that was reached with at most so many bits.

mod line;

use serde::{Deserialize, Serialize};

use line::Line;

/// What one setting of a method costs and is worth, on average per picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Bits that travel, in thousands.
    pub kbit: f64,
    /// Mean average precision at IoU 0.5, all-point, without a cut of scores.
    pub map50: f64,
    /// The same as the paper counts it: objectness of at least 0.5.
    pub map50_cut: f64,
    /// Divergence of the raw heads from those without compression, nats.
    pub kl: f64,
}

/// The measured points of a method at one partition point, by rising bits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// The points.
    pub points: Vec<CurvePoint>,
}

/// What a curve says of the bits for an accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// Even the cheapest point is better: so many kilobits or fewer.
    Below {
        /// Kilobits of the cheapest point.
        kbit: f64,
    },
    /// So many kilobits.
    At {
        /// Kilobits.
        kbit: f64,
    },
    /// No measured point is that good.
    Never,
}

/// Bits from the least that is good enough to the least that gives the method's best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectiveRange {
    /// Least kilobits that keep the wanted share.
    pub least_kbit: f64,
    /// Kilobits of the highest mAP.
    pub most_kbit: f64,
    /// Whether even the cheapest point keeps the share, so that `least_kbit` is where measuring stopped.
    pub is_open: bool,
}

impl Curve {
    /// A curve through `points`, in any order. What costs no bits or is not finite is left out.
    pub fn new(points: impl IntoIterator<Item = CurvePoint>) -> Self {
        let is_point = |p: &CurvePoint| {
            p.kbit > 0.0 && [p.kbit, p.map50, p.map50_cut, p.kl].iter().all(|value| value.is_finite())
        };
        let mut points: Vec<CurvePoint> = points.into_iter().filter(is_point).collect();
        points.sort_by(|a, b| a.kbit.total_cmp(&b.kbit));
        Self { points }
    }

    /// The points of several curves that no other beats in both bits and mAP: what one gets who may choose among
    /// the methods at each rate.
    pub fn envelope<'a>(curves: impl IntoIterator<Item = &'a Self>) -> Self {
        let all = Self::new(curves.into_iter().flat_map(|curve| curve.points.iter().copied()));
        let mut best = f64::NEG_INFINITY;
        let rises = |point: &CurvePoint| {
            let is_better = point.map50 > best;
            best = best.max(point.map50);
            is_better
        };
        Self { points: all.points.into_iter().filter(rises).collect() }
    }

    /// The curve whose mAP is the paper's, with the cut of scores.
    pub fn as_paper_counts(&self) -> Self {
        let points = self.points.iter().map(|point| CurvePoint { map50: point.map50_cut, ..*point });
        Self { points: points.collect() }
    }

    /// The highest mAP of any point.
    pub fn best_map(&self) -> Option<f64> {
        self.points.iter().map(|point| point.map50).reduce(f64::max)
    }

    /// What the curve says of the bits for a mAP of `map50`.
    pub fn reach(&self, map50: f64) -> Reach {
        reach(&self.log_line(), map50, f64::exp)
    }

    /// Kilobits for a mAP of `map50`, such as a share of the uncut one; none where [`Reach`] is not `At`.
    pub fn kbit_at(&self, map50: f64) -> Option<f64> {
        self.reach(map50).kbit()
    }

    /// As [`Self::kbit_at`], but straight over the bits themselves, as the paper interpolates (section 4.3.2).
    pub fn kbit_at_linear(&self, map50: f64) -> Option<f64> {
        reach(&self.linear_line(), map50, |kbit| kbit).kbit()
    }

    /// mAP with `kbit`; none outside the measured bits.
    pub fn map_at_kbit(&self, kbit: f64) -> Option<f64> {
        self.log_line().y_at(kbit.ln())
    }

    /// As [`Self::map_at_kbit`], but straight over the bits themselves, as the paper interpolates.
    pub fn map_at_kbit_linear(&self, kbit: f64) -> Option<f64> {
        self.linear_line().y_at(kbit)
    }

    /// The best mAP with at most `kbit`, straight over the bits as the paper interpolates: beyond the dearest
    /// point what that gives. None below the cheapest.
    pub fn map_within(&self, kbit: f64) -> Option<f64> {
        let dearest = self.points.last()?.kbit;
        self.map_at_kbit_linear(kbit.min(dearest))
    }

    /// Divergence with `kbit`, straight over the logarithms of both; none outside the measured bits.
    pub fn kl_at_kbit(&self, kbit: f64) -> Option<f64> {
        self.kl_line().y_at(kbit.ln()).map(|quality| (-quality).exp())
    }

    /// Kilobits for a divergence of `kl`, straight over the logarithms of both; none outside the measured.
    pub fn kbit_at_kl(&self, kl: f64) -> Option<f64> {
        reach(&self.kl_line(), -kl.ln(), f64::exp).kbit()
    }

    /// The bits that keep at least `share` (0 to 1) of the uncut mAP, up to those of the method's highest mAP
    /// (paper, section 4.3.3); none when no point keeps it.
    pub fn effective_range(&self, uncut: f64, share: f64) -> Option<EffectiveRange> {
        let (least_kbit, is_open) = match self.reach(share * uncut) {
            Reach::Below { kbit } => (kbit, true),
            Reach::At { kbit } => (kbit, false),
            Reach::Never => return None,
        };
        let best = self.best_map()?;
        let most_kbit = self.points.iter().find(|point| point.map50 >= best)?.kbit;
        Some(EffectiveRange { least_kbit, most_kbit, is_open })
    }

    fn log_line(&self) -> Line {
        Line::rising(self.points.iter().map(|point| (point.kbit.ln(), point.map50)))
    }

    fn linear_line(&self) -> Line {
        Line::rising(self.points.iter().map(|point| (point.kbit, point.map50)))
    }

    /// Quality is minus the logarithm of the divergence, which rises with the bits as mAP does. A point without
    /// any divergence has no logarithm and is left out.
    fn kl_line(&self) -> Line {
        let diverging = self.points.iter().filter(|point| point.kl > 0.0);
        Line::rising(diverging.map(|point| (point.kbit.ln(), -point.kl.ln())))
    }
}

impl Reach {
    /// The kilobits where they were measured.
    pub fn kbit(self) -> Option<f64> {
        match self {
            Self::At { kbit } => Some(kbit),
            Self::Below { .. } | Self::Never => None,
        }
    }
}

fn reach(line: &Line, quality: f64, kbit: impl Fn(f64) -> f64) -> Reach {
    match (line.first(), line.x_at(quality)) {
        (_, Some(x)) => Reach::At { kbit: kbit(x) },
        (Some((x, least)), None) if quality < least => Reach::Below { kbit: kbit(x) },
        _ => Reach::Never,
    }
}

/// Bits of `test` against `anchor` at equal mAP, in percent, on average over all mAP that both reach: -50 is half.
/// None when they reach none in common.
///
/// The idea is Bjontegaard's (VCEG-M33, 2001): the mean difference of the logarithms of the rates over the
/// quality. He puts a cubic through four points of PSNR; mAP is neither smooth nor monotone, more than four
/// points are measured, and a cubic swings between them where the curve is flat. So here the curves are straight
/// between the points of their envelopes, and the integral is exact.
pub fn bd_rate(anchor: &Curve, test: &Curve) -> Option<f64> {
    percent(line::mean_x_difference(&anchor.log_line(), &test.log_line(), f64::NEG_INFINITY..f64::INFINITY))
}

/// As [`bd_rate`], but over the mAP of `from` to `to` only: for a table whose lines mean the same range. None
/// when either curve does not reach all of it.
pub fn bd_rate_within(anchor: &Curve, test: &Curve, from: f64, to: f64) -> Option<f64> {
    let (anchor, test) = (anchor.log_line(), test.log_line());
    let covers = |line: &Line| Some(line.first()?.1 <= from && line.last()?.1 >= to);
    if !(covers(&anchor)? && covers(&test)?) {
        return None;
    }
    percent(line::mean_x_difference(&anchor, &test, from..to))
}

/// As [`bd_rate`], at equal divergence, on average over its logarithm: smooth where mAP is noise.
pub fn bd_rate_kl(anchor: &Curve, test: &Curve) -> Option<f64> {
    percent(line::mean_x_difference(&anchor.kl_line(), &test.kl_line(), f64::NEG_INFINITY..f64::INFINITY))
}

fn percent(log_ratio: Option<f64>) -> Option<f64> {
    Some(100.0 * log_ratio?.exp_m1())
}

#[cfg(test)]
mod tests;

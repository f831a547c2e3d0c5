//! Measured lines, and the numbers that figures 9, 12 and 13 read off them. Pure.
//!
//! Between two settings values are interpolated linearly over kilobits, as the paper does.

use super::{EFFECTIVE_SHARE, accuracy::Accuracy};
use crate::{
    curve::{Curve, CurvePoint, Reach},
    method::{Method, Setting},
};

/// One setting of a method over all pictures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// How coarse.
    pub(super) setting: Setting,
    /// Mean bits of a picture, in thousands.
    pub(super) kbit: f64,
    /// Accuracy.
    pub(super) accuracy: Accuracy,
    /// Mean divergence from the uncut heads, nats.
    pub(super) kl: f64,
    /// Mean structural similarity of planes.
    pub(super) ssim: Option<f64>,
}

/// All settings of a method, most bits first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// What it is called in plots.
    pub(super) label: String,
    /// Which it is.
    pub(super) method: Method,
    /// Kilobits of the values of its feature map at 8 bits each.
    pub(super) raw_kbit: f64,
    steps: Vec<Step>,
    /// In the paper's metric.
    curve: Curve,
}

/// Compression ratios from the best accuracy of a method down to the least that is effective, in 8-bit features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Effective {
    /// At lossless coding.
    pub(super) low: f64,
    /// At [`EFFECTIVE_SHARE`] of the uncut accuracy.
    pub(super) high: f64,
    /// Whether even the coarsest setting is effective, so that `high` is where measuring stopped.
    pub(super) is_open: bool,
}

impl Line {
    pub(super) fn new(label: String, method: Method, raw_kbit: f64, mut steps: Vec<Step>) -> Self {
        steps.sort_by(|a, b| b.kbit.total_cmp(&a.kbit));
        let point = |&Step { kbit, accuracy, kl, .. }: &Step| CurvePoint {
            kbit,
            map50: accuracy.map50,
            map50_cut: accuracy.map50_cut,
            kl,
        };
        let curve = Curve::new(steps.iter().map(point)).as_paper_counts();
        Self { label, method, raw_kbit, steps, curve }
    }

    /// Most bits first.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The lossless setting.
    pub(super) fn lossless(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.setting == Setting::Lossless)
    }

    /// The fewest kilobits that it was coded to.
    pub(super) fn least_kbit(&self) -> Option<f64> {
        self.steps.last().map(|step| step.kbit)
    }

    /// The best accuracy with at most `kbit`, in the paper's metric; none where it was not coded so small.
    pub(super) fn map_at(&self, kbit: f64) -> Option<f64> {
        self.curve.map_within(kbit)
    }

    /// Accuracy at lossless coding, in the paper's metric.
    pub(super) fn lossless_map(&self) -> Option<f64> {
        self.lossless().map(|step| step.accuracy.map50_cut)
    }

    /// Structural similarity at `kbit`, as [`Self::map_at`].
    pub(super) fn ssim_at(&self, kbit: f64) -> Option<f64> {
        let finest = self.steps.first()?;
        if kbit >= finest.kbit {
            return finest.ssim;
        }
        let (above, below) = self.steps.windows(2).find_map(|pair| match pair {
            [above, below] if (below.kbit..=above.kbit).contains(&kbit) => Some((above, below)),
            _ => None,
        })?;
        let share = (kbit - below.kbit) / (above.kbit - below.kbit).max(f64::MIN_POSITIVE);
        Some(below.ssim? + share * (above.ssim? - below.ssim?))
    }

    /// The fewest kilobits with which the accuracy reaches `level` in the paper's metric; those of the coarsest
    /// setting where even it does.
    pub(super) fn kbit_for(&self, level: f64) -> Option<f64> {
        self.curve.kbit_at_linear(level).or_else(|| match self.curve.reach(level) {
            Reach::Below { kbit } => Some(kbit),
            Reach::At { .. } | Reach::Never => None,
        })
    }

    /// The range of figure 13 for a network of this uncut accuracy; none where the method does not reach the
    /// least effective accuracy. Lossless coding stands for the method's best: on few pictures the highest of
    /// all settings is an accident.
    pub(super) fn effective(&self, uncut: Accuracy) -> Option<Effective> {
        let level = EFFECTIVE_SHARE * uncut.map50_cut;
        let least = self.kbit_for(level)?;
        let is_open = matches!(self.curve.reach(level), Reach::Below { .. });
        let finest = self.lossless().or(self.steps.first())?;
        Some(Effective { low: self.raw_kbit / finest.kbit, high: self.raw_kbit / least, is_open })
    }
}

/// Accuracy of `a` less that of `b` at `kbit`, in points. Where `b` cannot be coded so small it counts as finding
/// nothing; none where `a` cannot.
pub(super) fn lead_at(a: &Line, b: &Line, kbit: f64) -> Option<f64> {
    Some(100.0 * (a.map_at(kbit)? - b.map_at(kbit).unwrap_or(0.0)))
}

/// Losses of `variable` against `independent` in points: at each rate that both reach, and (rate none) lossless.
pub(super) fn losses(independent: &Line, variable: &Line, rates: &[f64]) -> Vec<(Option<f64>, f64)> {
    let points = |a: Option<f64>, b: Option<f64>| Some(100.0 * (a? - b?));
    let at = |&kbit: &f64| Some((Some(kbit), points(independent.map_at(kbit), variable.map_at(kbit))?));
    let without_codec = points(independent.lossless_map(), variable.lossless_map()).map(|loss| (None, loss));
    rates.iter().filter_map(at).chain(without_codec).collect()
}

/// How many times fewer bits `a` takes than `b` without loss of the codec.
pub(super) fn lossless_ratio(a: &Line, b: &Line) -> Option<f64> {
    Some(b.lossless()?.kbit / a.lossless()?.kbit)
}

/// Bits of `a` less those of `b` at one accuracy, in percent of `b`'s.
pub(super) fn saving_at(a: &Line, b: &Line, level: f64) -> Option<f64> {
    Some(100.0 * (a.kbit_for(level)? / b.kbit_for(level)? - 1.0))
}

/// The mean; none of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
pub(super) mod tests {
    use autotiler_core::Gain;

    use super::*;

    /// A line through (kbit, mAP) pairs, the first lossless.
    pub(crate) fn line(raw_kbit: f64, points: &[(f64, f64)]) -> Line {
        let steps = points.iter().enumerate().map(|(at, &(kbit, map))| Step {
            setting: if at == 0 { Setting::Lossless } else { Setting::Gain(Gain(at as u8)) },
            kbit,
            accuracy: Accuracy { map50: map + 0.05, map50_cut: map },
            kl: 0.0,
            ssim: Some(map),
        });
        Line::new("hand-made".to_owned(), Method::Jpeg, raw_kbit, steps.collect())
    }

    #[test]
    fn values_are_interpolated_between_settings() {
        let line = line(100.0, &[(40.0, 0.7), (20.0, 0.6), (10.0, 0.2)]);
        assert_eq!(line.map_at(20.0), Some(0.6));
        assert!((line.map_at(30.0).unwrap() - 0.65).abs() < 1e-12);
        assert!((line.map_at(15.0).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(line.map_at(100.0), Some(0.7));
        assert_eq!(line.map_at(9.9), None);
        assert_eq!(line.least_kbit(), Some(10.0));
    }

    #[test]
    fn bits_for_an_accuracy_are_interpolated() {
        let line = line(100.0, &[(40.0, 0.7), (20.0, 0.6), (10.0, 0.2)]);
        assert!((line.kbit_for(0.4).unwrap() - 15.0).abs() < 1e-12);
        assert!((line.kbit_for(0.65).unwrap() - 30.0).abs() < 1e-12);
        assert!((line.kbit_for(0.1).unwrap() - 10.0).abs() < 1e-12);
        assert_eq!(line.kbit_for(0.71), None);
    }

    #[test]
    fn the_fewest_bits_count_where_a_curve_dips() {
        let line = line(100.0, &[(40.0, 0.5), (20.0, 0.6), (10.0, 0.2)]);
        assert!((line.kbit_for(0.55).unwrap() - 18.75).abs() < 1e-12);
    }

    #[test]
    fn the_effective_range_ends_at_85_percent_of_the_uncut_accuracy() {
        let uncut = Accuracy { map50: 0.9, map50_cut: 0.8 };
        // 85 % are 0.68, half way between 0.6 and 0.76.
        let range = line(200.0, &[(40.0, 0.76), (20.0, 0.6)]).effective(uncut).unwrap();
        assert!((range.low - 5.0).abs() < 1e-12 && (range.high - 200.0 / 30.0).abs() < 1e-12, "{range:?}");
        assert_eq!(line(200.0, &[(40.0, 0.67), (20.0, 0.6)]).effective(uncut), None);
    }

    #[test]
    fn a_method_that_cannot_be_coded_so_small_finds_nothing() {
        let (a, b) = (line(1.0, &[(10.0, 0.6), (5.0, 0.4)]), line(1.0, &[(30.0, 0.7), (20.0, 0.1)]));
        assert!((lead_at(&a, &b, 10.0).unwrap() - 60.0).abs() < 1e-9);
        assert!((lead_at(&a, &b, 25.0).unwrap() - 20.0).abs() < 1e-9);
        assert_eq!(lead_at(&b, &a, 10.0), None);
    }

    #[test]
    fn losses_are_told_at_rates_that_both_reach() {
        let independent = line(1.0, &[(40.0, 0.7), (8.0, 0.6)]);
        let variable = line(1.0, &[(30.0, 0.68), (4.0, 0.5)]);
        let losses = losses(&independent, &variable, &[2.0, 4.0, 8.0, 64.0]);
        let rates: Vec<_> = losses.iter().map(|(rate, _)| *rate).collect();
        assert_eq!(rates, [Some(8.0), Some(64.0), None]);
        let at_8 = 100.0 * (0.6 - (0.5 + 4.0 / 26.0 * 0.18));
        for ((_, loss), expected) in losses.iter().zip([at_8, 2.0, 2.0]) {
            assert!((loss - expected).abs() < 1e-9, "{losses:?}");
        }
    }

    #[test]
    fn bits_are_compared_without_loss_and_at_one_accuracy() {
        let (a, b) = (line(1.0, &[(10.0, 0.6), (5.0, 0.4)]), line(1.0, &[(30.0, 0.6), (20.0, 0.4)]));
        assert_eq!(lossless_ratio(&a, &b), Some(3.0));
        // 7.5 against 25 kbit.
        assert!((saving_at(&a, &b, 0.5).unwrap() + 70.0).abs() < 1e-9);
        assert_eq!(saving_at(&a, &b, 0.7), None);
    }
}

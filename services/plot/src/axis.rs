//! An axis: what it shows, how values become places on it, and where its ticks are.

/// Share of an axis that is left free beyond the outermost values.
const MARGIN: f64 = 0.05;
/// Ticks on a linear axis, about.
const LINEAR_TICKS: f64 = 6.0;
/// Most decades for which 2 and 5 are labelled too.
const FINE_DECADES: f64 = 3.2;

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal factors are equally long; values must be above zero.
    Log,
}

/// What an axis shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// How values become places.
    pub scale: Scale,
    /// Values that the axis covers besides those drawn.
    pub covers: Vec<f64>,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, covers: Vec::new() }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, covers: Vec::new() }
    }

    /// The axis that also covers `from` to `to`, whatever is drawn.
    pub fn covering(mut self, from: f64, to: f64) -> Self {
        self.covers.extend([from, to]);
        self
    }

    /// Whether the axis has a place for `value`.
    pub(crate) fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }

    /// The span that takes `values`, all of which it [`Self::shows`], with a margin. `None` when there are none.
    pub(crate) fn span(&self, values: impl IntoIterator<Item = f64>) -> Option<Span> {
        let place = |value: f64| self.scale.place(value);
        let covered = self.covers.iter().copied().filter(|&value| self.shows(value));
        let (mut low, mut high) = values
            .into_iter()
            .chain(covered.clone())
            .map(place)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return None;
        }
        let (least, most) = covered
            .map(place)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let margin = MARGIN * if high > low { high - low } else { low.abs().max(1.0) };
        // An end that was asked for is kept; one that the data pushed out gets air.
        low -= if low < least { margin } else { 0.0 };
        high += if high > most { margin } else { 0.0 };
        if high <= low {
            (low, high) = (low - margin, high + margin);
        }
        Some(Span { scale: self.scale, low, high })
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
        }
    }
}

/// The part of an axis that is drawn; ends in places, not values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Share of the axis before it, 0 to 1.
    pub(crate) share: f64,
    /// Its value in print; `None` for one that only has a faint line.
    pub(crate) label: Option<String>,
}

impl Span {
    /// Share of the axis before `value`: 0 at its start, 1 at its end, and never beyond these.
    pub(crate) fn share(&self, value: f64) -> f64 {
        ((self.scale.place(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The marks of the axis.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.linear_ticks(self.low, self.high),
            Scale::Log => self.log_ticks(),
        }
    }

    fn linear_ticks(&self, low: f64, high: f64) -> Vec<Tick> {
        let rough = (high - low) / LINEAR_TICKS;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|nice| nice * decade)
            .into_iter()
            .find(|&step| step >= rough * 0.999)
            .unwrap_or(10.0 * decade);
        let digits = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
        let digits = digits + usize::from((step / decade - 2.5).abs() < 1e-9 && step < 10.0);
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                Tick { share: self.share(value), label: Some(print_with(value, digits)) }
            })
            .collect()
    }

    fn log_ticks(&self) -> Vec<Tick> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let inside = |value: f64| {
            let place = value.log10();
            place >= self.low - 1e-9 && place <= self.high + 1e-9
        };
        let labelled: &[u32] = match self.high - self.low {
            narrow if narrow < 0.75 => &[1, 2, 3, 4, 5, 6, 7, 8, 9],
            usual if usual <= FINE_DECADES => &[1, 2, 5],
            _ => &[1],
        };
        let ticks: Vec<Tick> = decades
            .flat_map(|decade| (1..10u32).map(move |digit| (digit, f64::from(digit) * 10f64.powi(decade))))
            .filter(|(_, value)| inside(*value))
            .map(|(digit, value)| Tick {
                share: self.share(value),
                label: labelled.contains(&digit).then(|| print(value)),
            })
            .collect();
        if ticks.iter().filter(|tick| tick.label.is_some()).count() >= 2 {
            return ticks;
        }
        self.linear_ticks(10f64.powf(self.low), 10f64.powf(self.high))
    }
}

fn print_with(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    // No minus before zero.
    if text.trim_start_matches(['-', '0', '.']).is_empty() { text.replace('-', "") } else { text }
}

/// A value in few characters: three digits that count, thousands and millions shortened.
pub(crate) fn print(value: f64) -> String {
    let size = value.abs();
    let (value, unit) = match size {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.1 => 2,
        size => (2.0 - size.log10().floor()) as usize,
    };
    let text = print_with(value, digits.min(12));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let span = axis.span(values.iter().copied()).unwrap();
        span.ticks().into_iter().filter_map(|tick| tick.label).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        let axis = Axis::linear("mAP").covering(0.0, 0.6);
        assert_eq!(labels(&axis, &[0.1, 0.5]), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
    }

    #[test]
    fn log_ticks_are_one_two_five() {
        assert_eq!(labels(&Axis::log("kbit"), &[3.0, 120.0]), ["5", "10", "20", "50", "100"]);
    }

    #[test]
    fn a_narrow_log_axis_still_has_ticks() {
        assert!(labels(&Axis::log("kbit"), &[33.0, 34.0]).len() >= 2);
        assert!(labels(&Axis::log("kbit"), &[33.0]).len() >= 2);
    }

    #[test]
    fn a_wide_log_axis_has_decades_only() {
        assert_eq!(labels(&Axis::log("n"), &[1.0, 1e6]), ["1", "10", "100", "1000", "10k", "100k", "1M"]);
    }

    #[test]
    fn shares_grow_from_zero_to_one() {
        let span = Axis::log("kbit").covering(1.0, 100.0).span([10.0]).unwrap();
        assert_eq!([1.0, 10.0, 100.0].map(|value| span.share(value)), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn one_value_has_a_span_around_it() {
        for axis in [Axis::linear("x"), Axis::log("x")] {
            let share = axis.span([7.0]).unwrap().share(7.0);
            assert!((share - 0.5).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn no_value_has_no_span() {
        assert_eq!(Axis::linear("x").span([]), None);
    }

    #[test]
    fn prints_three_digits() {
        let printed = [0.0, 0.0123, 0.5, 1.25, 12.34, 416.0, 12_000.0, 2.5e6].map(print);
        assert_eq!(printed, ["0", "0.0123", "0.5", "1.25", "12.3", "416", "12k", "2.5M"]);
    }
}

//! One row of a table of figures: what is wanted beside what was measured.

/// A figure that a measuring test prints, for `tests/setup/measure` to gather.
#[derive(Debug, Clone)]
pub struct Figure<'a> {
    /// What is measured.
    pub what: &'a str,
    /// What is wanted.
    pub wanted: &'a str,
    /// What was measured, with its unit.
    pub measured: String,
    /// Whether that is as good as wanted; none where nothing is wanted but the figure.
    pub reached: Option<bool>,
}

impl Figure<'_> {
    /// Prints it as one line of a Markdown table, after a word that tells it from all other output.
    pub fn print(&self) {
        let Self { what, wanted, measured, reached } = self;
        let verdict = match reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        println!("FIGURE | {what} | {wanted} | {measured} | {verdict} |");
    }
}

/// The value that `share` of `values` stay within, after sorting them; NaN when there are none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 0.51, 0.99].map(|share| quantile(&mut values, share)), [1.0, 2.0, 3.0, 4.0]);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}

//! What the paper says, beside what is measured here.

use std::fmt;

/// Whether a statement of the paper holds here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// There is nothing to tell it by.
    Untold,
}

impl Verdict {
    /// The verdict of a comparison; none where it could not be made.
    pub fn of(holds: Option<bool>) -> Self {
        match holds {
            Some(true) => Self::Holds,
            Some(false) => Self::Fails,
            None => Self::Untold,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Fails => "does not hold",
            Self::Untold => "not told",
        })
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The paper's words and numbers.
    pub paper: String,
    /// The same here.
    pub here: String,
    /// Whether it holds.
    pub verdict: Verdict,
}

/// A range in print: `1.2 to 19.6`, one number where both ends agree in print, `-` for none.
pub(super) fn span(values: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let (low, high) = values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return "-".to_owned();
    }
    let (low, high) = (format!("{low:.digits$}"), format!("{high:.digits$}"));
    if low == high { low } else { format!("{low} to {high}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_printed_shortly() {
        assert_eq!(span([1.24, 19.6, 3.0], 1), "1.2 to 19.6");
        assert_eq!(span([2.01, 2.02], 1), "2.0");
        assert_eq!(span([], 1), "-");
    }

    #[test]
    fn what_cannot_be_compared_is_not_told() {
        assert_eq!(Verdict::of(None), Verdict::Untold);
        assert_eq!(Verdict::of(Some(false)).to_string(), "does not hold");
    }
}

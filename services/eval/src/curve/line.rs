//! A rising broken line: x of any kind of rate, y of any kind of quality.

use std::ops::Range;

/// Corners of a line that rises in both coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    corners: Vec<(f64, f64)>,
    /// The x up to which the line stays at the last corner's y.
    ends: f64,
}

impl Line {
    /// The envelope of `points`, given by rising x: a corner wherever y is higher than ever before. Points that
    /// are no better only say how far right was measured.
    pub(super) fn rising(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut corners: Vec<(f64, f64)> = Vec::new();
        let mut ends = f64::NEG_INFINITY;
        for (x, y) in points {
            ends = ends.max(x);
            match corners.last_mut() {
                Some((_, best)) if y <= *best => {}
                Some(last) if last.0 == x => *last = (x, y),
                _ => corners.push((x, y)),
            }
        }
        Self { corners, ends }
    }

    pub(super) fn first(&self) -> Option<(f64, f64)> {
        self.corners.first().copied()
    }

    pub(super) fn last(&self) -> Option<(f64, f64)> {
        self.corners.last().copied()
    }

    /// None left of the first corner and right of all that was measured.
    pub(super) fn y_at(&self, x: f64) -> Option<f64> {
        let last = self.last()?;
        if x >= last.0 && x <= self.ends {
            return Some(last.1);
        }
        self.corners.windows(2).find_map(|pair| match *pair {
            [from, to] if x >= from.0 && x <= to.0 => Some(between(x, from, to)),
            _ => None,
        })
    }

    /// None below the first corner and above the last.
    pub(super) fn x_at(&self, y: f64) -> Option<f64> {
        if let Some((x, _)) = self.first().filter(|first| first.1 == y) {
            return Some(x);
        }
        self.corners.windows(2).find_map(|pair| match *pair {
            [from, to] if y >= from.1 && y <= to.1 => Some(between(y, flip(from), flip(to))),
            _ => None,
        })
    }
}

/// Mean over y of x of `test` less x of `anchor`, over the y that both have and that lie in `range`.
pub(super) fn mean_x_difference(anchor: &Line, test: &Line, range: Range<f64>) -> Option<f64> {
    let low = anchor.first()?.1.max(test.first()?.1).max(range.start);
    let high = anchor.last()?.1.min(test.last()?.1).min(range.end);
    if high <= low {
        return None;
    }
    // Between neighbouring corners of either line both are straight, so trapezoids are exact.
    let corners = anchor.corners.iter().chain(&test.corners).map(|corner| corner.1);
    let mut stops: Vec<f64> = corners.filter(|&y| y > low && y < high).chain([low, high]).collect();
    stops.sort_by(f64::total_cmp);
    let difference = |y: f64| Some(test.x_at(y)? - anchor.x_at(y)?);
    let mut area = 0.0;
    for pair in stops.windows(2) {
        if let [from, to] = *pair {
            area += (to - from) * f64::midpoint(difference(from)?, difference(to)?);
        }
    }
    Some(area / (high - low))
}

fn between(x: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    from.1 + (to.1 - from.1) * (x - from.0) / (to.0 - from.0)
}

fn flip((x, y): (f64, f64)) -> (f64, f64) {
    (y, x)
}

//! Bars of several parts, in groups: what a latency is made of.

use crate::{
    axis::{Axis, print},
    bars::{beside, swatch},
    canvas::{Align, Canvas, Letters, draw_svg},
    colour::PALETTE,
    error::PlotError,
    frame::{self, Bottom, Frame, Heading, Inside},
    lines::check_value,
    width::text_width,
};

/// Gap between groups, in bars.
const GAP: f64 = 0.6;
const FILLED: f64 = 0.86;

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedBar {
    /// Group it belongs to; bars of a group follow each other.
    pub group: String,
    /// What stands under it.
    pub name: String,
    /// Height of each part from the bottom up, none below zero.
    pub parts: Vec<f64>,
}

/// Bars of several parts.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedBars {
    /// Title.
    pub title: String,
    /// What stands under it; may be empty.
    pub subtitle: String,
    /// Height, linear.
    pub y: Axis,
    /// Names of the parts from the bottom up.
    pub parts: Vec<String>,
    /// The bars.
    pub bars: Vec<StackedBar>,
}

impl StackedBars {
    /// A chart without bars; `y_label` names quantity and unit.
    pub fn new(
        title: impl Into<String>,
        y_label: impl Into<String>,
        parts: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            title: title.into(),
            subtitle: String::new(),
            y: Axis::linear(y_label),
            parts: parts.into_iter().map(Into::into).collect(),
            bars: Vec::new(),
        }
    }

    /// The chart with a line under its title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// The chart with one bar more.
    pub fn bar(
        mut self,
        group: impl Into<String>,
        name: impl Into<String>,
        parts: impl IntoIterator<Item = f64>,
    ) -> Self {
        let (group, name) = (group.into(), name.into());
        self.bars.push(StackedBar { group, name, parts: parts.into_iter().collect() });
        self
    }

    /// The drawing as SVG.
    ///
    /// # Errors
    /// [`PlotError`] when there is no bar, one has not as many parts as are named, or a part is below zero.
    pub fn svg(&self) -> Result<String, PlotError> {
        self.check()?;
        let empty = || PlotError::Empty { title: self.title.clone(), what: "plot".into() };
        let totals = self.bars.iter().map(|bar| bar.parts.iter().sum());
        let axis = self.y.clone().covering(0.0, 0.0);
        let span = axis.span(totals).ok_or_else(empty)?;
        let colours = || (0..).map(|i| PALETTE[i % PALETTE.len()].tint(0.5 * (i / PALETTE.len()) as f64));
        let legend = self.parts.iter().zip(colours()).map(|(name, colour)| swatch(name, colour));
        let mut legend: Vec<_> = legend.collect();
        // As in the bars: the first part lowest.
        legend.reverse();
        let has_groups = self.bars.iter().any(|bar| !bar.group.is_empty());
        let frame = Frame {
            heading: Heading { title: &self.title, subtitle: &self.subtitle },
            bottom: Bottom::Lines(if has_groups { 2 } else { 1 }),
            bottom_label: "",
            left: (span, &self.y.label),
            right: None,
            legend,
        };
        draw_svg(frame::SIZE, |canvas| {
            let inside = frame.draw(canvas)?;
            let places = self.places(inside);
            // One size for all, so that no name looks weightier than another.
            let name_size =
                places.iter().map(|(bar, _, slot)| fitting(&bar.name, *slot)).fold(f64::MAX, f64::min);
            for (bar, middle, slot) in places {
                let half = slot * FILLED / 2.0;
                let mut total = 0.0;
                for (part, colour) in bar.parts.iter().zip(colours()) {
                    let bottom = inside.y(span.share(total));
                    total += part;
                    let top = inside.y(span.share(total));
                    canvas.rectangle((middle - half, top), (middle + half, bottom), colour, 1.0)?;
                }
                beside(canvas, &print(total), (middle, inside.y(span.share(total)) - 4.0), slot, true)?;
                let letters = Letters { size: name_size, ..frame::tick_letters(Align::Middle) };
                canvas.text(&bar.name, (middle, inside.bottom + 15.0), letters)?;
            }
            self.draw_groups(canvas, inside)
        })
    }

    /// Each bar with its middle and the width that it may take, in pixels.
    fn places(&self, inside: Inside) -> Vec<(&StackedBar, f64, f64)> {
        let mut at = GAP / 2.0;
        let mut middles = Vec::with_capacity(self.bars.len());
        for (i, bar) in self.bars.iter().enumerate() {
            let previous = i.checked_sub(1).and_then(|before| self.bars.get(before));
            at += if previous.is_some_and(|previous| previous.group != bar.group) { GAP } else { 0.0 };
            middles.push(at + 0.5);
            at += 1.0;
        }
        let slot = (inside.right - inside.left) / (at + GAP / 2.0);
        self.bars.iter().zip(middles).map(|(bar, middle)| (bar, inside.left + middle * slot, slot)).collect()
    }

    fn draw_groups(&self, canvas: &Canvas<'_>, inside: Inside) -> Result<(), PlotError> {
        let places = self.places(inside);
        for group in places.chunk_by(|a, b| a.0.group == b.0.group) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let middle = f64::midpoint(first.1, last.1);
            let width = last.1 - first.1 + first.2 * (1.0 + GAP);
            let letters = frame::tick_letters(Align::Middle);
            let letters = Letters { size: fitting(&first.0.group, width), ..letters };
            canvas.text(&first.0.group, (middle, inside.bottom + 33.0), letters)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), PlotError> {
        let title = || self.title.clone();
        if self.bars.is_empty() || self.parts.is_empty() {
            return Err(PlotError::Empty { title: title(), what: "plot".into() });
        }
        for bar in &self.bars {
            let what = format!("bar {:?}", bar.name);
            let (wanted, got) = (self.parts.len(), bar.parts.len());
            if wanted != got {
                return Err(PlotError::Length { title: title(), what, wanted, got });
            }
            for &part in &bar.parts {
                check_value(&self.title, &what, &self.y, part)?;
                if part < 0.0 {
                    return Err(PlotError::NotPositive { title: title(), what, value: part });
                }
            }
        }
        Ok(())
    }
}

/// Size at which `text` fits into `width`.
fn fitting(text: &str, width: f64) -> f64 {
    let size = frame::tick_letters(Align::Middle).size;
    size * (width * 0.97 / text_width(text, size).max(1.0)).min(1.0)
}

//! Groups of bars: one for each series, from the bottom up or floating.

use crate::{
    axis::{Axis, Scale, print},
    canvas::{Align, Canvas, Letters, Place, draw_svg},
    colour::{Colour, colour_of},
    error::PlotError,
    frame::{self, Bottom, Frame, Heading, Inside, LegendEntry},
    lines::check_value,
    width::text_width,
};

/// Share of a group's width that its bars fill.
const FILLED: f64 = 0.84;
const WIDEST_BAR: f64 = 64.0;
/// How far below the lowest bar a logarithmic axis begins.
const LOG_FOOT: f64 = 0.5;

/// A series of bars from the bottom up.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSeries {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// One value for each group; `None` where there is none, which is printed.
    pub values: Vec<Option<f64>>,
}

impl ValueSeries {
    /// A series in the colour of its method.
    pub fn new(name: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let name = name.into();
        Self { colour: colour_of(&name), name, values: values.into_iter().collect() }
    }

    /// The series in another colour.
    pub fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }
}

/// A series of bars that float.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSeries {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// One range for each group, from and to; `None` where there is none, which is printed.
    pub ranges: Vec<Option<(f64, f64)>>,
}

impl RangeSeries {
    /// A series in the colour of its method.
    pub fn new(name: impl Into<String>, ranges: impl IntoIterator<Item = Option<(f64, f64)>>) -> Self {
        let name = name.into();
        Self { colour: colour_of(&name), name, ranges: ranges.into_iter().collect() }
    }

    /// The series in another colour.
    pub fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }
}

/// Bars from the bottom up, in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Title.
    pub title: String,
    /// What stands under it; may be empty.
    pub subtitle: String,
    /// What the groups are.
    pub x_label: String,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Height.
    pub y: Axis,
    /// The bars.
    pub series: Vec<ValueSeries>,
    /// Whether each bar's value is printed above it.
    pub print_values: bool,
}

/// Bars that float, in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges {
    /// Title.
    pub title: String,
    /// What stands under it; may be empty.
    pub subtitle: String,
    /// What the groups are.
    pub x_label: String,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Height.
    pub y: Axis,
    /// The bars.
    pub series: Vec<RangeSeries>,
    /// Whether each bar's ends are printed at them.
    pub print_values: bool,
}

impl Bars {
    /// A chart without bars that prints values.
    pub fn new(
        title: impl Into<String>,
        x_label: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
        y: Axis,
    ) -> Self {
        Self {
            title: title.into(),
            subtitle: String::new(),
            x_label: x_label.into(),
            groups: groups.into_iter().map(Into::into).collect(),
            y,
            series: Vec::new(),
            print_values: true,
        }
    }

    /// The chart with a line under its title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// The chart with one series more.
    pub fn series(mut self, series: ValueSeries) -> Self {
        self.series.push(series);
        self
    }

    /// The drawing as SVG.
    ///
    /// # Errors
    /// [`PlotError`] when there is no bar, a series has not one value for each group, or a value no place.
    pub fn svg(&self) -> Result<String, PlotError> {
        let foot = self.foot();
        let floating = |value: &Option<f64>| value.map(|value| (foot, value));
        let rows = self.series.iter().map(|series| Row {
            name: &series.name,
            colour: series.colour,
            bars: series.values.iter().map(floating).collect(),
        });
        let print = if self.print_values { Print::Top } else { Print::Nothing };
        let mut axis = self.y.clone();
        axis.covers.push(foot);
        Grouped {
            heading: Heading { title: &self.title, subtitle: &self.subtitle },
            x_label: &self.x_label,
            groups: &self.groups,
            axis: &axis,
            rows: rows.collect(),
            print,
        }
        .svg()
    }

    /// Where bars begin: at zero, or on a logarithmic axis somewhat below the lowest.
    fn foot(&self) -> f64 {
        if self.y.scale == Scale::Linear {
            return 0.0;
        }
        let values = self.series.iter().flat_map(|series| series.values.iter().flatten()).copied();
        let least =
            values.chain(self.y.covers.iter().copied()).filter(|&v| v > 0.0).fold(f64::INFINITY, f64::min);
        // Without values the chart is refused anyway.
        if least.is_finite() { least * LOG_FOOT } else { 1.0 }
    }
}

impl Ranges {
    /// A chart without bars that prints their ends.
    pub fn new(
        title: impl Into<String>,
        x_label: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
        y: Axis,
    ) -> Self {
        let Bars { title, subtitle, x_label, groups, y, print_values, .. } =
            Bars::new(title, x_label, groups, y);
        Self { title, subtitle, x_label, groups, y, series: Vec::new(), print_values }
    }

    /// The chart with a line under its title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// The chart with one series more.
    pub fn series(mut self, series: RangeSeries) -> Self {
        self.series.push(series);
        self
    }

    /// The drawing as SVG.
    ///
    /// # Errors
    /// [`PlotError`] when there is no bar, a series has not one range for each group, or an end no place.
    pub fn svg(&self) -> Result<String, PlotError> {
        let rows = self.series.iter().map(|series| Row {
            name: &series.name,
            colour: series.colour,
            bars: series.ranges.clone(),
        });
        Grouped {
            heading: Heading { title: &self.title, subtitle: &self.subtitle },
            x_label: &self.x_label,
            groups: &self.groups,
            axis: &self.y,
            rows: rows.collect(),
            print: if self.print_values { Print::Ends } else { Print::Nothing },
        }
        .svg()
    }
}

/// What is printed at a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Print {
    Nothing,
    Top,
    Ends,
}

/// What both charts are drawn as.
struct Grouped<'a> {
    heading: Heading<'a>,
    x_label: &'a str,
    groups: &'a [String],
    axis: &'a Axis,
    rows: Vec<Row<'a>>,
    print: Print,
}

struct Row<'a> {
    name: &'a str,
    colour: Colour,
    bars: Vec<Option<(f64, f64)>>,
}

impl Grouped<'_> {
    fn svg(&self) -> Result<String, PlotError> {
        self.check()?;
        let ends =
            self.rows.iter().flat_map(|row| row.bars.iter().flatten()).flat_map(|&(from, to)| [from, to]);
        let span = self.axis.span(ends).ok_or_else(|| self.empty("plot".into()))?;
        let colours = self.colours();
        let frame = Frame {
            heading: self.heading,
            bottom: Bottom::Groups(self.groups),
            bottom_label: self.x_label,
            left: (span, &self.axis.label),
            right: None,
            legend: self.rows.iter().zip(&colours).map(|(row, &colour)| swatch(row.name, colour)).collect(),
        };
        draw_svg(frame::SIZE, |canvas| {
            let inside = frame.draw(canvas)?;
            let group = (inside.right - inside.left) / self.groups.len() as f64;
            let width = (group * FILLED / self.rows.len() as f64).min(WIDEST_BAR);
            for (i, (row, &colour)) in self.rows.iter().zip(&colours).enumerate() {
                for (g, bar) in row.bars.iter().enumerate() {
                    let shift = i as f64 - self.rows.len() as f64 / 2.0;
                    let left = inside.left + (g as f64 + 0.5) * group + shift * width;
                    let Some((from, to)) = *bar else {
                        none(canvas, (left + width / 2.0, inside.bottom - 4.0), width)?;
                        continue;
                    };
                    let height = |value: f64| inside.y(span.share(value));
                    self.draw_bar(canvas, (left, width), (height(from), height(to)), colour)?;
                    self.print(
                        canvas,
                        inside,
                        (left, width),
                        [from, to].map(|value| (value, height(value))),
                    )?;
                }
            }
            Ok(())
        })
    }

    fn draw_bar(
        &self,
        canvas: &Canvas<'_>,
        (left, width): (f64, f64),
        (from, to): (f64, f64),
        colour: Colour,
    ) -> Result<(), PlotError> {
        let air = (width * 0.06).min(2.0);
        // A bar without height still shows as a line.
        let (top, bottom) = if (from - to).abs() < 2.0 { (to - 1.0, to + 1.0) } else { (to, from) };
        canvas.rectangle((left + air, top), (left + width - air, bottom), colour, 1.0)
    }

    fn print(
        &self,
        canvas: &Canvas<'_>,
        inside: Inside,
        (left, width): (f64, f64),
        ends: [(f64, f64); 2],
    ) -> Result<(), PlotError> {
        let [(low, low_y), (high, high_y)] = if ends[0].1 >= ends[1].1 { ends } else { [ends[1], ends[0]] };
        let middle = left + width / 2.0;
        let top = |value: f64, y: f64| beside(canvas, &print(value), (middle, y - 4.0), width, true);
        match self.print {
            Print::Nothing => Ok(()),
            // A bar that hangs from zero bears its value below.
            Print::Top if ends[1].0 < 0.0 && self.axis.scale == Scale::Linear => {
                beside(canvas, &print(ends[1].0), (middle, low_y + 4.0), width, false)
            }
            Print::Top => top(ends[1].0, high_y),
            Print::Ends => {
                top(high, high_y)?;
                if (low_y - high_y).abs() < 2.0 {
                    return Ok(());
                }
                let below = (low_y + 4.0).min(inside.bottom);
                beside(canvas, &print(low), (middle, below), width, false)
            }
        }
    }

    /// The colour of each row: one that was used before comes back paler.
    fn colours(&self) -> Vec<Colour> {
        let repeated =
            |i: usize, colour: Colour| self.rows.iter().take(i).filter(|row| row.colour == colour).count();
        let tint = |i: usize, row: &Row<'_>| row.colour.tint(0.4 * repeated(i, row.colour).min(2) as f64);
        self.rows.iter().enumerate().map(|(i, row)| tint(i, row)).collect()
    }

    fn empty(&self, what: String) -> PlotError {
        PlotError::Empty { title: self.heading.title.to_owned(), what }
    }

    fn check(&self) -> Result<(), PlotError> {
        if self.rows.iter().all(|row| row.bars.iter().all(Option::is_none)) {
            return Err(self.empty("plot".into()));
        }
        for row in &self.rows {
            let what = format!("series {:?}", row.name);
            if row.bars.is_empty() {
                return Err(self.empty(what));
            }
            let (title, wanted, got) = (self.heading.title.to_owned(), self.groups.len(), row.bars.len());
            if wanted != got {
                return Err(PlotError::Length { title, what, wanted, got });
            }
            for (from, to) in row.bars.iter().flatten() {
                check_value(&title, &what, self.axis, *to)?;
                check_value(&title, &what, self.axis, *from)?;
            }
        }
        Ok(())
    }
}

/// A filled sample for the legend.
pub(crate) fn swatch(name: &str, colour: Colour) -> LegendEntry<'_> {
    let sample = move |canvas: &Canvas<'_>, (x, y): Place, width: f64| {
        canvas.rectangle((x + width - 16.0, y - 5.0), (x + width, y + 5.0), colour, 1.0)
    };
    LegendEntry { name, sample: Box::new(sample) }
}

/// Text centred at a bar's end, upright where the bar is too narrow for it.
pub(crate) fn beside(
    canvas: &Canvas<'_>,
    text: &str,
    (x, y): Place,
    width: f64,
    above: bool,
) -> Result<(), PlotError> {
    let size = frame::SMALL_SIZE;
    if text_width(text, size) <= width + 2.0 {
        let y = if above { y } else { y + 0.72 * size };
        return canvas.text(text, (x, y), frame::note(Align::Middle));
    }
    let size = size.min(width.max(6.0));
    let align = if above { Align::Start } else { Align::End };
    let letters = Letters { size, upright: true, ..frame::note(align) };
    canvas.text(text, (x + 0.36 * size, y), letters)
}

/// Says that a bar is missing for want of a value.
fn none(canvas: &Canvas<'_>, place: Place, width: f64) -> Result<(), PlotError> {
    beside(canvas, "none", place, width, true)
}

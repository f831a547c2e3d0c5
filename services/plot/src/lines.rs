//! Curves of several series: rate and accuracy, loss over steps.

use crate::{
    axis::{Axis, Span},
    canvas::{Align, Canvas, Place, Stroke, draw_svg},
    colour::{Colour, colour_of},
    error::PlotError,
    frame::{self, Bottom, Frame, Heading, Inside, LegendEntry},
    width::text_width,
};

const LINE_WIDTH: f64 = 2.0;
const MARKER_RADIUS: f64 = 3.8;
const SHADE: f64 = 0.16;
const REFERENCE: Colour = Colour(0x55, 0x55, 0x55);
/// Points above which markers would hide the curve.
const MOST_MARKERS: usize = 60;
/// Strokes of series of one colour, in their order.
const DASHES: [Option<(u32, u32)>; 4] = [None, Some((7, 4)), Some((2, 3)), Some((12, 4))];

/// How an interval is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interval {
    /// A pale band around the curve.
    #[default]
    Shaded,
    /// A bar at each point.
    Whisker,
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Place on the bottom axis.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Where the value surely lies, from and to.
    pub interval: Option<(f64, f64)>,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// Its points in the order they are joined.
    pub points: Vec<Point>,
    /// How intervals are shown.
    pub interval: Interval,
    /// Whether points are joined.
    pub joined: bool,
    /// Whether the right axis counts.
    pub on_right: bool,
}

impl Series {
    /// A curve through `points` in the colour of its method.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| Point { x, y, interval: None }).collect();
        Self::from_points(name, points)
    }

    /// A curve through `points` in the colour of its method.
    pub fn from_points(name: impl Into<String>, points: Vec<Point>) -> Self {
        let name = name.into();
        let colour = colour_of(&name);
        Self { name, colour, points, interval: Interval::Shaded, joined: true, on_right: false }
    }

    /// The curve in another colour.
    pub fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    /// The curve with bars in place of a band.
    pub fn with_whiskers(self) -> Self {
        Self { interval: Interval::Whisker, ..self }
    }

    /// The points alone.
    pub fn unjoined(self) -> Self {
        Self { joined: false, ..self }
    }

    /// The curve on the right axis.
    pub fn on_right(self) -> Self {
        Self { on_right: true, ..self }
    }
}

/// A dashed line across the chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What stands beside it.
    pub label: String,
    /// Where it is.
    pub value: f64,
    /// Whether it stands on the bottom axis; else it lies at a height of the left one.
    pub upright: bool,
}

/// Curves over one bottom axis.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// Title.
    pub title: String,
    /// What stands under it; may be empty.
    pub subtitle: String,
    /// Bottom axis.
    pub x: Axis,
    /// Left axis.
    pub y: Axis,
    /// Right axis.
    pub right: Option<Axis>,
    /// The curves.
    pub series: Vec<Series>,
    /// Lines across.
    pub references: Vec<Reference>,
}

/// A series with all that makes it differ from its neighbours.
struct Styled<'a> {
    series: &'a Series,
    stroke: Stroke,
    marker: usize,
}

impl LineChart {
    /// A chart without curves.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        let (title, subtitle) = (title.into(), String::new());
        Self { title, subtitle, x, y, right: None, series: Vec::new(), references: Vec::new() }
    }

    /// The chart with a line under its title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// The chart with one curve more.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The chart with an axis on the right, for series [`Series::on_right`].
    pub fn right(mut self, axis: Axis) -> Self {
        self.right = Some(axis);
        self
    }

    /// The chart with a dashed line at a height of the left axis.
    pub fn reference(mut self, value: f64, label: impl Into<String>) -> Self {
        self.references.push(Reference { label: label.into(), value, upright: false });
        self
    }

    /// The chart with a dashed line that stands on the bottom axis.
    pub fn upright_reference(mut self, value: f64, label: impl Into<String>) -> Self {
        self.references.push(Reference { label: label.into(), value, upright: true });
        self
    }

    /// The drawing as SVG.
    ///
    /// # Errors
    /// [`PlotError`] when a series is empty, a value is not finite, or has no place on its axis.
    pub fn svg(&self) -> Result<String, PlotError> {
        self.check()?;
        let none = || PlotError::Empty { title: self.title.clone(), what: "plot".into() };
        let x = self.x.span(self.xs()).ok_or_else(none)?;
        let y = self.y.span(self.ys(false)).ok_or_else(none)?;
        let right = match &self.right {
            None => None,
            Some(axis) => Some((axis.span(self.ys(true)).ok_or_else(none)?, axis.label.as_str())),
        };
        let styled = self.styled();
        let frame = Frame {
            heading: Heading { title: &self.title, subtitle: &self.subtitle },
            bottom: Bottom::Span(x),
            bottom_label: &self.x.label,
            left: (y, &self.y.label),
            right,
            legend: styled.iter().map(Styled::legend).collect(),
        };
        draw_svg(frame::SIZE, |canvas| {
            let inside = frame.draw(canvas)?;
            let up = |on_right: bool| if on_right { right.map_or(y, |(span, _)| span) } else { y };
            for one in &styled {
                one.draw_interval(canvas, inside, x, up(one.series.on_right))?;
            }
            self.draw_references(canvas, inside, x, y)?;
            // The first series is the most important and lies on top.
            styled.iter().rev().try_for_each(|one| one.draw(canvas, inside, x, up(one.series.on_right)))
        })
    }

    fn check(&self) -> Result<(), PlotError> {
        let title = || self.title.clone();
        if self.series.is_empty() {
            return Err(PlotError::Empty { title: title(), what: "plot".into() });
        }
        for series in &self.series {
            let what = format!("series {:?}", series.name);
            if series.points.is_empty() {
                return Err(PlotError::Empty { title: title(), what });
            }
            let axis = match (&self.right, series.on_right) {
                (None, true) => return Err(PlotError::NoRightAxis { title: title(), what }),
                (Some(right), true) => right,
                (_, false) => &self.y,
            };
            for point in &series.points {
                check_value(&self.title, &what, &self.x, point.x)?;
                for value in heights(point) {
                    check_value(&self.title, &what, axis, value)?;
                }
            }
        }
        for reference in &self.references {
            let axis = if reference.upright { &self.x } else { &self.y };
            check_value(&self.title, &format!("reference {:?}", reference.label), axis, reference.value)?;
        }
        Ok(())
    }

    fn xs(&self) -> impl Iterator<Item = f64> {
        let upright = self.references.iter().filter(|r| r.upright).map(|r| r.value);
        self.series.iter().flat_map(|series| &series.points).map(|point| point.x).chain(upright)
    }

    fn ys(&self, on_right: bool) -> impl Iterator<Item = f64> {
        let lying = self.references.iter().filter(move |r| !r.upright && !on_right).map(|r| r.value);
        let series = self.series.iter().filter(move |series| series.on_right == on_right);
        series.flat_map(|series| &series.points).flat_map(heights).chain(lying)
    }

    fn styled(&self) -> Vec<Styled<'_>> {
        let style = |(marker, series): (usize, &'_ Series)| {
            let before = self.series.iter().take(marker);
            let repeated = before.filter(|other| other.colour == series.colour).count();
            let dash = DASHES.get(repeated % DASHES.len()).copied().flatten();
            Stroke { colour: series.colour, width: LINE_WIDTH, dash }
        };
        let numbered = self.series.iter().enumerate();
        numbered.map(|(marker, series)| Styled { series, stroke: style((marker, series)), marker }).collect()
    }

    fn draw_references(
        &self,
        canvas: &Canvas<'_>,
        inside: Inside,
        x: Span,
        y: Span,
    ) -> Result<(), PlotError> {
        let stroke = Stroke { colour: REFERENCE, width: 1.2, dash: Some((5, 4)) };
        for reference in &self.references {
            if reference.upright {
                let x = inside.x(x.share(reference.value));
                canvas.path(&[(x, inside.top), (x, inside.bottom)], stroke)?;
                let room = text_width(&reference.label, frame::SMALL_SIZE) + 8.0;
                let (align, shift) =
                    if x + room < inside.right { (Align::Start, 4.0) } else { (Align::End, -4.0) };
                canvas.text(&reference.label, (x + shift, inside.bottom - 6.0), frame::note(align))?;
            } else {
                let y = inside.y(y.share(reference.value));
                canvas.path(&[(inside.left, y), (inside.right, y)], stroke)?;
                canvas.text(&reference.label, (inside.left + 6.0, y - 4.0), frame::note(Align::Start))?;
            }
        }
        Ok(())
    }
}

impl Styled<'_> {
    fn legend(&self) -> LegendEntry<'_> {
        let sample = move |canvas: &Canvas<'_>, (x, y): Place, width: f64| {
            if self.series.joined {
                canvas.path(&[(x, y), (x + width, y)], self.stroke)?;
            }
            if self.has_markers() { self.draw_marker(canvas, (x + width / 2.0, y)) } else { Ok(()) }
        };
        LegendEntry { name: &self.series.name, sample: Box::new(sample) }
    }

    fn has_markers(&self) -> bool {
        !self.series.joined || self.series.points.len() <= MOST_MARKERS
    }

    fn draw(&self, canvas: &Canvas<'_>, inside: Inside, x: Span, y: Span) -> Result<(), PlotError> {
        let place = |point: &Point| (inside.x(x.share(point.x)), inside.y(y.share(point.y)));
        let places: Vec<Place> = self.series.points.iter().map(place).collect();
        if self.series.joined && places.len() > 1 {
            canvas.path(&places, self.stroke)?;
        }
        if !self.has_markers() {
            return Ok(());
        }
        places.into_iter().try_for_each(|place| self.draw_marker(canvas, place))
    }

    fn draw_interval(&self, canvas: &Canvas<'_>, inside: Inside, x: Span, y: Span) -> Result<(), PlotError> {
        let place = |x_value: f64, y_value: f64| (inside.x(x.share(x_value)), inside.y(y.share(y_value)));
        let known: Vec<(f64, f64, f64)> = self
            .series
            .points
            .iter()
            .filter_map(|point| point.interval.map(|(from, to)| (point.x, from, to)))
            .collect();
        if self.series.interval == Interval::Shaded && known.len() > 1 {
            let below = known.iter().map(|&(x, from, _)| place(x, from));
            let above = known.iter().rev().map(|&(x, _, to)| place(x, to));
            return canvas.polygon(&below.chain(above).collect::<Vec<_>>(), self.stroke.colour, SHADE);
        }
        let stroke = Stroke::solid(self.stroke.colour.tint(0.25), 1.2);
        for (x, from, to) in known {
            let ((middle, bottom), (_, top)) = (place(x, from), place(x, to));
            canvas.path(&[(middle, bottom), (middle, top)], stroke)?;
            for y in [bottom, top] {
                canvas.path(&[(middle - 3.5, y), (middle + 3.5, y)], stroke)?;
            }
        }
        Ok(())
    }

    fn draw_marker(&self, canvas: &Canvas<'_>, (x, y): Place) -> Result<(), PlotError> {
        let (r, colour) = (MARKER_RADIUS, self.stroke.colour);
        let around = |corners: &[Place]| {
            let corners: Vec<Place> = corners.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect();
            canvas.polygon(&corners, colour, 1.0)
        };
        match self.marker % 6 {
            0 => canvas.disc((x, y), r, colour),
            1 => around(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            2 => around(&[(0.0, -1.2), (1.1, 0.9), (-1.1, 0.9)]),
            3 => around(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
            4 => around(&[(0.0, 1.2), (1.1, -0.9), (-1.1, -0.9)]),
            _ => {
                canvas.disc((x, y), r, colour)?;
                canvas.disc((x, y), r * 0.55, Colour(255, 255, 255))
            }
        }
    }
}

/// The value and the ends of its interval.
fn heights(point: &Point) -> impl Iterator<Item = f64> {
    let ends = point.interval.into_iter().flat_map(|(from, to)| [from, to]);
    std::iter::once(point.y).chain(ends)
}

/// Whether `value` has a place on `axis`.
pub(crate) fn check_value(title: &str, what: &str, axis: &Axis, value: f64) -> Result<(), PlotError> {
    let (title, what) = (title.to_owned(), what.to_owned());
    if !value.is_finite() {
        return Err(PlotError::NotFinite { title, what, value });
    }
    if !axis.shows(value) {
        return Err(PlotError::NotPositive { title, what, value });
    }
    Ok(())
}

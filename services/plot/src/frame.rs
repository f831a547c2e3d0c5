//! What surrounds the drawn values: title, axes with ticks and grid, legend.

use crate::{
    axis::Span,
    canvas::{Align, Canvas, Letters, Place, Stroke},
    colour::Colour,
    error::PlotError,
    width::text_width,
};

/// Width and height of a plot in pixels.
pub(crate) const SIZE: (u32, u32) = (900, 560);

const INK: Colour = Colour(0x22, 0x22, 0x22);
const PALE_INK: Colour = Colour(0x66, 0x66, 0x66);
const GRID: Colour = Colour(0xDD, 0xDD, 0xDD);
const FAINT_GRID: Colour = Colour(0xF0, 0xF0, 0xF0);
const TITLE_SIZE: f64 = 15.0;
const LABEL_SIZE: f64 = 12.5;
const TICK_SIZE: f64 = 11.5;
/// Size of what is written beside single values.
pub(crate) const SMALL_SIZE: f64 = 10.0;
const EDGE: f64 = 14.0;
const LEGEND_LINE: f64 = 20.0;
/// Width of the sample of line or bar in the legend.
const SWATCH: f64 = 26.0;
/// Widest legend; longer names are set smaller.
const LEGEND_MOST: f64 = 250.0;

/// Title and what stands under it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading<'a> {
    pub(crate) title: &'a str,
    pub(crate) subtitle: &'a str,
}

/// Draws a sample of line or bar: the middle of its left side and its width are given.
pub(crate) type Sample<'a> = dyn Fn(&Canvas<'_>, Place, f64) -> Result<(), PlotError> + 'a;

/// One line of the legend.
pub(crate) struct LegendEntry<'a> {
    pub(crate) name: &'a str,
    pub(crate) sample: Box<Sample<'a>>,
}

/// What stands at the bottom.
pub(crate) enum Bottom<'a> {
    /// A scale.
    Span(Span),
    /// Nothing but the lines of text below the drawing; the caller writes them.
    Lines(usize),
    /// One group after another, all of the same width.
    Groups(&'a [String]),
}

/// A plot's surroundings.
pub(crate) struct Frame<'a> {
    pub(crate) heading: Heading<'a>,
    pub(crate) bottom: Bottom<'a>,
    pub(crate) bottom_label: &'a str,
    pub(crate) left: (Span, &'a str),
    pub(crate) right: Option<(Span, &'a str)>,
    pub(crate) legend: Vec<LegendEntry<'a>>,
}

/// Where values are drawn, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Inside {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Inside {
    pub(crate) fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    pub(crate) fn y(&self, share: f64) -> f64 {
        self.bottom - share * (self.bottom - self.top)
    }
}

/// Small letters for values and notes inside the drawing.
pub(crate) fn note(align: Align) -> Letters {
    Letters::new(SMALL_SIZE, PALE_INK, align)
}

/// Letters of ticks and groups.
pub(crate) fn tick_letters(align: Align) -> Letters {
    Letters::new(TICK_SIZE, INK, align)
}

/// Title and subtitle; the height they take.
pub(crate) fn draw_heading(canvas: &Canvas<'_>, heading: Heading<'_>) -> Result<f64, PlotError> {
    let room = f64::from(SIZE.0) - 2.0 * EDGE;
    let fit = |text: &str, size: f64| size * (room / text_width(text, size).max(1.0)).min(1.0);
    let letters = Letters {
        bold: true,
        ..Letters::new(fit(heading.title, TITLE_SIZE * 0.92) / 0.92, INK, Align::Start)
    };
    canvas.text(heading.title, (EDGE, EDGE + 14.0), letters)?;
    if heading.subtitle.is_empty() {
        return Ok(EDGE + 32.0);
    }
    let letters = Letters::new(fit(heading.subtitle, TICK_SIZE), PALE_INK, Align::Start);
    canvas.text(heading.subtitle, (EDGE, EDGE + 33.0), letters)?;
    Ok(EDGE + 50.0)
}

impl Frame<'_> {
    /// Draws all that surrounds the values, and says where they go.
    pub(crate) fn draw(&self, canvas: &Canvas<'_>) -> Result<Inside, PlotError> {
        let top = draw_heading(canvas, self.heading)?;
        let legend_width = self.legend_width();
        let right_room = match &self.right {
            None => 0.0,
            Some((span, _)) => widest_label(span) + 36.0,
        };
        let below = match self.bottom {
            Bottom::Span(_) | Bottom::Groups(_) => 24.0,
            Bottom::Lines(lines) => 8.0 + 16.0 * lines as f64,
        };
        let label_room = if self.bottom_label.is_empty() { 0.0 } else { 24.0 };
        let inside = Inside {
            left: EDGE + 26.0 + widest_label(&self.left.0),
            right: f64::from(SIZE.0) - EDGE - legend_width - right_room,
            top,
            bottom: f64::from(SIZE.1) - EDGE - below - label_room,
        };
        self.draw_left(canvas, inside)?;
        self.draw_bottom(canvas, inside, below)?;
        self.draw_right(canvas, inside)?;
        self.draw_legend(canvas, (inside.right + right_room + 16.0, inside.top))?;
        Ok(inside)
    }

    fn draw_left(&self, canvas: &Canvas<'_>, inside: Inside) -> Result<(), PlotError> {
        let (span, label) = &self.left;
        let mut ticks = span.ticks();
        // Faint lines first, so that none crosses a strong one.
        ticks.sort_by_key(|tick| tick.label.is_some());
        for tick in ticks {
            let y = inside.y(tick.share);
            let colour = if tick.label.is_some() { GRID } else { FAINT_GRID };
            canvas.path(&[(inside.left, y), (inside.right, y)], Stroke::solid(colour, 1.0))?;
            if let Some(text) = tick.label {
                canvas.text(&text, (inside.left - 6.0, y + 0.36 * TICK_SIZE), tick_letters(Align::End))?;
            }
        }
        let letters = Letters { upright: true, ..Letters::new(LABEL_SIZE, INK, Align::Middle) };
        let middle = f64::midpoint(inside.top, inside.bottom);
        canvas.text(label, (EDGE + 8.0, middle), letters)
    }

    fn draw_bottom(&self, canvas: &Canvas<'_>, inside: Inside, below: f64) -> Result<(), PlotError> {
        let line = inside.bottom + 16.0;
        match &self.bottom {
            Bottom::Lines(_) => {}
            Bottom::Groups(groups) => {
                let width = (inside.right - inside.left) / groups.len().max(1) as f64;
                for (i, group) in groups.iter().enumerate() {
                    let size = TICK_SIZE * (width * 0.96 / text_width(group, TICK_SIZE).max(1.0)).min(1.0);
                    let letters = Letters { size, ..tick_letters(Align::Middle) };
                    canvas.text(group, (inside.left + (i as f64 + 0.5) * width, line), letters)?;
                }
            }
            Bottom::Span(span) => {
                let mut ticks = span.ticks();
                ticks.sort_by_key(|tick| tick.label.is_some());
                let mut free_from = f64::NEG_INFINITY;
                for tick in ticks {
                    let x = inside.x(tick.share);
                    let colour = if tick.label.is_some() { GRID } else { FAINT_GRID };
                    canvas.path(&[(x, inside.top), (x, inside.bottom)], Stroke::solid(colour, 1.0))?;
                    let Some(text) = tick.label else { continue };
                    let half = text_width(&text, TICK_SIZE) / 2.0;
                    if x - half > free_from {
                        canvas.text(&text, (x, line), tick_letters(Align::Middle))?;
                        free_from = x + half + 4.0;
                    }
                }
            }
        }
        let axis = [(inside.left, inside.top), (inside.left, inside.bottom), (inside.right, inside.bottom)];
        canvas.path(&axis, Stroke::solid(INK, 1.0))?;
        let middle = f64::midpoint(inside.left, inside.right);
        let letters = Letters::new(LABEL_SIZE, INK, Align::Middle);
        if self.bottom_label.is_empty() {
            return Ok(());
        }
        canvas.text(self.bottom_label, (middle, inside.bottom + below + 16.0), letters)
    }

    fn draw_right(&self, canvas: &Canvas<'_>, inside: Inside) -> Result<(), PlotError> {
        let Some((span, label)) = &self.right else { return Ok(()) };
        canvas.path(&[(inside.right, inside.top), (inside.right, inside.bottom)], Stroke::solid(INK, 1.0))?;
        for tick in span.ticks() {
            let y = inside.y(tick.share);
            canvas.path(&[(inside.right, y), (inside.right + 4.0, y)], Stroke::solid(INK, 1.0))?;
            if let Some(text) = tick.label {
                let place = (inside.right + 7.0, y + 0.36 * TICK_SIZE);
                canvas.text(&text, place, tick_letters(Align::Start))?;
            }
        }
        let letters = Letters { upright: true, ..Letters::new(LABEL_SIZE, INK, Align::Middle) };
        let place = (inside.right + widest_label(span) + 24.0, f64::midpoint(inside.top, inside.bottom));
        canvas.text(label, place, letters)
    }

    fn legend_width(&self) -> f64 {
        if self.legend.is_empty() { 0.0 } else { self.widest_name().min(LEGEND_MOST) + SWATCH + 24.0 }
    }

    fn widest_name(&self) -> f64 {
        self.legend.iter().map(|entry| text_width(entry.name, TICK_SIZE)).fold(0.0, f64::max)
    }

    fn draw_legend(&self, canvas: &Canvas<'_>, (left, top): Place) -> Result<(), PlotError> {
        let size = TICK_SIZE * (LEGEND_MOST / self.widest_name().max(1.0)).min(1.0);
        let room = f64::from(SIZE.1) - EDGE - top;
        let line = LEGEND_LINE.min(room / self.legend.len().max(1) as f64);
        for (i, entry) in self.legend.iter().enumerate() {
            let y = top + line * (i as f64 + 0.5);
            (entry.sample)(canvas, (left, y), SWATCH)?;
            let letters = Letters { size, ..tick_letters(Align::Start) };
            canvas.text(entry.name, (left + SWATCH + 8.0, y + 0.36 * size), letters)?;
        }
        Ok(())
    }
}

fn widest_label(span: &Span) -> f64 {
    let labels = span.ticks().into_iter().filter_map(|tick| tick.label);
    labels.map(|label| text_width(&label, TICK_SIZE)).fold(0.0, f64::max)
}

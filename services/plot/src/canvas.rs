//! Strokes on an SVG, in pixels of the finished plot.

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle, Text},
    style::{
        Color, FontFamily, FontStyle, FontTransform, IntoFont, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{colour::Colour, error::PlotError};

/// Places of the drawing in one pixel of the plot: plotters knows whole places only, and lines that jump by
/// whole pixels look ragged.
pub(crate) const FINE: f64 = 8.0;
/// What a reader without the first font sees is nearly as wide.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// By this factor plotters divides the size of a font that it hands to SVG.
const FONT_FACTOR: f64 = 1.24;
/// How far above the place that plotters is given its text stands when told "bottom", in font sizes.
const BOTTOM_SHIFT: f64 = 0.25;

/// A place in pixels, from the left and from the top.
pub(crate) type Place = (f64, f64);

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) colour: Colour,
    pub(crate) width: f64,
    /// Dash and gap in pixels; `None` for an unbroken line.
    pub(crate) dash: Option<(u32, u32)>,
}

impl Stroke {
    pub(crate) const fn solid(colour: Colour, width: f64) -> Self {
        Self { colour, width, dash: None }
    }
}

/// Which side of a text its place is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Middle,
    End,
}

/// How text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Letters {
    pub(crate) size: f64,
    pub(crate) colour: Colour,
    pub(crate) align: Align,
    pub(crate) bold: bool,
    /// Read from bottom to top.
    pub(crate) upright: bool,
}

impl Letters {
    pub(crate) const fn new(size: f64, colour: Colour, align: Align) -> Self {
        Self { size, colour, align, bold: false, upright: false }
    }
}

/// A drawing under way.
pub(crate) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a plot of `size` pixels as SVG.
pub(crate) fn draw_svg(
    size: (u32, u32),
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    let fine = |x: u32| (f64::from(x) * FINE) as u32;
    {
        let canvas = Canvas {
            area: SVGBackend::with_string(&mut svg, (fine(size.0), fine(size.1))).into_drawing_area(),
        };
        canvas.rectangle((0.0, 0.0), (f64::from(size.0), f64::from(size.1)), Colour(255, 255, 255), 1.0)?;
        draw(&canvas)?;
        canvas.area.present()?;
    }
    let fine_size = format!("width=\"{}\" height=\"{}\"", fine(size.0), fine(size.1));
    let pixels = format!("width=\"{}\" height=\"{}\" stroke-linejoin=\"round\"", size.0, size.1);
    Ok(svg.replacen(&fine_size, &pixels, 1))
}

impl Canvas<'_> {
    pub(crate) fn rectangle(
        &self,
        from: Place,
        to: Place,
        fill: Colour,
        opacity: f64,
    ) -> Result<(), PlotError> {
        let style = fill.rgb().mix(opacity).filled();
        Ok(self.area.draw(&Rectangle::new([fine(from), fine(to)], style))?)
    }

    pub(crate) fn polygon(&self, corners: &[Place], fill: Colour, opacity: f64) -> Result<(), PlotError> {
        let style = fill.rgb().mix(opacity).filled();
        Ok(self.area.draw(&Polygon::new(corners.iter().copied().map(fine).collect::<Vec<_>>(), style))?)
    }

    pub(crate) fn disc(&self, middle: Place, radius: f64, fill: Colour) -> Result<(), PlotError> {
        Ok(self.area.draw(&Circle::new(fine(middle), fine_length(radius), fill.rgb().filled()))?)
    }

    pub(crate) fn path(&self, places: &[Place], stroke: Stroke) -> Result<(), PlotError> {
        let places: Vec<(i32, i32)> = places.iter().copied().map(fine).collect();
        let style = ShapeStyle {
            color: stroke.colour.rgb().to_rgba(),
            filled: false,
            stroke_width: fine_length(stroke.width).unsigned_abs(),
        };
        match stroke.dash {
            None => self.area.draw(&PathElement::new(places, style))?,
            Some((dash, gap)) => {
                let [dash, gap] = [dash, gap].map(|length| fine_length(f64::from(length)));
                self.area.draw(&DashedPathElement::new(places, dash, gap, style))?;
            }
        }
        Ok(())
    }

    /// Sets `text` with its base line at `place`.
    pub(crate) fn text(&self, text: &str, place: Place, letters: Letters) -> Result<(), PlotError> {
        let Letters { size, colour, align, bold, upright } = letters;
        let place = if upright {
            (place.0 + BOTTOM_SHIFT * size, place.1)
        } else {
            (place.0, place.1 + BOTTOM_SHIFT * size)
        };
        let horizontal = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let weight = if bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FontFamily::Name(FAMILY), size * FINE * FONT_FACTOR, weight).into_font();
        let font = if upright { font.transform(FontTransform::Rotate270) } else { font };
        let rgb = colour.rgb();
        let style = TextStyle::from(font).color(&rgb).pos(Pos::new(horizontal, VPos::Bottom));
        Ok(self.area.draw(&Text::new(text.to_owned(), fine(place), style))?)
    }
}

fn fine((x, y): Place) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn fine_length(length: f64) -> i32 {
    (length * FINE).round() as i32
}

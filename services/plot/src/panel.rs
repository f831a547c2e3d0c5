//! Pictures beside each other with captions.

use std::{fmt::Write, io::Cursor};

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat};

use crate::{
    canvas::{Align, draw_svg},
    error::PlotError,
    frame::{self, Heading},
};

const GAP: f64 = 14.0;
const CAPTION: f64 = 24.0;

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What stands under it.
    pub caption: String,
    /// Its pixels, gray or RGB.
    pub image: DynamicImage,
}

/// Pictures in rows of the same number, each as large as its place allows.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePanel {
    /// Title.
    pub title: String,
    /// What stands under it; may be empty.
    pub subtitle: String,
    /// Pictures in a row.
    pub columns: usize,
    /// The pictures, row by row.
    pub panels: Vec<Panel>,
}

impl ImagePanel {
    /// A panel without pictures.
    pub fn new(title: impl Into<String>, columns: usize) -> Self {
        Self { title: title.into(), subtitle: String::new(), columns, panels: Vec::new() }
    }

    /// The panel with a line under its title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// The panel with one picture more.
    pub fn image(mut self, caption: impl Into<String>, image: impl Into<DynamicImage>) -> Self {
        self.panels.push(Panel { caption: caption.into(), image: image.into() });
        self
    }

    /// The drawing as SVG, with the pictures in it.
    ///
    /// # Errors
    /// [`PlotError`] when there is no picture, or one without pixels.
    pub fn svg(&self) -> Result<String, PlotError> {
        self.check()?;
        let mut images = String::new();
        let svg = draw_svg(frame::SIZE, |canvas| {
            let heading = Heading { title: &self.title, subtitle: &self.subtitle };
            let top = frame::draw_heading(canvas, heading)?;
            let columns = self.columns.clamp(1, self.panels.len());
            let rows = self.panels.len().div_ceil(columns);
            let width = (f64::from(frame::SIZE.0) - GAP) / columns as f64;
            let height = (f64::from(frame::SIZE.1) - top) / rows as f64;
            for (i, panel) in self.panels.iter().enumerate() {
                let left = GAP + (i % columns) as f64 * width;
                let top = top + (i / columns) as f64 * height;
                let room = (width - GAP, height - CAPTION - GAP / 2.0);
                let (size, place) = fit(&panel.image, (left, top), room);
                images.push_str(&element(&panel.image, place, size)?);
                let caption = (left + room.0 / 2.0, place.1 + size.1 + 16.0);
                canvas.text(&panel.caption, caption, frame::tick_letters(Align::Middle))?;
            }
            Ok(())
        })?;
        // plotters itself embeds pictures only by way of an image library of its own.
        let body = svg.trim_end().strip_suffix("</svg>").unwrap_or(&svg);
        Ok(format!("{body}{images}</svg>\n"))
    }

    fn check(&self) -> Result<(), PlotError> {
        let empty = |what: String| PlotError::Empty { title: self.title.clone(), what };
        if self.panels.is_empty() {
            return Err(empty("plot".into()));
        }
        let without = self.panels.iter().find(|panel| panel.image.width() == 0 || panel.image.height() == 0);
        without.map_or(Ok(()), |panel| Err(empty(format!("picture {:?}", panel.caption))))
    }
}

/// Size and place of a picture in the middle of its room.
fn fit(image: &DynamicImage, (left, top): (f64, f64), room: (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let scale = (room.0 / width).min(room.1 / height);
    let size = (width * scale, height * scale);
    (size, (left + (room.0 - size.0) / 2.0, top + (room.1 - size.1) / 2.0))
}

fn element(image: &DynamicImage, place: (f64, f64), size: (f64, f64)) -> Result<String, PlotError> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    let fine = crate::canvas::FINE;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "<image x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" image-rendering=\"optimizeSpeed\" \
         href=\"data:image/png;base64,{}\"/>",
        place.0 * fine,
        place.1 * fine,
        size.0 * fine,
        size.1 * fine,
        STANDARD.encode(png.into_inner()),
    );
    Ok(text)
}

//! From SVG to PNG, with the font that the program brings.

use std::{io::Cursor, sync::Arc};

use image::{ImageFormat, RgbImage};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use crate::error::PlotError;

/// Pixels of the PNG in one pixel of the SVG, in each direction.
const ZOOM: f32 = 1.5;

/// The PNG file of an SVG; what is not drawn is white.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, PlotError> {
    let options = Options { fontdb: Arc::new(fonts()), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|length| (length * ZOOM).ceil() as u32);
    let none = || PlotError::Pixels { width, height };
    let mut pixels = Pixmap::new(width, height).ok_or_else(none)?;
    resvg::render(&tree, Transform::from_scale(ZOOM, ZOOM), &mut pixels.as_mut());
    // Premultiplied colours over white.
    let rgb = pixels
        .pixels()
        .iter()
        .flat_map(|p| [p.red(), p.green(), p.blue()].map(|c| c.saturating_add(255 - p.alpha())))
        .collect();
    let picture = RgbImage::from_raw(width, height, rgb).ok_or_else(none)?;
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

fn fonts() -> Database {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    fonts
}

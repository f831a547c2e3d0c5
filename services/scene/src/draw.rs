//! Drawing for people: boxes with labels, captions, contact sheets.

mod font;

use autotiler_core::boxes::{BBox, Detection, GroundTruth};

use crate::picture::Picture;

/// Pixels between the pictures of a contact sheet.
const GAP_PX: usize = 6;
const PAPER: [u8; 3] = [24, 26, 30];
const INK: [u8; 3] = [235, 235, 230];
/// Boxes of the truth, whatever their class.
const TRUTH: [u8; 3] = [255, 255, 255];

/// Colours of the classes, in turn.
const COLOURS: [[u8; 3]; 10] = [
    [230, 60, 60],
    [60, 200, 90],
    [80, 130, 250],
    [250, 210, 50],
    [235, 90, 220],
    [60, 215, 220],
    [250, 145, 40],
    [170, 120, 250],
    [150, 220, 50],
    [250, 150, 170],
];

/// The colour of a class.
pub fn class_colour(class: u16) -> [u8; 3] {
    COLOURS[usize::from(class) % COLOURS.len()]
}

/// Draws each detection's box with its class name and score in percent.
pub fn detections(picture: &mut Picture, detections: &[Detection], names: &[impl AsRef<str>]) {
    let thick = thickness(picture);
    // The surest is drawn last, so that its label is on top.
    let mut surest_last: Vec<&Detection> = detections.iter().collect();
    surest_last.sort_by(|a, b| a.score.total_cmp(&b.score));
    for found in surest_last {
        let colour = class_colour(found.class);
        outline(picture, &found.bbox, colour, thick);
        let name = names.get(usize::from(found.class)).map_or("?", AsRef::as_ref);
        label(picture, &found.bbox, &format!("{name} {:.0}", found.score * 100.0), colour);
    }
}

/// Draws each annotated box, thin and white.
pub fn truth(picture: &mut Picture, truth: &[GroundTruth]) {
    for object in truth {
        outline(picture, &object.bbox, TRUTH, 1);
    }
}

/// Draws the edges of a box, `thick` pixels inwards.
pub fn outline(picture: &mut Picture, bbox: &BBox, rgb: [u8; 3], thick: usize) {
    let (x0, y0, x1, y1) = pixels(picture, bbox);
    let thick_x = thick.min(x1 - x0);
    let thick_y = thick.min(y1 - y0);
    fill(picture, (x0, y0), (x1, y0 + thick_y), rgb);
    fill(picture, (x0, y1 - thick_y), (x1, y1), rgb);
    fill(picture, (x0, y0), (x0 + thick_x, y1), rgb);
    fill(picture, (x1 - thick_x, y0), (x1, y1), rgb);
}

/// Writes a line of text with its upper left corner at (`x`, `y`); letters are `7 * scale` pixels high and
/// all capitals. What falls outside is cut off.
pub fn text(picture: &mut Picture, (x, y): (usize, usize), line: &str, rgb: [u8; 3], scale: usize) {
    for (i, letter) in line.chars().enumerate() {
        let left = x + i * font::ADVANCE * scale;
        for (row, bits) in font::glyph(letter).into_iter().enumerate() {
            for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                let (x, y) = (left + column * scale, y + row * scale);
                fill(picture, (x, y), (x + scale, y + scale), rgb);
            }
        }
    }
}

/// Lays pictures out in rows of `columns`, each above its caption (lines split at `\n`). All cells are as
/// large as the largest picture and the longest line need. Without pictures it is a single dark pixel.
pub fn sheet(tiles: &[(Picture, String)], columns: usize) -> Picture {
    let columns = columns.clamp(1, tiles.len().max(1));
    let width = tiles.iter().map(|(picture, caption)| picture.width.max(caption_px(caption).0)).max();
    let picture_height = tiles.iter().map(|(picture, _)| picture.height).max().unwrap_or(0);
    let caption_height = tiles.iter().map(|(_, caption)| caption_px(caption).1).max().unwrap_or(0);
    let (cell_w, cell_h) = (width.unwrap_or(0) + GAP_PX, picture_height + caption_height + GAP_PX);
    let rows = tiles.len().div_ceil(columns);
    let mut sheet = Picture::filled(columns * cell_w + GAP_PX, rows * cell_h + GAP_PX, PAPER);
    for (i, (picture, caption)) in tiles.iter().enumerate() {
        let corner = (GAP_PX + i % columns * cell_w, GAP_PX + i / columns * cell_h);
        paste(&mut sheet, picture, corner);
        for (line, words) in caption.lines().enumerate() {
            let y = corner.1 + picture_height + 3 + line * (font::HEIGHT + 3);
            text(&mut sheet, (corner.0, y), words, INK, 1);
        }
    }
    sheet
}

/// Copies a picture into another with its upper left corner at (`x`, `y`); what falls outside is cut off.
pub fn paste(onto: &mut Picture, picture: &Picture, (x, y): (usize, usize)) {
    let columns = picture.width.min(onto.width.saturating_sub(x));
    let rows = picture.height.min(onto.height.saturating_sub(y));
    for row in 0..rows {
        let from = row * picture.width * 3;
        let to = ((y + row) * onto.width + x) * 3;
        onto.rgb[to..to + columns * 3].copy_from_slice(&picture.rgb[from..from + columns * 3]);
    }
}

fn thickness(picture: &Picture) -> usize {
    (picture.width.min(picture.height) / 200).clamp(1, 4)
}

fn caption_px(caption: &str) -> (usize, usize) {
    let longest = caption.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    (longest * font::ADVANCE, caption.lines().count() * (font::HEIGHT + 3) + 3)
}

/// A name on a ground of the box's colour: above the box, or inside where there is no room.
fn label(picture: &mut Picture, bbox: &BBox, words: &str, rgb: [u8; 3]) {
    let scale = thickness(picture);
    let (x0, y0, ..) = pixels(picture, bbox);
    let (wide, high) = (words.chars().count() * font::ADVANCE * scale + 1, (font::HEIGHT + 2) * scale);
    let x0 = x0.min(picture.width.saturating_sub(wide));
    let y0 = y0.checked_sub(high).unwrap_or(y0);
    fill(picture, (x0, y0), (x0 + wide, y0 + high), rgb);
    let bright = rgb.iter().map(|&v| u32::from(v)).sum::<u32>() > 380;
    let ink = if bright { [10; 3] } else { [255; 3] };
    text(picture, (x0 + scale, y0 + scale), words, ink, scale);
}

/// Corners of a box in pixels, clipped to the picture; the second pair exclusive and not before the first.
fn pixels(picture: &Picture, bbox: &BBox) -> (usize, usize, usize, usize) {
    // `as` turns what is no number into 0.
    let at = |share: f32, side: usize| ((share * side as f32).round() as usize).min(side);
    let (x0, y0) = (at(bbox.x0, picture.width), at(bbox.y0, picture.height));
    let (x1, y1) = (at(bbox.x1, picture.width), at(bbox.y1, picture.height));
    (x0, y0, x1.max(x0), y1.max(y0))
}

fn fill(picture: &mut Picture, from: (usize, usize), to: (usize, usize), rgb: [u8; 3]) {
    for y in from.1..to.1.min(picture.height) {
        for x in from.0..to.0.min(picture.width) {
            picture.set_pixel(x, y, rgb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: BBox = BBox { x0: 0.2, y0: 0.2, x1: 0.8, y1: 0.8 };

    #[test]
    fn a_box_has_edges_and_no_filling() {
        let mut picture = Picture::filled(10, 10, [0; 3]);
        outline(&mut picture, &BOX, [9; 3], 1);
        let painted = picture.rgb.chunks_exact(3).filter(|p| p[0] == 9).count();
        assert_eq!((painted, picture.pixel(2, 2), picture.pixel(7, 7)), (20, Some([9; 3]), Some([9; 3])));
        assert_eq!(picture.pixel(4, 4), Some([0; 3]));
    }

    #[test]
    fn letters_differ_and_unknown_ones_are_boxes() {
        let drawn = |line| {
            let mut picture = Picture::filled(8, 8, [0; 3]);
            text(&mut picture, (0, 0), line, [255; 3], 1);
            picture
        };
        assert_ne!(drawn("A"), drawn("B"));
        assert_eq!(drawn("a"), drawn("A"));
        assert_ne!(drawn("\u{1F600}"), drawn(" "));
    }

    #[test]
    fn boxes_out_of_the_picture_do_not_panic() {
        let mut picture = Picture::filled(16, 16, [0; 3]);
        let edges = [-5.0, -0.1, 0.0, 0.5, 1.0, 7.0, f32::NAN, f32::INFINITY];
        for x0 in edges {
            for x1 in edges {
                let bbox = BBox { x0, y0: x1, x1, y1: x0 };
                detections(&mut picture, &[Detection { class: 300, score: f32::NAN, bbox }], &["car"]);
            }
        }
    }

    #[test]
    fn a_sheet_holds_every_picture() {
        let tiles: Vec<_> =
            (1..=5).map(|i| (Picture::filled(20, 10, [i * 40; 3]), format!("number {i}\nline"))).collect();
        let sheet = sheet(&tiles, 2);
        for (picture, _) in &tiles {
            let count = sheet.rgb.chunks_exact(3).filter(|p| p[0] == picture.rgb[0]).count();
            assert!(count >= 200, "{count}");
        }
        assert_eq!(super::sheet(&[], 3).rgb[..3], PAPER);
    }
}

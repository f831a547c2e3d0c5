//! Figure 3: a picture cut into ever smaller parts, each a JPEG file of its own.

use autotiler_plot::{Axis, Bars, ValueSeries};
use autotiler_scene::Picture;
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use serde::Serialize;

use super::{FigureError, Study, sheet::Sheet};
use crate::error::EvalError;

/// JPEG quality: the usual default.
const QUALITY: u8 = 75;
/// Parts along each side.
const PARTS: [usize; 5] = [1, 2, 4, 8, 16];
/// Most pictures that are looked at.
const PICTURES: usize = 100;

/// A row of `fig3.csv`.
#[derive(Serialize)]
struct Row {
    parts: usize,
    mean_width: f64,
    mean_height: f64,
    raw_kbit: f64,
    jpeg_kbit: f64,
    compression_ratio: f64,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let pictures: Vec<&Picture> =
        study.bench().samples().take(PICTURES).map(|sample| &sample.picture).collect();
    let rows = PARTS.iter().map(|&n| row(&pictures, n)).collect::<Result<Vec<_>, _>>()?;
    let groups = rows.iter().map(|row| format!("{:.0}x{:.0}", row.mean_width, row.mean_height));
    let ratios = rows.iter().map(|row| Some(row.compression_ratio));
    let axis = Axis::linear("JPEG compression ratio").covering(0.0, 0.0);
    let chart = Bars::new("JPEG of ever smaller parts", "mean size of a part (pixels)", groups, axis)
        .subtitle(format!("quality {QUALITY}; {} pictures of {}", pictures.len(), study.bench().set()))
        .series(ValueSeries::new("JPEG", ratios));
    sheet.plot("", chart)?;
    let ratio = |row: &Row| format!("{:.1}", row.compression_ratio);
    let falls = rows.windows(2).all(|pair| match pair {
        [larger, smaller] => smaller.compression_ratio < larger.compression_ratio,
        _ => true,
    });
    sheet.claim(
        "the compression ratio falls with the size of the parts",
        format!(
            "{} from whole pictures to {} parts",
            rows.iter().map(ratio).collect::<Vec<_>>().join(", "),
            16 * 16
        ),
        Some(falls),
    );
    sheet.note("Each part is a file with its own headers, as each map of a frame per channel is.");
    sheet.table("", rows)
}

/// All pictures in `n` x `n` parts.
fn row(pictures: &[&Picture], n: usize) -> Result<Row, FigureError> {
    let (mut bytes, mut pixels, mut width, mut height) = (0, 0, 0, 0);
    for picture in pictures {
        (width, height) = (width + picture.width, height + picture.height);
        pixels += picture.width * picture.height;
        for part in parts(picture, n) {
            bytes += jpeg_len(&part)?;
        }
    }
    if bytes == 0 {
        return Err(FigureError::NoPicture);
    }
    let (raw_kbit, jpeg_kbit) = (pixels as f64 * 24.0 / 1e3, bytes as f64 * 8.0 / 1e3);
    let count = pictures.len() as f64;
    let side = |sum: usize| sum as f64 / count / n as f64;
    Ok(Row {
        parts: n * n,
        mean_width: side(width),
        mean_height: side(height),
        raw_kbit: raw_kbit / count,
        jpeg_kbit: jpeg_kbit / count,
        compression_ratio: raw_kbit / jpeg_kbit,
    })
}

/// A picture in `n` x `n` parts whose sizes differ by a pixel at most; those without pixels are left out.
fn parts(picture: &Picture, n: usize) -> impl Iterator<Item = Picture> {
    (0..n * n).filter_map(move |number| {
        let cut = |len: usize, at: usize| len * at / n..len * (at + 1) / n;
        let (columns, rows) = (cut(picture.width, number % n), cut(picture.height, number / n));
        let row = |y: usize| {
            picture.rgb.get((y * picture.width + columns.start) * 3..(y * picture.width + columns.end) * 3)
        };
        let (width, height) = (columns.len(), rows.len());
        let rgb = rows.filter_map(row).flatten().copied().collect();
        Picture::try_new(width, height, rgb).ok().filter(|_| width * height > 0)
    })
}

fn jpeg_len(picture: &Picture) -> Result<usize, FigureError> {
    let mut file = Vec::new();
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    JpegEncoder::new_with_quality(&mut file, QUALITY)
        .encode(&picture.rgb, side(picture.width), side(picture.height), ExtendedColorType::Rgb8)
        .map_err(EvalError::from)?;
    Ok(file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_each_pixel_once() {
        let rgb: Vec<u8> = (0..7 * 5 * 3).map(|i| i as u8).collect();
        let picture = Picture::try_new(7, 5, rgb.clone()).unwrap();
        let mut all: Vec<u8> = parts(&picture, 3).flat_map(|part| part.rgb).collect();
        all.sort_unstable();
        assert_eq!(all, rgb);
        // More parts than pixels: those without any are no pictures.
        assert_eq!(parts(&picture, 16).count(), 35);
    }
}

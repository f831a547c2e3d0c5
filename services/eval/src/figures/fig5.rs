//! Figure 5: a picture, and what becomes of it at the deepest point.

use autotiler_graph::tiler::Grade;
use autotiler_model::TilerKind;
use autotiler_plot::ImagePanel;
use image::{DynamicImage, GrayImage, RgbImage};
use serde::Serialize;

use super::{FigureError, Study, sheet::Sheet, study::Plane};
use crate::{
    method::{Coding, Method},
    pictures::Sample,
    similarity::spatial_similarity,
};

/// A row of `fig5.csv`.
#[derive(Serialize)]
struct Row {
    picture: String,
    panel: String,
    width: usize,
    height: usize,
    similarity: f64,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let point = study.deepest()?;
    let mut methods: Vec<(String, Method)> = vec![
        ("Tiling".to_owned(), study.tiling(point.layer, Coding::Plane)?),
        ("Auto-tiler, fine".to_owned(), study.auto_tiler(&point, Grade::Fine, TilerKind::Paper)?),
    ];
    methods.extend(
        study.stored(point.layer, TilerKind::Lite).first().map(|&method| ("lite".to_owned(), method)),
    );
    // The one with the most objects shows the most.
    let sample = study.bench().samples().enumerate().max_by_key(|(at, s)| (s.truth.len(), usize::MAX - at));
    let (at, sample) = sample.ok_or(FigureError::NoPicture)?;
    let mut panel = ImagePanel::new("A picture and its planes", 2)
        .subtitle(format!("{}, layer {}", sample.name, point.layer))
        .image("input", input(study, sample));
    let mut rows = Vec::new();
    for (name, method) in methods {
        let plane = study.planes(method, at + 1)?.pop().ok_or(FigureError::NoPicture)?;
        let ((width, height), Method::Tiler { cr, .. }) = (plane.size(), method) else { continue };
        let caption = format!("{name}: {width}x{height}, CR {cr}");
        let similarity = spatial_similarity(&plane.samples, width, height)?;
        panel = panel.image(caption, grey(plane).ok_or(FigureError::NoPicture)?);
        rows.push(Row { picture: sample.name.clone(), panel: name, width, height, similarity });
    }
    sheet.plot("", panel)?;
    let of = |wanted: &str| rows.iter().find(|row| row.panel.starts_with(wanted)).map(|row| row.similarity);
    let pair = of("Auto-tiler").zip(of("Tiling"));
    sheet.claim(
        "the auto-tiled map looks like one picture, without the edges of tiled maps",
        pair.map_or_else(String::new, |(own, tiling)| {
            format!("see the plot; {own:.3} of neighbours alike, tiled maps {tiling:.3}")
        }),
        pair.map(|(own, tiling)| own > tiling),
    );
    sheet.note("The picture with the most objects of the set; planes before the codec, as they enter it.");
    sheet.table("", rows)
}

fn input(study: &Study<'_>, sample: &Sample) -> DynamicImage {
    let shape = study.model().network.input;
    let seen = sample.picture.resize(shape.w, shape.h);
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (width, height) = (side(seen.width), side(seen.height));
    RgbImage::from_raw(width, height, seen.rgb).unwrap_or_default().into()
}

fn grey(plane: Plane) -> Option<DynamicImage> {
    let (width, height) = plane.size();
    let side = |n: usize| u32::try_from(n).ok();
    GrayImage::from_raw(side(width)?, side(height)?, plane.samples).map(Into::into)
}

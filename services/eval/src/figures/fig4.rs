//! Figure 4: how alike neighbours are in the planes of each method, from point to point.

use autotiler_graph::tiler::Grade;
use autotiler_model::TilerKind;
use autotiler_plot::{Axis, Bars, ValueSeries};
use serde::Serialize;

use super::{FigureError, Study, derived::mean, sheet::Sheet, study::Plane};
use crate::{
    method::{Coding, Method},
    similarity::spatial_similarity,
    table::cell,
};

/// Most pictures that are looked at.
const PICTURES: usize = 64;

/// A row of `fig4.csv`.
#[derive(Serialize)]
struct Row {
    layer: u16,
    method: &'static str,
    cr: u16,
    width: usize,
    height: usize,
    similarity: f64,
}

/// What is compared, in the order of the legend.
const METHODS: [&str; 6] = ["Tiling", "FPC", "Autoencoder", "Auto-tiler fine", "Auto-tiler coarse", "lite"];

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let mut rows: Vec<Row> = Vec::new();
    let points = study.plan()?.points();
    for point in points {
        let layer = point.layer;
        let tiling = study.tiling(layer, Coding::Plane)?;
        let planes = study.planes(tiling, PICTURES)?;
        rows.extend(row("Tiling", tiling, &planes, whole)?);
        rows.extend(row("FPC", tiling, &planes, each_map)?);
        let mut learned = vec![
            ("Auto-tiler fine", study.auto_tiler(point, Grade::Fine, TilerKind::Paper)?),
            ("Auto-tiler coarse", study.auto_tiler(point, Grade::Coarse, TilerKind::Paper)?),
        ];
        learned.extend(study.stored(layer, TilerKind::Ae).first().map(|&method| ("Autoencoder", method)));
        learned.extend(study.stored(layer, TilerKind::Lite).first().map(|&method| ("lite", method)));
        for (name, method) in learned {
            rows.extend(row(name, method, &study.planes(method, PICTURES)?, whole)?);
        }
    }
    let layers: Vec<u16> = points.iter().map(|point| point.layer.0).collect();
    let at = |name: &str, layer: u16| {
        rows.iter().find(|row| row.method == name && row.layer == layer).map(|row| row.similarity)
    };
    let axis = Axis::linear("share of neighbours within 2 %").covering(0.0, 1.0);
    let groups = layers.iter().map(|layer| format!("layer {layer}"));
    let mut chart = Bars::new("Spatial similarity of planes", "partition point", groups, axis)
        .subtitle(format!("{}, of which {PICTURES} at most", study.subtitle()));
    for name in METHODS.into_iter().filter(|name| rows.iter().any(|row| row.method == *name)) {
        let mut series = ValueSeries::new(name, layers.iter().map(|&layer| at(name, layer)));
        if name.ends_with("coarse") {
            series.colour = series.colour.tint(0.5);
        }
        chart = chart.series(series);
    }
    sheet.plot("", chart)?;
    claims(sheet, &layers, at);
    sheet.note(
        "Neighbours are left, top, top left, bottom left and top right; planes before any codec. FPC is the mean \
         over the maps of the tiled plane, so that no edge between maps counts.",
    );
    sheet.table("", rows)
}

fn claims(sheet: &mut Sheet, layers: &[u16], at: impl Fn(&str, u16) -> Option<f64>) {
    let tiling: Vec<Option<f64>> = layers.iter().map(|&layer| at("Tiling", layer)).collect();
    let ends = (tiling.first().copied().flatten(), tiling.last().copied().flatten());
    let falls = ends.0.zip(ends.1).map(|(first, last)| last < first);
    let values = tiling.iter().map(|value| cell(*value, 3)).collect::<Vec<_>>().join(", ");
    sheet.claim("similarity generally falls with depth (tiled maps)", format!("{values} by depth"), falls);
    let Some(&deepest) = layers.last() else { return };
    let pair = |name: &str| at(name, deepest).zip(at("Tiling", deepest));
    for (name, words) in [
        ("Autoencoder", "an autoencoder's maps are more alike than the tiled maps of deep layers"),
        ("Auto-tiler fine", "an auto-tiled plane has no blocky edges (Fig. 5): more alike than tiled maps"),
    ] {
        let here = pair(name).map(|(own, tiling)| format!("{own:.3} against {tiling:.3} at layer {deepest}"));
        let holds = pair(name).map(|(own, tiling)| own > tiling);
        sheet.claim(words, here.unwrap_or_else(|| "no such tiler in the model".to_owned()), holds);
    }
}

fn row(
    name: &'static str,
    method: Method,
    planes: &[Plane],
    similarity: fn(&Plane) -> Result<f64, FigureError>,
) -> Result<Option<Row>, FigureError> {
    let Method::Tiler { layer, cr, .. } = method else { return Ok(None) };
    let values = planes.iter().map(similarity).collect::<Result<Vec<_>, _>>()?;
    let (width, height) = planes.first().map(Plane::size).ok_or(FigureError::NoPicture)?;
    let similarity = mean(&values).ok_or(FigureError::NoPicture)?;
    Ok(Some(Row { layer: layer.0, method: name, cr: cr.get(), width, height, similarity }))
}

fn whole(plane: &Plane) -> Result<f64, FigureError> {
    let (width, height) = plane.size();
    Ok(spatial_similarity(&plane.samples, width, height)?)
}

fn each_map(plane: &Plane) -> Result<f64, FigureError> {
    let map = plane.spec.maps_shape();
    let values = plane
        .maps()
        .map(|samples| spatial_similarity(&samples, map.w, map.h))
        .collect::<Result<Vec<_>, _>>()?;
    mean(&values).ok_or(FigureError::NoPicture)
}

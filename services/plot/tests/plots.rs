//! Every kind of plot has its names in it and is not empty; what cannot be drawn is refused.

use std::collections::HashSet;

use autotiler_plot::{
    Axis, Bars, ImagePanel, LineChart, Plot, PlotError, RangeSeries, Ranges, Series, StackedBars, ValueSeries,
};
use image::GrayImage;

/// Any drawn plot has more: text alone is smoothed in dozens of grays.
const LEAST_COLOURS: usize = 30;

fn line(points: &[(f64, f64)]) -> Plot {
    let chart = LineChart::new("rate", Axis::log("kbit"), Axis::linear("mAP"));
    chart.series(Series::new("lite & <klt>", points.iter().copied())).into()
}

fn bars(y: Axis, values: &[Option<f64>]) -> Plot {
    Bars::new("bars", "layer", ["4", "36"], y)
        .series(ValueSeries::new("Tiling", values.iter().copied()))
        .into()
}

fn every_kind() -> Vec<(Plot, Vec<&'static str>)> {
    let ranges = Ranges::new("ranges", "layer", ["4", "36"], Axis::log("CR"))
        .series(RangeSeries::new("FPC", [Some((1.2, 20.0)), None]))
        .series(RangeSeries::new("Tiling", [Some((1.2, 20.0)), Some((3.0, 3.0))]));
    let stack = StackedBars::new("latency", "ms", ["encode", "decode"])
        .bar("layer 4", "Tiling", [1.0, 2.0])
        .bar("layer 36", "lite", [0.0, 0.5]);
    let panel =
        ImagePanel::new("planes", 2).image("(a) plane", GrayImage::from_fn(64, 64, |x, _| [x as u8].into()));
    vec![
        (line(&[(1.0, 0.5), (10.0, 0.6)]), vec!["lite &amp; &lt;klt&gt;", "kbit", "mAP", "rate"]),
        (bars(Axis::linear("mAP"), &[Some(0.0), Some(0.5)]), vec!["Tiling", "mAP", "36"]),
        (bars(Axis::linear("change"), &[Some(-40.0), Some(5.0)]), vec!["-40", "change"]),
        (bars(Axis::log("kbit"), &[Some(3.0), None]), vec!["Tiling", "none"]),
        (ranges.into(), vec!["FPC", "Tiling", "none"]),
        (stack.into(), vec!["encode", "decode", "lite", "layer 36"]),
        (panel.into(), vec!["(a) plane", "data:image/png"]),
    ]
}

fn colours(png: &[u8]) -> usize {
    let picture = image::load_from_memory(png).expect("a png that was just drawn is read").to_rgb8();
    picture.pixels().collect::<HashSet<_>>().len()
}

#[test]
fn every_kind_is_drawn_with_its_names() {
    for (plot, names) in every_kind() {
        let svg = plot.svg().unwrap();
        for name in names {
            assert!(svg.contains(name), "{name} is missing in {svg}");
        }
        let found = colours(&plot.png().unwrap());
        assert!(found > LEAST_COLOURS, "{found} colours in {plot:?}");
    }
}

#[test]
fn nothing_is_drawn_outside_the_picture() {
    for (plot, _) in every_kind() {
        let picture = image::load_from_memory(&plot.png().unwrap()).unwrap().to_rgb8();
        let (width, height) = picture.dimensions();
        let at_edge = |x: u32, y: u32| x == 0 || y == 0 || x == width - 1 || y == height - 1;
        let stray = picture.enumerate_pixels().find(|(x, y, p)| at_edge(*x, *y) && p.0 != [255; 3]);
        assert_eq!(stray, None);
    }
}

#[test]
fn both_files_are_written_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let saved = line(&[(1.0, 0.5), (2.0, 0.6)]).save(dir.path(), "fig11").unwrap();
    assert!(saved.svg.ends_with("fig11.svg") && saved.png.ends_with("fig11.png"));
    assert!(colours(&std::fs::read(&saved.png).unwrap()) > LEAST_COLOURS);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_drawn_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    line(&[]).save(dir.path(), "fig11").unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_absent_folder_is_named() {
    let error = line(&[(1.0, 0.5)]).save("no/such/folder".as_ref(), "fig11").unwrap_err();
    assert!(matches!(error, PlotError::Write { .. }), "{error}");
}

#[test]
fn an_empty_series_is_refused() {
    assert!(matches!(line(&[]).svg(), Err(PlotError::Empty { what, .. }) if what.contains("lite")));
}

#[test]
fn a_plot_without_series_is_refused() {
    let plots: [Plot; 5] = [
        LineChart::new("rate", Axis::log("kbit"), Axis::linear("mAP")).into(),
        bars(Axis::linear("mAP"), &[None, None]),
        Ranges::new("ranges", "layer", ["4"], Axis::log("CR")).into(),
        StackedBars::new("latency", "ms", ["encode"]).into(),
        ImagePanel::new("planes", 2).into(),
    ];
    for plot in plots {
        assert!(matches!(plot.svg(), Err(PlotError::Empty { .. })), "{plot:?}");
    }
}

#[test]
fn values_that_are_not_finite_are_refused() {
    assert!(matches!(line(&[(1.0, f64::NAN)]).svg(), Err(PlotError::NotFinite { .. })));
    let plot = bars(Axis::linear("mAP"), &[Some(f64::INFINITY), None]);
    assert!(matches!(plot.svg(), Err(PlotError::NotFinite { .. })));
}

#[test]
fn a_logarithmic_axis_refuses_zero() {
    assert!(matches!(line(&[(0.0, 0.5)]).svg(), Err(PlotError::NotPositive { .. })));
    let plot = bars(Axis::log("kbit"), &[Some(0.0), Some(1.0)]);
    assert!(matches!(plot.svg(), Err(PlotError::NotPositive { .. })));
}

#[test]
fn a_series_needs_one_value_for_each_group() {
    let plot = bars(Axis::linear("mAP"), &[Some(1.0)]);
    assert!(matches!(plot.svg(), Err(PlotError::Length { wanted: 2, got: 1, .. })));
}

#[test]
fn a_series_on_the_right_needs_a_right_axis() {
    let chart = LineChart::new("t", Axis::linear("step"), Axis::linear("loss"));
    let plot = Plot::from(chart.series(Series::new("rate", [(1.0, 2.0)]).on_right()));
    assert!(matches!(plot.svg(), Err(PlotError::NoRightAxis { .. })));
}

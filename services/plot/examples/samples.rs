//! Draws one plot of each kind, to be looked at: `cargo run -p autotiler-plot --example samples -- DIR`.

use std::path::PathBuf;

use autotiler_plot::{
    Axis, Bars, ImagePanel, LineChart, Plot, PlotError, RangeSeries, Ranges, Series, StackedBars,
    ValueSeries, lines::Point,
};
use image::{GrayImage, Luma, Rgb, RgbImage};

const LAYERS: [&str; 5] = ["layer 4", "layer 11", "layer 15", "layer 24", "layer 36"];

fn main() -> Result<(), PlotError> {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    for (stem, plot) in [
        ("curves", curves()),
        ("few", few()),
        ("training", training()),
        ("bars", bars()),
        ("bars_log", bars_log()),
        ("ranges", ranges()),
        ("stack", stack()),
        ("panel", panel()),
    ] {
        println!("{}", plot.save(&dir, stem)?.png.display());
    }
    Ok(())
}

fn curves() -> Plot {
    let interval = |(x, y): (f64, f64)| Point { x, y, interval: Some((y - 0.035, y + 0.03)) };
    let lite = [(2.0, 0.31), (3.6, 0.42), (5.4, 0.487), (8.2, 0.513), (14.4, 0.546), (24.0, 0.569)];
    let picture = [(4.8, 0.137), (11.5, 0.277), (25.5, 0.447), (58.9, 0.512), (119.0, 0.557), (155.0, 0.568)];
    LineChart::new(
        "Rate and accuracy of every method",
        Axis::log("kbit per image"),
        Axis::linear("mAP@0.5").covering(0.0, 0.6),
    )
    .subtitle("test_voc + test_coco, 228 images; bands: 95 % bootstrap intervals")
    .series(Series::from_points("lite", lite.map(interval).to_vec()))
    .series(Series::new("klt, layer 35", [(4.0, 0.365), (7.7, 0.49), (13.5, 0.531), (21.0, 0.562)]))
    .series(Series::new("klt, layer 46", [(3.6, 0.331), (7.0, 0.454), (13.3, 0.537), (28.8, 0.57)]))
    .series(Series::new("Tiling, layer 35", [(4.4, 0.322), (9.7, 0.501), (17.4, 0.551), (54.0, 0.579)]))
    .series(Series::new("paper CR4", [(2.1, 0.142), (3.6, 0.207), (9.0, 0.214)]))
    .series(Series::new("ae", [(2.4, 0.10), (6.0, 0.3), (19.0, 0.4)]))
    .series(Series::from_points("HEVC picture", picture.map(interval).to_vec()).with_whiskers())
    .series(Series::new("JPEG picture", [(18.0, 0.119), (51.0, 0.408), (95.0, 0.539), (143.0, 0.562)]))
    .reference(0.576, "uncut")
    .reference(0.49, "85 % of uncut")
    .upright_reference(60.0, "60 kbit")
    .into()
}

fn few() -> Plot {
    LineChart::new("Spatial similarity", Axis::linear("layer"), Axis::linear("similar neighbours (%)"))
        .series(Series::new("Tiling", [(4.0, 81.0), (11.0, 66.0), (15.0, 62.0), (24.0, 51.0), (36.0, 44.0)]))
        .series(Series::new(
            "Frame per Channel",
            [(4.0, 80.0), (11.0, 65.0), (15.0, 60.0), (24.0, 50.0), (36.0, 43.0)],
        ))
        .into()
}

fn training() -> Plot {
    let steps = || (0..400).map(|i| f64::from(i) * 5.0);
    LineChart::new(
        "Training of lite, layer 35",
        Axis::linear("step"),
        Axis::log("divergence (nats per image)"),
    )
    .series(Series::new("train", steps().map(|s| (s, 40.0 / (1.0 + s / 80.0) + (s * 0.37).sin().abs()))))
    .series(Series::new(
        "val",
        (0..9).map(|i| f64::from(i) * 250.0).map(|s| (s, 42.0 / (1.0 + s / 90.0) + 1.0)),
    ))
    .right(Axis::linear("rate (kbit per image)"))
    .series(Series::new("rate", steps().map(|s| (s, 8.0 + 3.0 * (-s / 500.0).exp()))).on_right())
    .into()
}

fn bars() -> Plot {
    let some = |values: [f64; 5]| values.map(Some);
    Bars::new(
        "mAP at 60 kbit per image",
        "partition point",
        LAYERS,
        Axis::linear("mAP@0.5").covering(0.0, 0.8),
    )
    .subtitle("embedded detector, 228 images")
    .series(ValueSeries::new("lite", some([0.52, 0.56, 0.57, 0.571, 0.57])))
    .series(ValueSeries::new("auto-tiler CR4", some([0.40, 0.51, 0.55, 0.552, 0.56])))
    .series(ValueSeries::new("auto-tiler CR16", some([0.30, 0.41, 0.45, 0.452, 0.46])))
    .series(ValueSeries::new("Tiling", some([0.05, 0.21, 0.34, 0.45, 0.5])))
    .series(ValueSeries::new("Frame per Channel", [None, None, Some(0.01), Some(0.02), Some(0.11)]))
    .into()
}

fn bars_log() -> Plot {
    let some = |values: [f64; 5]| values.map(Some);
    Bars::new("Bits of the lossless plane", "partition point", LAYERS, Axis::log("kbit per image"))
        .series(ValueSeries::new("lite", some([912.0, 480.0, 240.0, 220.0, 200.0])))
        .series(ValueSeries::new("Tiling", some([9120.0, 4800.0, 3240.0, 2220.0, 1200.0])))
        .series(ValueSeries::new("FPC", some([12120.0, 6800.0, 5240.0, 4220.0, 3200.0])))
        .into()
}

fn ranges() -> Plot {
    let some = |values: [(f64, f64); 5]| values.map(Some);
    Ranges::new("Effective compression ratio", "partition point", LAYERS, Axis::log("compression ratio"))
        .subtitle("from the method's highest mAP to 85 % of the uncut network's; base: input of 3 x 416 x 416 bytes")
        .series(RangeSeries::new("Frame per Channel", [None, Some((1.1, 9.0)), Some((1.2, 19.0)), Some((1.2, 22.0)), Some((1.3, 31.0))]))
        .series(RangeSeries::new("Tiling", some([(1.5, 12.0), (1.7, 20.0), (1.8, 25.0), (1.9, 29.0), (2.2, 41.0)])))
        .series(RangeSeries::new("auto-tiler CR4", some([(9.0, 61.0), (9.0, 70.0), (9.9, 99.0), (10.0, 110.0), (12.0, 121.0)])))
        .series(RangeSeries::new("auto-tiler CR16", some([(33.0, 99.0), (35.0, 110.0), (36.0, 173.0), (38.0, 180.0), (40.0, 200.0)])))
        .into()
}

fn stack() -> Plot {
    let parts = [
        "inference (part 1)",
        "tiling and normalisation",
        "video encoding",
        "video decoding",
        "de-tiling and denormalisation",
        "inference (part 2)",
    ];
    let mut chart = StackedBars::new("Latency by stage", "milliseconds per image", parts)
        .subtitle("2 cores, 60 kbit per image, median of 20 images");
    for (i, layer) in LAYERS.iter().enumerate() {
        let i = i as f64;
        chart = chart
            .bar(
                *layer,
                "FPC",
                [20.0 + 8.0 * i, 60.0 - 9.0 * i, 31.0 - 4.0 * i, 11.0, 50.0 - 8.0 * i, 60.0 - 8.0 * i],
            )
            .bar(
                *layer,
                "Tiling",
                [20.0 + 8.0 * i, 44.0 - 8.0 * i, 22.0 - 3.0 * i, 7.0, 40.0 - 7.0 * i, 60.0 - 8.0 * i],
            )
            .bar(*layer, "CR4", [25.0 + 8.0 * i, 0.3, 2.2, 1.2, 0.2, 65.0 - 8.0 * i])
            .bar(*layer, "CR16", [26.0 + 8.0 * i, 0.1, 1.0, 0.7, 0.1, 66.0 - 8.0 * i]);
    }
    chart.into()
}

fn panel() -> Plot {
    let picture = RgbImage::from_fn(320, 240, |x, y| Rgb([(x / 2) as u8, y as u8, 120]));
    let plane = GrayImage::from_fn(160, 80, |x, y| Luma([((x * 7) ^ (y * 3)) as u8]));
    ImagePanel::new("What the codec sees", 3)
        .subtitle("layer 35 of the shared detector")
        .image("(a) input", picture)
        .image("(b) lite, 160 x 80", plane.clone())
        .image("(c) paper CR4, 80 x 80", GrayImage::from_fn(80, 80, |x, y| Luma([(x * y / 25) as u8])))
        .image("(d) Tiling", plane)
        .into()
}

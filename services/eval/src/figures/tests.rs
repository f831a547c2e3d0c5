//! Every figure on a tiny network and two generated pictures. Only lite goes through the real codec, which takes its
//! time; the other methods' curves are made by hand.

use std::{collections::HashMap, fs, path::Path};

use autotiler_core::{CompressionRatio, LayerIndex, Shape};
use autotiler_graph::{
    darknet::{Cfg, init},
    reference::Reference,
    tiler::{AutoTiler, Autoencoder, Grade, KltFit, Lite, LiteShape, Paper, PaperPlan, Plain, TilerSpec},
};
use autotiler_hevc::{DecoderOptions, EncoderOptions};
use autotiler_model::{Model, Precision, TilerKind};

use super::*;
use crate::{
    PictureSet, Watcher, Workbench, Workshop,
    method::{Coding, Method},
    report::{self, Made},
};

/// A network of 64x64 pixels with the paper's five points: layers 0 to 4.
fn cfg() -> Cfg {
    let conv = |filters: usize, size: usize, stride: usize, activation: &str| {
        format!(
            "[convolutional]\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation={activation}\n"
        )
    };
    let layers = [
        conv(8, 3, 2, "leaky"),
        conv(16, 3, 2, "leaky"),
        conv(32, 3, 2, "leaky"),
        conv(32, 1, 1, "leaky"),
        conv(32, 1, 1, "leaky"),
        conv(39, 1, 1, "linear"),
    ];
    let yolo = "[yolo]\nmask=0,1,2\nanchors=4,4, 8,8, 16,16\nclasses=8\nnum=3\n";
    Cfg::parse(&format!("[net]\nwidth=64\nheight=64\nchannels=3\n{}{yolo}", layers.concat())).unwrap()
}

fn random() -> impl FnMut() -> f32 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * 3.0_f32.sqrt()
    }
}

fn points() -> [(LayerIndex, Shape); 5] {
    let point = |layer, c, side| (LayerIndex(layer), Shape::new(c, side, side));
    [point(0, 8, 32), point(1, 16, 16), point(2, 32, 8), point(3, 32, 8), point(4, 32, 8)]
}

/// The model; without the paper's tilers unless `with_papers`.
fn model(dir: &Path, with_papers: bool) -> Model {
    let classes = ["car", "bus", "truck", "bicycle", "person", "dog", "traffic-light", "sign"];
    let classes = classes.map(str::to_owned).to_vec();
    let weights = init(&cfg(), 3).unwrap();
    let mut model = Model::create(dir, "tiny", &cfg(), &weights, classes, Precision::F32).unwrap();
    for (layer, feature) in points() {
        let spec = TilerSpec::new(layer, feature, CompressionRatio::ONE).unwrap();
        let plain = Plain { spec, middle: 0.0, scale: 40.0 };
        model.store_tiler(TilerKind::Plain, &plain, Precision::F32).unwrap();
    }
    if !with_papers {
        return model;
    }
    let plan = PaperPlan::new(&points()).unwrap();
    for number in 0..plan.points().len() {
        for grade in [Grade::Fine, Grade::Coarse] {
            let tiler = Paper::new(&plan, number, grade, random()).unwrap();
            for kind in [TilerKind::Paper, TilerKind::PaperSolo] {
                model.store_tiler(kind, &tiler, Precision::F32).unwrap();
            }
        }
    }
    let deepest = plan.points()[4];
    let spec = TilerSpec::tiled(deepest.layer, deepest.feature(), deepest.spec(Grade::Fine).cr).unwrap();
    let ae = Autoencoder::new(spec, Grade::Fine, random()).unwrap();
    model.store_tiler(TilerKind::Ae, &ae, Precision::F32).unwrap();
    let spec =
        TilerSpec::new(deepest.layer, deepest.feature(), CompressionRatio::try_new(2).unwrap()).unwrap();
    let mut fit = KltFit::new(spec);
    let mut values = random();
    fit.add(&(0..spec.feature.len()).map(|_| values()).collect::<Vec<_>>()).unwrap();
    let lite = Lite::from_klt(&fit.finish(None).unwrap(), LiteShape::default(), random()).unwrap();
    assert_eq!(lite.spec().layer, deepest.layer);
    model.store_tiler(TilerKind::Lite, &lite, Precision::I8).unwrap();
    model
}

struct Silent;

impl Watcher for Silent {
    fn begin(&self, _method: &Method, _pictures: usize) {}
    fn step(&self) {}
    fn end(&self, _cached: bool) {}
}

/// Runs `work` on a study of two pictures; not at all without ffmpeg.
fn with_study(with_papers: bool, work: impl FnOnce(&Study<'_>, &Path)) {
    if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg");
        return;
    }
    let (models, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = model(models.path(), with_papers);
    let set = PictureSet::open(Path::new("generated"), "test", Some(2), &model.manifest.classes).unwrap();
    let (encoder, decoder) = (EncoderOptions::default(), DecoderOptions::default());
    let workshop = Workshop { model: &model, engine: &Reference, encoder: &encoder, decoder: &decoder };
    let bench = Workbench::new(workshop, &set, 2, None, || ()).unwrap();
    work(&Study::new(&bench, &Silent, Extent::Quick, None), out.path());
}

/// Curves whose bits fall with the ratio, FPC's above those of Tiling.
fn preset_lines(study: &Study<'_>) {
    for tiler in study.model().tilers.iter().filter(|tiler| tiler.kind != TilerKind::Lite) {
        let (layer, cr, kind) = (tiler.layer(), tiler.spec().cr, tiler.kind);
        let from = 40.0 / f64::from(cr.get());
        let points = |from: f64| [(from, 0.7), (from / 4.0, 0.6), (from / 16.0, 0.1)];
        study.preset(Method::tiler(layer, cr, kind), &points(from));
        if kind == TilerKind::Plain {
            study.preset(
                Method::Tiler { layer, cr, kind, coding: Coding::FramePerChannel },
                &points(2.0 * from),
            );
        }
    }
}

#[test]
fn every_figure_has_its_columns_and_a_plot() {
    let twelve = "layer,method,map50_cut_at_rate,least_kbit,lossless_kbit,lossless_map50,lossless_map50_cut,\
                  kbit_for_accuracy";
    let columns = HashMap::from([
        ("fig3", "parts,mean_width,mean_height,raw_kbit,jpeg_kbit,compression_ratio"),
        ("fig4", "layer,method,cr,width,height,similarity"),
        ("fig5", "picture,panel,width,height,similarity"),
        ("fig7", "layer,method,cr,kbit,map50,map50_cut,of_uncut_cut"),
        ("fig9", "layer,grade,cr,rate_kbit,independent_map50_cut,variable_map50_cut,loss_points"),
        (
            "table1",
            "network,side,independent_kib,variable_kib,reduction_percent,paper_independent_kb,paper_variable_kb,\
             paper_reduction_percent,independent_deviation_percent,variable_deviation_percent",
        ),
        ("table1-lite", "network,layer,cr,encoder_kib_int8,encoder_mmac,paper_encoder_mmac"),
        ("fig10", "layer,method,setting,kbit,ssim"),
        ("fig11", "layer,method,setting,kbit,map50,map50_cut,kl_nats"),
        ("fig12a", twelve),
        ("fig12b", twelve),
        ("fig12c", twelve),
        ("fig12d", twelve),
        (
            "fig13",
            "layer,method,reaches,open_ended,lossless_kbit,kbit_at_85_percent,low_features8,high_features8,\
             low_features32,high_features32,low_picture8,high_picture8",
        ),
    ]);
    with_study(true, |study, out| {
        preset_lines(study);
        let ids = FigureId::ALL.into_iter().filter(|id| *id != FigureId::Fig14);
        let made: Vec<Made> = ids.map(|id| (id, Ok(make(id, study, out).unwrap()))).collect();
        for (id, figure) in &made {
            let figure = figure.as_ref().unwrap();
            assert!(!figure.plots.is_empty() && !figure.claims.is_empty(), "{id}");
            for name in &figure.tables {
                let table = fs::read_to_string(out.join(name)).unwrap();
                let stem = name.trim_end_matches(".csv");
                assert_eq!(table.lines().next(), columns.get(stem).copied(), "{name}");
                assert!(table.lines().count() > 1, "{name}");
            }
            for stem in &figure.plots {
                let svg = fs::read_to_string(out.join(format!("{stem}.svg"))).unwrap();
                assert!(
                    ["<poly", "<rect", "<image", "<path"].iter().any(|shape| svg.contains(shape)),
                    "{stem}"
                );
                assert!(fs::metadata(out.join(format!("{stem}.png"))).unwrap().len() > 2_000, "{stem}");
            }
        }
        report::write(&out.join("REPORT.md"), study, "autotiler eval figures", &made).unwrap();
        let report = fs::read_to_string(out.join("REPORT.md")).unwrap();
        for wanted in
            ["figure | paper says", "(fig10.png)", "Deviations", "autotiler eval figures", "9.9 to 173.3"]
        {
            assert!(report.contains(wanted), "{wanted} is not in {report}");
        }
    });
}

#[test]
fn a_missing_tiler_is_named_with_the_command_that_makes_it() {
    with_study(false, |study, out| {
        let error = make(FigureId::Fig12a, study, out).unwrap_err().to_string();
        assert!(error.contains("no paper tiler for layer 0 at compression ratio 8"), "{error}");
        assert!(error.contains("autotiler train tilers --preset paper"), "{error}");
        // What needs none is made.
        let figures = [FigureId::Fig3, FigureId::Table1].map(|id| make(id, study, out).is_ok());
        assert_eq!(figures, [true; 2]);
        let made: Vec<Made> = vec![(FigureId::Fig12a, Err(error))];
        report::write(&out.join("REPORT.md"), study, "autotiler eval figures", &made).unwrap();
        assert!(fs::read_to_string(out.join("REPORT.md")).unwrap().contains("Not made: the model has no"));
    });
}

use std::path::Path;

use autotiler_core::{LayerIndex, Shape};

use super::*;
use crate::{
    darknet::{BatchNorm, Cfg, Network, init},
    partition,
};

const SHIPPED: &str = "../../models/yolov3.cfg";

fn shipped() -> String {
    yolov3(WidthMultiplier::ONE, 416, 80, &COCO_ANCHORS).unwrap()
}

/// Set `AUTOTILER_WRITE_MODELS=1` to write the file instead.
#[test]
fn the_shipped_cfg_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    if std::env::var_os("AUTOTILER_WRITE_MODELS").is_some() {
        std::fs::write(&path, shipped()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == shipped(), "stale: run this test with AUTOTILER_WRITE_MODELS=1");
}

#[test]
fn the_published_network_has_its_layers_weights_and_shapes() {
    let cfg = Cfg::parse(&shipped()).unwrap();
    assert_eq!(cfg.layers().len(), 107);
    let weights = init(&cfg, 0).unwrap();
    // The published yolov3.weights has 248007048 bytes, of which 20 are the header.
    assert_eq!(weights.write().len(), 248_007_048);

    let network = Network::build(&cfg, &weights, BatchNorm::Kept).unwrap();
    let heads: Vec<_> = network.heads.iter().map(|head| (head.layer.0, head.shape, head.mask[0])).collect();
    let raw = |side| Shape::new(255, side, side);
    assert_eq!(heads, [(82, raw(13), 6), (94, raw(26), 3), (106, raw(52), 0)]);

    let points = partition::points(&network);
    let shape = |layer| points.iter().find(|point| point.layer == LayerIndex(layer)).map(|point| point.shape);
    assert_eq!(shape(4), Some(Shape::new(64, 208, 208)));
    assert_eq!(shape(11), Some(Shape::new(128, 104, 104)));
    for layer in [15, 24, 36] {
        assert_eq!(shape(layer), Some(Shape::new(256, 52, 52)));
        assert_eq!(network.layers[usize::from(layer)].section, "shortcut");
    }
    // The route of layer 98 needs layer 36 until nearly the end.
    assert_eq!(points.last().map(|point| point.layer), Some(LayerIndex(36)));
    // 65.9 billion operations in the paper of YOLOv3 are half as many multiply-accumulates.
    assert!((32.7e9..33.0e9).contains(&(network.macs() as f64)), "{}", network.macs());
}

#[test]
fn widths_round_to_eight_and_spare_the_raw_heads() {
    let narrow = yolov3(WidthMultiplier::try_new(0.2).unwrap(), 64, 3, &COCO_ANCHORS).unwrap();
    let cfg = Cfg::parse(&narrow).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 0).unwrap(), BatchNorm::Folded).unwrap();
    // 32, 64, 128 and 1024 maps by 0.2; never fewer than 8.
    let maps = |layer: usize| network.layers[layer].shape.c;
    assert_eq!([maps(0), maps(4), maps(11), maps(74)], [8, 16, 24, 208]);
    assert!(network.heads.iter().all(|head| head.shape.c == 24));
}

#[test]
fn impossible_networks_are_refused() {
    for width in [0.0, -1.0, 4.1, f32::NAN] {
        assert!(matches!(WidthMultiplier::try_new(width), Err(Yolov3Error::Width(_))));
    }
    let cfg = |side, classes, anchors| yolov3(WidthMultiplier::ONE, side, classes, anchors).unwrap_err();
    assert_eq!(cfg(400, 80, &COCO_ANCHORS), Yolov3Error::Side(400));
    assert_eq!(cfg(0, 80, &COCO_ANCHORS), Yolov3Error::Side(0));
    assert_eq!(cfg(416, 0, &COCO_ANCHORS), Yolov3Error::Classes(0));
    let mut anchors = COCO_ANCHORS;
    anchors[8].h = 0.0;
    assert_eq!(cfg(416, 80, &anchors), Yolov3Error::Anchor(373.0, 0.0));
}

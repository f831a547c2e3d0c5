//! The reconstruction against the paper's and the field notes' numbers, and through the reference interpreter.

use autotiler_core::{LayerIndex, Shape};

use super::*;
use crate::{
    darknet::{BatchNorm, COCO_ANCHORS, Cfg, Network, WidthMultiplier, init, yolov3},
    engine::Engine as _,
    macs, partition,
    reference::Reference,
    tensor::Tensor,
    tiler::{chain::Layer, gain_input},
};

const KIB: f64 = 1024.0;

fn point(layer: u16, c: usize, side: usize) -> (LayerIndex, Shape) {
    (LayerIndex(layer), Shape::new(c, side, side))
}

/// YOLOv3 with 416x416 pixels at full width.
fn full_width() -> PaperPlan {
    let deep = [15, 24, 36].map(|layer| point(layer, 256, 52));
    PaperPlan::new(&[&[point(4, 64, 208), point(11, 128, 104)], &deep[..]].concat()).unwrap()
}

/// Two doublings, few maps.
fn small() -> PaperPlan {
    let deep = [3, 4, 5].map(|layer| point(layer, 32, 4));
    PaperPlan::new(&[&[point(1, 8, 16), point(2, 16, 8)], &deep[..]].concat()).unwrap()
}

/// Values of unit variance, evenly spread (xorshift).
fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * 3.0_f32.sqrt()
    }
}

fn ratios(plan: &PaperPlan) -> Vec<[u16; 2]> {
    let of = |p: &PaperPoint| [Grade::Fine, Grade::Coarse].map(|grade| p.spec(grade).cr.get());
    plan.points().iter().map(of).collect()
}

#[test]
fn parts_have_the_parameters_of_the_field_notes() {
    let count = |chain: Vec<Layer>| chain::parameters(&chain);
    let plan = full_width();
    let [l4, l11, l15] = [0, 1, 2].map(|p| plan.form(p, Grade::Coarse).unwrap());
    assert_eq!(count(l15.core_encoder()), 1_078_017);
    assert_eq!(count(l15.extra_encoder()), 29_057);
    assert_eq!(count(l4.compat_encoder()), 2_007_424);
    assert_eq!(count(l11.compat_encoder()), 1_605_888);
    assert_eq!(count(l15.core_decoder()), 1_078_272);
    assert_eq!(count(l15.decoder()), 1_093_921);
    assert_eq!(count(l4.compat_decoder()), 1_736_896);
    assert_eq!(count(l11.compat_decoder()), 1_605_760);
}

#[test]
fn storage_is_that_of_table_1_within_half_a_percent() {
    let table = storage(&full_width());
    let rows = [
        (table.encoder, 71_002.0, 18_479.0, 73.973),
        (table.decoder, 68_592.0, 34_656.0, 49.475),
        (table.total(), 139_594.0, 53_135.0, 61.936),
    ];
    for (row, independent, variable, reduction) in rows {
        let off = |bytes: usize, kib: f64| (bytes as f64 / KIB / kib - 1.0).abs();
        assert!(off(row.independent_bytes, independent) < 0.005, "{row:?}");
        assert!(off(row.variable_bytes, variable) < 0.005, "{row:?}");
        assert!((row.reduction_percent() - reduction).abs() < 0.1, "{row:?}");
    }
}

#[test]
fn encoders_cost_what_the_field_notes_say() {
    let plan = full_width();
    let giga_macs = |point| {
        let tiler = Paper::new(&plan, point, Grade::Fine, || 0.0).unwrap();
        macs::total(&tiler.encoder().unwrap()) as f64 / 1e9
    };
    for (point, expected) in [(0, 15.8), (1, 11.4), (2, 7.1), (4, 7.1)] {
        assert!((giga_macs(point) - expected).abs() < 0.05, "point {point}: {}", giga_macs(point));
    }
}

#[test]
fn ratios_are_those_of_the_paper_and_double_with_each_halving() {
    assert_eq!(ratios(&full_width()), [[16, 64], [8, 32], [4, 16], [4, 16], [4, 16]]);
    assert_eq!(ratios(&small()), [[8, 32], [4, 16], [2, 8], [2, 8], [2, 8]]);
    let deep = [38, 42, 46].map(|layer| point(layer, 48, 20));
    let shared = PaperPlan::new(&[&[point(9, 12, 80), point(20, 16, 40)], &deep[..]].concat()).unwrap();
    assert_eq!(ratios(&shared), [[12, 48], [4, 16], [3, 12], [3, 12], [3, 12]]);
}

#[test]
fn planes_are_the_same_at_all_points() {
    for plan in [full_width(), small()] {
        for grade in [Grade::Fine, Grade::Coarse] {
            let planes = plan.points().iter().map(|p| p.spec(grade).plane());
            let first = plan.points()[0].spec(grade).plane();
            assert!(planes.into_iter().all(|plane| plane == first));
        }
    }
}

#[test]
fn five_points_of_yolov3_are_chosen() {
    let width = WidthMultiplier::try_new(0.125).unwrap();
    let cfg = Cfg::parse(&yolov3(width, 64, 3, &COCO_ANCHORS).unwrap()).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 3).unwrap(), BatchNorm::Folded).unwrap();
    let all: Vec<_> = partition::points(&network).iter().map(|p| (p.layer, p.shape)).collect();
    let plan = PaperPlan::choose(&all).unwrap();
    let shapes: Vec<_> = plan.points().iter().map(|p| p.feature().h).collect();
    assert_eq!(shapes, [32, 16, 8, 8, 8], "{:?}", plan.points());
    assert_eq!(plan.points()[4].layer, LayerIndex(36));
}

#[test]
fn points_without_a_plan_say_which_would_do() {
    let deep = [3, 4, 5].map(|layer| point(layer, 32, 4));
    let of = |shallow: [(LayerIndex, Shape); 2]| PaperPlan::new(&[&shallow, &deep[..]].concat());
    let few = PaperPlan::new(&deep).unwrap_err();
    assert!(matches!(few, PaperError::Points { .. }) && few.to_string().contains("five points"), "{few}");
    let odd = of([point(1, 8, 15), point(2, 16, 8)]).unwrap_err();
    assert!(matches!(odd, PaperError::Shallow { layer: LayerIndex(1), .. }), "{odd}");
    let unlike = PaperPlan::new(&[deep[0], deep[1], deep[2], point(6, 8, 4), point(7, 32, 4)]);
    assert!(matches!(unlike, Err(PaperError::Core { .. })));
    let fraction = of([point(1, 8, 16), point(2, 13, 8)]).unwrap_err();
    assert!(matches!(fraction, PaperError::Ratio { .. }), "{fraction}");
    assert_eq!(PaperPlan::choose(&deep[..2]), Err(PaperError::NoChoice));
}

/// Feature map to plane to feature map.
fn round_trip(tiler: &Paper, values: Vec<f32>) -> (Vec<u8>, Vec<f32>) {
    let input = Tensor::f32(tiler.spec.feature, values);
    let plane = Reference.load(&tiler.encoder().unwrap()).unwrap().run(&[input]).unwrap().remove(0);
    let bytes = plane.as_u8().unwrap().to_vec();
    let gain = gain_input(&[autotiler_core::Gain::UNITY]);
    let back = Reference.load(&tiler.decoder().unwrap()).unwrap().run(&[plane, gain]).unwrap().remove(0);
    (bytes, back.as_f32().unwrap().to_vec())
}

#[test]
fn fresh_tilers_start_around_mid_grey_and_keep_the_scale_of_the_feature_map() {
    let plan = small();
    for (index, grade) in (0..5).flat_map(|p| [Grade::Fine, Grade::Coarse].map(|grade| (p, grade))) {
        let mut tiler = Paper::new(&plan, index, grade, random(7)).unwrap();
        tiler.fit(5.0, 10.0);
        let mut noise = random(3);
        let values: Vec<f32> = (0..tiler.spec.feature.len()).map(|_| 10.0 * noise()).collect();
        let (plane, back) = round_trip(&tiler, values);
        assert_eq!((plane.len(), back.len()), (tiler.spec.plane().len(), tiler.spec.feature.len()));
        let mean = plane.iter().map(|&p| f32::from(p)).sum::<f32>() / plane.len() as f32;
        assert!((70.0..186.0).contains(&mean), "point {index} {grade:?}: mean {mean}");
        let deviation = (back.iter().map(|v| (v - 5.0) * (v - 5.0)).sum::<f32>() / back.len() as f32).sqrt();
        assert!((1.0..40.0).contains(&deviation), "point {index} {grade:?}: deviation {deviation}");
        assert_eq!(Paper::from_weights(tiler.spec, tiler.weights()), tiler);
    }
}

#[test]
fn weights_of_no_form_are_refused_by_name() {
    let tiler = Paper::new(&small(), 0, Grade::Coarse, random(1)).unwrap();
    let without = |name: &str| {
        let weights = tiler.weights().into_iter().filter(|w| w.name != name).collect();
        let broken = Paper::from_weights(tiler.spec, weights);
        broken.encoder().and(broken.decoder()).unwrap_err()
    };
    for weight in tiler.weights() {
        // Losing the first or last layer of a part makes another form, which then does not fit.
        let error = without(&weight.name);
        assert!(!error.to_string().is_empty(), "{}", weight.name);
    }
    assert!(
        matches!(without("untiler.core.1.bias"), GraphError::WeightLen { name, .. } if name == "untiler.core.1.bias")
    );
    assert!(Paper::from_weights(tiler.spec, Vec::new()).encoder().is_err());
}

#[test]
fn parts_are_taken_over_by_name() {
    let plan = small();
    let source = Paper::new(&plan, 4, Grade::Fine, random(1)).unwrap();
    let mut tiler = Paper::new(&plan, 0, Grade::Fine, random(2)).unwrap();
    tiler.take(&source.weights, &["tiler.core.", "untiler.core."]);
    for weight in &tiler.weights {
        let same = source.weights.iter().any(|w| w == weight);
        assert_eq!(same, weight.name.contains(".core."), "{}", weight.name);
    }
}

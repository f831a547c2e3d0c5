//! Cases by hand, and properties against the naive way.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::{boxes::BBox, nms};

/// A box in column `place`, shifted by `shift` of its width.
fn place(place: u8, shift: f32) -> BBox {
    let x0 = f32::from(place) * 0.1 + shift * 0.05;
    BBox { x0, y0: 0.0, x1: x0 + 0.05, y1: 0.05 }
}

fn object(class: u16, at: u8) -> GroundTruth {
    GroundTruth { class, bbox: place(at, 0.0), difficult: false }
}

fn found(class: u16, score: f32, at: u8, shift: f32) -> Detection {
    Detection { class, score, bbox: place(at, shift) }
}

fn map50(detections: &[Detection], truth: &[GroundTruth]) -> f64 {
    let mut scorer = Scorer::new(2);
    scorer.add(detections, truth);
    scorer.score().map50
}

#[track_caller]
fn assert_near(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-9, "{got} is not {wanted}");
}

#[test]
fn all_found_is_one_and_nothing_found_is_zero() {
    let truth = [object(0, 0), object(1, 1)];
    assert_near(map50(&[found(0, 0.9, 0, 0.0), found(1, 0.2, 1, 0.1)], &truth), 1.0);
    assert_near(map50(&[], &truth), 0.0);
    assert_near(map50(&[], &[]), 0.0);
}

#[test]
fn area_under_the_envelope_by_hand() {
    // Right, wrong, right, of three objects: precisions 1, 1/2, 2/3; envelope 1 then 2/3.
    let truth = [object(0, 0), object(0, 1), object(0, 2)];
    let detections = [found(0, 0.9, 0, 0.0), found(0, 0.8, 5, 0.0), found(0, 0.7, 1, 0.0)];
    assert_near(map50(&detections, &truth), (1.0 + 2.0 / 3.0) / 3.0);
    // Wrong, right, right, of two: precisions 0, 1/2, 2/3; the envelope lifts 1/2 to 2/3.
    let truth = [object(0, 0), object(0, 1)];
    let detections = [found(0, 0.9, 5, 0.0), found(0, 0.8, 0, 0.0), found(0, 0.7, 1, 0.0)];
    assert_near(map50(&detections, &truth), 2.0 / 3.0);
}

#[test]
fn a_second_hit_on_the_same_object_is_wrong() {
    let truth = [object(0, 0), object(0, 1)];
    let detections = [found(0, 0.9, 0, 0.0), found(0, 0.8, 0, 0.05), found(0, 0.7, 1, 0.0)];
    assert_near(map50(&detections, &truth), (1.0 + 2.0 / 3.0) / 2.0);
}

#[test]
fn overlap_below_a_half_is_wrong() {
    let truth = [object(0, 0)];
    // Shifted by 0.3 of the width: IoU 0.7 / 1.3 = 0.54; by 0.4: 0.6 / 1.4 = 0.43.
    assert_near(map50(&[found(0, 0.9, 0, 0.3)], &truth), 1.0);
    assert_near(map50(&[found(0, 0.9, 0, 0.4)], &truth), 0.0);
}

#[test]
fn difficult_objects_count_neither_way() {
    let truth = [object(0, 0), GroundTruth { difficult: true, ..object(0, 1) }];
    assert_near(map50(&[found(0, 0.9, 1, 0.0), found(0, 0.8, 0, 0.0)], &truth), 1.0);
    assert_near(map50(&[found(0, 0.8, 0, 0.0)], &truth), 1.0);
}

#[test]
fn the_mean_is_over_classes_in_the_truth() {
    let mut scorer = Scorer::new(3);
    scorer.add(&[found(0, 0.9, 0, 0.0), found(2, 0.9, 4, 0.0)], &[object(0, 0), object(1, 1)]);
    scorer.add(&[found(7, 0.9, 0, 0.0)], &[]);
    let score = scorer.score();
    assert_eq!(score.per_class, [Some(1.0), Some(0.0), None]);
    assert_eq!((score.map50, score.pictures, score.objects), (0.5, 2, 2));
}

#[test]
fn scores_are_ranked_over_all_pictures() {
    let mut scorer = Scorer::new(1);
    scorer.add(&[found(0, 0.3, 0, 0.0)], &[object(0, 0)]);
    scorer.add(&[found(0, 0.6, 3, 0.0)], &[]);
    // The surer detection is wrong: precision 1/2 at full recall.
    assert_near(scorer.score().map50, 0.5);
}

#[test]
fn the_papers_metric_ends_the_curve_at_its_cut() {
    // Right, wrong, right, of two; the last is less sure than the cut: full recall is not reached.
    let truth = [object(0, 0), object(0, 1)];
    let detections = [found(0, 0.9, 0, 0.0), found(0, 0.8, 5, 0.0), found(0, 0.4, 1, 0.0)];
    let mut scorer = Scorer::new(1);
    scorer.add(&detections, &truth);
    assert_near(scorer.score().map50, (1.0 + 2.0 / 3.0) / 2.0);
    assert_near(scorer.paper_score().map50, 0.5);
}

#[test]
fn a_detection_at_the_cut_is_dropped() {
    let mut scorer = Scorer::new(1);
    scorer.add(&[found(0, PAPER_LEAST_SCORE, 0, 0.0)], &[object(0, 0)]);
    assert_near(scorer.paper_score().map50, 0.0);
    scorer.add(&[found(0, PAPER_LEAST_SCORE.next_up(), 0, 0.0)], &[object(0, 0)]);
    assert_near(scorer.paper_score().map50, 0.5);
}

#[test]
fn a_class_that_lost_its_pictures_is_left_out_of_the_mean() {
    let pictures = [
        match_picture(&[found(0, 0.9, 0, 0.0)], &[object(0, 0)]),
        match_picture(&[], &[object(1, 0), object(1, 2)]),
    ];
    let ranking = Ranking::new(&pictures, 2);
    let without = ranking.score(&[3], UNCUT);
    assert_eq!(without.per_class, [Some(1.0), None]);
    assert_eq!((without.map50, without.pictures, without.objects), (1.0, 3, 3));
    assert_eq!(ranking.score(&[1, 2], UNCUT).objects, 5);
    assert_eq!(ranking.score(&[], UNCUT).map50, 0.0);
}

#[test]
fn a_picture_travels_as_arrays() {
    let matched = match_picture(&[found(3, 0.5, 0, 0.0)], &[object(3, 0), object(2, 1), object(3, 2)]);
    let json = serde_json::to_string(&matched).unwrap();
    assert_eq!(json, r#"{"hits":[[3,0.5,true]],"objects":[[2,1],[3,2]]}"#);
    assert_eq!(serde_json::from_str::<Matched>(&json).unwrap(), matched);
}

#[test]
fn scores_that_are_no_numbers_are_dropped() {
    let detections = [f32::NAN, f32::INFINITY, 0.5].map(|score| found(0, score, 0, 0.0));
    assert_eq!(match_picture(&detections, &[]).hits, [Hit { class: 0, score: 0.5, right: false }]);
}

/// One picture: detections near and off its objects, some of which are difficult.
fn picture() -> impl Strategy<Value = (Vec<Detection>, Vec<GroundTruth>)> {
    let object = (0u16..3, 0u8..5, any::<bool>()).prop_map(|(class, at, difficult)| GroundTruth {
        class,
        bbox: place(at, 0.0),
        difficult,
    });
    // Coarse scores: ties are part of the game.
    let detection = (0u16..4, 0u8..20, 0u8..6, 0.0f32..0.5)
        .prop_map(|(class, score, at, shift)| found(class, f32::from(score) / 20.0, at, shift));
    (prop::collection::vec(detection, 0..12), prop::collection::vec(object, 0..6))
}

/// The definition in as many words: hits one after the other, precision and recall after each, and under the
/// envelope by steps of recall.
fn naive(pictures: &[(Matched, u32)], class: u16, least_score: f32) -> Option<f64> {
    let of_class = |matched: &Matched| matched.objects.iter().find(|o| o.0 == class).map_or(0, |o| o.1);
    let objects: u32 = pictures.iter().map(|(matched, weight)| weight * of_class(matched)).sum();
    let mut hits: Vec<Hit> = pictures
        .iter()
        .flat_map(|(matched, weight)| matched.hits.iter().map(move |hit| (hit, *weight)))
        .filter(|(hit, _)| hit.class == class && hit.score > least_score)
        .flat_map(|(hit, weight)| std::iter::repeat_n(*hit, weight as usize))
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut curve = Vec::new();
    for n in 1..=hits.len() {
        let right = hits[..n].iter().filter(|hit| hit.right).count() as f64;
        curve.push((right / f64::from(objects), right / n as f64));
    }
    let mut area = 0.0;
    let mut before = 0.0;
    for at in 0..curve.len() {
        let envelope = curve[at..].iter().map(|(_, precision)| *precision).fold(0.0, f64::max);
        area += (curve[at].0 - before) * envelope;
        before = curve[at].0;
    }
    (objects > 0).then_some(area)
}

proptest! {
    #[test]
    fn a_ranking_says_what_the_definition_says(
        pictures in prop::collection::vec((picture(), 0u32..4), 0..8),
        least_score in prop_oneof![Just(UNCUT), Just(PAPER_LEAST_SCORE), 0.0f32..1.0],
    ) {
        let weighted: Vec<(Matched, u32)> =
            pictures.iter().map(|((found, truth), weight)| (match_picture(found, truth), *weight)).collect();
        let (matched, weights): (Vec<_>, Vec<_>) = weighted.iter().cloned().unzip();
        let got = Ranking::new(&matched, 3).score(&weights, least_score);
        for class in 0..3u16 {
            match (got.per_class[usize::from(class)], naive(&weighted, class, least_score)) {
                (Some(got), Some(wanted)) => prop_assert!((got - wanted).abs() < 1e-9, "{} is not {}", got, wanted),
                (got, wanted) => prop_assert_eq!(got, wanted),
            }
        }
        let simple = score(weighted.iter().map(|(matched, weight)| (matched, *weight)), 3, least_score);
        prop_assert_eq!(simple, got);
    }

    #[test]
    fn a_cut_afterwards_is_a_cut_before(
        pictures in prop::collection::vec(picture(), 0..6),
        least_score in prop_oneof![Just(PAPER_LEAST_SCORE), 0.0f32..1.0],
    ) {
        let suppressed = |found: &[Detection]| nms::suppress(found.to_vec(), nms::DEFAULT_IOU);
        let (mut before, mut after) = (Scorer::new(3), Scorer::new(3));
        for (found, truth) in &pictures {
            let sure: Vec<Detection> = found.iter().filter(|d| d.score > least_score).copied().collect();
            before.add(&suppressed(&sure), truth);
            after.add(&suppressed(found), truth);
        }
        prop_assert_eq!(before.score(), Ranking::new(&after.pictures, 3).score_once(least_score));
    }

    #[test]
    fn a_picture_comes_back_from_json((found, truth) in picture(), score in 0.0f32..1.0) {
        let mut matched = match_picture(&found, &truth);
        matched.hits.push(Hit { class: 1, score, right: false });
        let json = serde_json::to_string(&matched).unwrap();
        prop_assert_eq!(serde_json::from_str::<Matched>(&json).unwrap(), matched);
    }
}

/// A bootstrap over the pooled test sets: 300 times 228 pictures with 20 000 hits.
#[test]
fn resampling_is_quick() {
    let mut state = 1_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut hit = || Hit { class: draw(20) as u16, score: draw(1 << 20) as f32 / 1e6, right: draw(10) == 0 };
    let pictures: Vec<Matched> = (0..228)
        .map(|_| Matched {
            hits: (0..88).map(|_| hit()).collect(),
            objects: (0..20).map(|class| (class, 1)).collect(),
        })
        .collect();
    let ranking = Ranking::new(&pictures, 20);
    let start = Instant::now();
    let sum: f64 = (0..300)
        .map(|_| {
            let mut weights = [0; 228];
            (0..228).for_each(|_| weights[draw(228) as usize] += 1);
            ranking.score(&weights, UNCUT).map50
        })
        .sum();
    println!("300 resamples in {:?}", start.elapsed());
    assert!(sum > 0.0 && start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}

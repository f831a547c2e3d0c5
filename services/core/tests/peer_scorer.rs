//! Average precision against an independent scorer: object-detection-metrics, from PyPI, in Python.
#![allow(clippy::unwrap_used)] // helpers of tests may fail loudly

use std::{
    collections::BTreeMap,
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use autotiler_core::{
    BBox, Detection, GroundTruth,
    average_precision::{Matched, PAPER_LEAST_SCORE, Ranking, UNCUT, match_picture},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::json;

/// Where the set-up puts the scorer, below the home directory.
const CACHED: &str = ".cache/autotiler/scorer";
const SETS: usize = 200;
const CLASSES: u16 = 4;
/// Both sum a few dozen ratios in double precision.
const TOLERANCE: f64 = 1e-6;
/// Overlaps this near to one another, or to the bound, may fall either way: ours are in single precision.
const UNSURE_IOU: f64 = 1e-4;

#[derive(Debug, Clone)]
struct Picture {
    found: Vec<Detection>,
    truth: Vec<GroundTruth>,
}

fn bbox() -> impl Strategy<Value = BBox> {
    (0.0f32..0.8, 0.0f32..0.8, 0.05f32..0.2, 0.05f32..0.2).prop_map(|(x0, y0, w, h)| BBox {
        x0,
        y0,
        x1: x0 + w,
        y1: y0 + h,
    })
}

/// Detections of anything, and of each object as many as a detector without suppression may have.
fn picture() -> impl Strategy<Value = Picture> {
    let objects = prop::collection::vec((0..CLASSES, bbox()), 0..7);
    let stray = prop::collection::vec((0..CLASSES, 0.0f32..0.9, bbox()), 0..5);
    let near =
        prop::collection::vec((any::<prop::sample::Index>(), 0.1f32..1.0, -0.4f32..0.4, -0.4f32..0.4), 0..12);
    (objects, stray, near).prop_map(|(objects, stray, near)| {
        let mut found: Vec<Detection> =
            stray.into_iter().map(|(class, score, bbox)| Detection { class, score, bbox }).collect();
        for (at, score, dx, dy) in near.into_iter().filter(|_| !objects.is_empty()) {
            let (class, of) = objects[at.index(objects.len())];
            let (dx, dy) = (dx * of.width(), dy * of.height());
            let bbox = BBox { x0: of.x0 + dx, y0: of.y0 + dy, x1: of.x1 + dx, y1: of.y1 + dy };
            found.push(Detection { class, score, bbox });
        }
        let truth = objects.into_iter().map(|(class, bbox)| GroundTruth { class, bbox, difficult: false });
        let truth: Vec<GroundTruth> = truth.collect();
        found.retain(|found| !is_unsure(found, &truth));
        Picture { found, truth }
    })
}

fn is_unsure(found: &Detection, truth: &[GroundTruth]) -> bool {
    let of_class = truth.iter().filter(|object| object.class == found.class);
    let mut overlaps: Vec<f64> = of_class.map(|object| f64::from(found.bbox.iou(&object.bbox))).collect();
    overlaps.push(0.5);
    overlaps.retain(|&iou| iou > 0.0);
    overlaps.sort_by(f64::total_cmp);
    overlaps.windows(2).any(|pair| pair[1] - pair[0] < UNSURE_IOU)
}

/// A set of pictures, some empty, without two detections of one score: who is first then is nobody's rule.
fn set() -> impl Strategy<Value = Vec<Picture>> {
    prop::collection::vec(picture(), 0..8).prop_map(|mut pictures| {
        let mut seen = std::collections::HashSet::new();
        pictures.iter_mut().for_each(|p| p.found.retain(|found| seen.insert(found.score.to_bits())));
        pictures
    })
}

/// What the peer reads, without detections that score at most `least_score`.
fn exported(set: &[Picture], least_score: f32) -> serde_json::Value {
    let corners = |b: &BBox| [b.x0, b.y0, b.x1, b.y1].map(f64::from);
    let picture = |picture: &Picture| {
        let found = picture.found.iter().filter(|found| found.score > least_score);
        let found: Vec<_> = found
            .map(|d| {
                let [x0, y0, x1, y1] = corners(&d.bbox);
                json!([d.class, f64::from(d.score), x0, y0, x1, y1])
            })
            .collect();
        let truth: Vec<_> = (picture.truth.iter())
            .map(|object| {
                let [x0, y0, x1, y1] = corners(&object.bbox);
                json!([object.class, x0, y0, x1, y1])
            })
            .collect();
        json!({ "found": found, "truth": truth })
    };
    set.iter().map(picture).collect()
}

fn peer_scores(sets: &[serde_json::Value]) -> Vec<BTreeMap<u16, f64>> {
    let mut peer = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/average_precision.py"))
        .env("PYTHONPATH", scorer())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    peer.stdin.take().unwrap().write_all(serde_json::to_string(sets).unwrap().as_bytes()).unwrap();
    let output = peer.wait_with_output().unwrap();
    assert!(output.status.success(), "the peer failed: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The installed peer, from the environment or the cache.
fn scorer() -> PathBuf {
    let given = env::var_os("AUTOTILER_SCORER").map(PathBuf::from);
    let path = given.or_else(|| env::home_dir().map(|home| home.join(CACHED)));
    let path = path.filter(|path| path.join("podm").is_dir());
    path.expect("the scorer is missing: run the set-up, or set AUTOTILER_SCORER to where pip put podm")
}

#[test]
fn an_independent_scorer_says_the_same_with_and_without_the_papers_cut() {
    let mut runner = TestRunner::deterministic();
    let sets: Vec<Vec<Picture>> = (0..SETS).map(|_| set().new_tree(&mut runner).unwrap().current()).collect();
    let cuts = [UNCUT, PAPER_LEAST_SCORE];
    let exports: Vec<_> = sets.iter().flat_map(|set| cuts.map(|cut| exported(set, cut))).collect();
    let mut theirs = peer_scores(&exports).into_iter();
    let (mut compared, mut sum) = (0, 0.0);
    for set in &sets {
        let matched: Vec<Matched> = set.iter().map(|p| match_picture(&p.found, &p.truth)).collect();
        let ranking = Ranking::new(&matched, usize::from(CLASSES));
        for cut in cuts {
            let (ours, theirs) = (ranking.score_once(cut), theirs.next().unwrap());
            for (class, ours) in (0..).zip(ours.per_class) {
                match (ours, theirs.get(&class)) {
                    (Some(ours), Some(theirs)) => {
                        assert!(
                            (ours - theirs).abs() < TOLERANCE,
                            "{ours} is not {theirs}: class {class} of {set:?}"
                        );
                        (compared, sum) = (compared + 1, sum + ours);
                    }
                    (ours, theirs) => assert_eq!(ours.as_ref(), theirs, "class {class} of {set:?}"),
                }
            }
        }
    }
    // The cases are worth comparing: most classes occur, and are found neither always nor never.
    assert!(compared > 2 * SETS, "{compared}");
    let mean = sum / compared as f64;
    assert!((0.1..0.9).contains(&mean), "{mean}");
}

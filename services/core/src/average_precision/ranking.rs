//! Hits of many pictures in the order of their scores: sorted once, scored often.

use super::Matched;

/// The score of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Mean of the average precisions of the classes that occur in the truth; 0 when none does.
    pub map50: f64,
    /// Average precision of each class; `None` for one that does not occur in the truth.
    pub per_class: Vec<Option<f64>>,
    /// Pictures scored, each as often as it counts.
    pub pictures: usize,
    /// Objects to be found in them.
    pub objects: usize,
}

/// Hits of a set of pictures, ready to be scored.
#[derive(Debug, Clone)]
pub struct Ranking {
    classes: Vec<ClassRanking>,
    pictures: usize,
}

/// One class.
#[derive(Debug, Clone, Default)]
struct ClassRanking {
    /// Picture and number of its objects to be found.
    objects: Vec<(u32, u32)>,
    /// The surest first; of equal ones, those of the earlier picture.
    hits: Vec<RankedHit>,
}

#[derive(Debug, Clone, Copy)]
struct RankedHit {
    score: f32,
    picture: u32,
    right: bool,
}

impl Ranking {
    /// Sorts the hits of `pictures`. Those of classes that are not among `classes` are ignored.
    pub fn new<'a>(pictures: impl IntoIterator<Item = &'a Matched>, classes: usize) -> Self {
        let mut ranking = Self { classes: vec![ClassRanking::default(); classes], pictures: 0 };
        for (picture, matched) in (0..).zip(pictures) {
            ranking.pictures += 1;
            for &(class, count) in &matched.objects {
                if let Some(class) = ranking.classes.get_mut(usize::from(class)) {
                    class.objects.push((picture, count));
                }
            }
            for hit in &matched.hits {
                if let Some(class) = ranking.classes.get_mut(usize::from(hit.class)) {
                    class.hits.push(RankedHit { score: hit.score, picture, right: hit.right });
                }
            }
        }
        for class in &mut ranking.classes {
            class.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        ranking
    }

    /// Pictures in it: weights are for so many.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// The score of each picture counted once, without the hits that score at most `least_score`.
    pub fn score_once(&self, least_score: f32) -> Score {
        self.score(&vec![1; self.pictures], least_score)
    }

    /// The score of each picture counted as often as its weight says (0 leaves it out, as do weights that are
    /// missing), without the hits that score at most `least_score`. As if the picture stood there so often, each
    /// hit beside its copies.
    pub fn score(&self, weights: &[u32], least_score: f32) -> Score {
        let per_class: Vec<Option<f64>> =
            self.classes.iter().map(|class| class.average_precision(weights, least_score)).collect();
        let present: Vec<f64> = per_class.iter().flatten().copied().collect();
        let map50 = if present.is_empty() { 0.0 } else { present.iter().sum::<f64>() / present.len() as f64 };
        let pictures = weights.iter().take(self.pictures).map(|&weight| weight as usize).sum();
        let objects = self.classes.iter().map(|class| class.objects(weights) as usize).sum();
        Score { map50, per_class, pictures, objects }
    }
}

impl ClassRanking {
    fn objects(&self, weights: &[u32]) -> u64 {
        self.objects.iter().map(|&(picture, count)| weight(weights, picture) * u64::from(count)).sum()
    }

    fn average_precision(&self, weights: &[u32], least_score: f32) -> Option<f64> {
        let objects = self.objects(weights);
        if objects == 0 {
            return None;
        }
        let kept = self.hits.partition_point(|hit| hit.score > least_score);
        let kept = self.hits.get(..kept).unwrap_or_default();
        let (mut right, mut found) = kept.iter().fold((0, 0), |(right, found), hit| {
            let weight = weight(weights, hit.picture);
            (right + if hit.right { weight } else { 0 }, found + weight)
        });
        // From the least sure one upwards: recall grows by one object at each right detection, and the
        // envelope there is the best precision from there on. Copies of a right detection follow each other,
        // so the last of them has the best precision.
        let (mut best, mut area) = (0.0_f64, 0.0_f64);
        for hit in kept.iter().rev() {
            let weight = weight(weights, hit.picture);
            if hit.right && weight > 0 {
                best = best.max(right as f64 / found as f64);
                area += best * weight as f64;
                right -= weight;
            }
            found -= weight;
        }
        Some(area / objects as f64)
    }
}

fn weight(weights: &[u32], picture: u32) -> u64 {
    weights.get(picture as usize).copied().map_or(0, u64::from)
}

//! Random weights to begin training from.

use std::{collections::HashSet, sync::Arc};

use super::{
    cfg::Cfg,
    error::CfgError,
    plan::{Kind, Plan, Source, YoloPlan},
    weights::{Header, Weights},
};
use crate::darknet::WeightsError;

/// Share of the cells of a raw head that are thought to hold an object before training, so that the many
/// empty cells do not swamp the first steps (focal loss paper, <https://arxiv.org/abs/1708.02002>, 4.1).
const OBJECT_PRIOR: f32 = 0.01;
/// Spread of the kernels before yolo layers: near zero, so that the prior holds at the start.
const HEAD_DEVIATION: f32 = 0.01;

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): the same numbers on every machine, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform, of mean 0 and the given standard deviation.
    fn value(&mut self, deviation: f32) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1_u32 << 24) as f32;
        (2.0 * unit - 1.0) * 3.0_f32.sqrt() * deviation
    }
}

/// Random weights for `cfg`, the same for the same `seed`: kernels after He
/// (<https://arxiv.org/abs/1502.01852>; uniform, variance `2 / fan_in`), biases 0, batch normalisation that
/// changes nothing; before yolo layers small kernels, and objectness that begins at 0.01.
///
/// # Errors
/// [`CfgError`] when the cfg describes no network.
pub fn init(cfg: &Cfg, seed: u64) -> Result<Weights, CfgError> {
    let plan = Plan::new(cfg)?;
    let mut heads: HashSet<String> = HashSet::new();
    for yolo in plan.layers.iter().filter(|layer| matches!(layer.kind, Kind::Yolo(_))) {
        if let [Source::Layer(raw)] = yolo.sources[..] {
            heads.insert(format!("{raw}.weight"));
        }
    }
    let mut random = Random(seed);
    let filled = Weights::fill(&plan, |name, dims| {
        let values = dims.iter().product();
        let array = match name.split_once('.').map(|(_, array)| array) {
            Some("scale" | "variance") => vec![1.0; values],
            Some("weight") => {
                let fan_in: usize = dims[1..].iter().product();
                let he = (2.0 / fan_in as f32).sqrt();
                let deviation = if heads.contains(&name) { HEAD_DEVIATION } else { he };
                (0..values).map(|_| random.value(deviation)).collect()
            }
            _ => vec![0.0; values],
        };
        Ok(Arc::new(array))
    });
    let mut layers = match filled {
        Ok(layers) => layers,
        Err(WeightsError::Cfg(error)) => return Err(error),
        Err(_) => unreachable!("generated arrays are finite and of the length asked for"),
    };
    for layer in &plan.layers {
        if let (Kind::Yolo(yolo), [Source::Layer(raw)]) = (&layer.kind, &layer.sources[..]) {
            for conv in layers.iter_mut().filter(|conv| usize::from(conv.layer.0) == *raw) {
                conv.bias = Arc::new(prior(yolo));
            }
        }
    }
    Ok(Weights { header: Header::current(0), layers })
}

/// Biases of a raw head: `x, y, w, h, objectness, classes` for each anchor.
fn prior(yolo: &YoloPlan) -> Vec<f32> {
    let objectness = (OBJECT_PRIOR / (1.0 - OBJECT_PRIOR)).ln();
    let anchor = (0..5 + yolo.classes).map(|map| if map == 4 { objectness } else { 0.0 });
    (0..yolo.mask.len()).flat_map(|_| anchor.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CFG: &str = "[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=64\nsize=3\npad=1\n\
        batch_normalize=1\nactivation=leaky\n[convolutional]\nfilters=14\nactivation=linear\n\
        [yolo]\nclasses=2\nanchors=1,2,3,4\nnum=2\n";

    #[test]
    fn a_seed_gives_the_same_weights_again_and_another_seed_others() {
        let cfg = Cfg::parse(CFG).unwrap();
        assert_eq!(init(&cfg, 7).unwrap(), init(&cfg, 7).unwrap());
        assert_ne!(init(&cfg, 7).unwrap(), init(&cfg, 8).unwrap());
    }

    #[test]
    fn kernels_have_the_variance_of_he() {
        let weights = init(&Cfg::parse(CFG).unwrap(), 1).unwrap();
        let kernel = &weights.layers[0].kernel;
        let variance = kernel.iter().map(|tap| tap * tap).sum::<f32>() / kernel.len() as f32;
        assert!((variance - 2.0 / 27.0).abs() < 0.01, "{variance}");
    }

    #[test]
    fn objectness_begins_at_its_prior() {
        let weights = init(&Cfg::parse(CFG).unwrap(), 1).unwrap();
        let bias = &weights.layers[1].bias;
        assert_eq!(bias.len(), 14);
        for (map, value) in bias.iter().enumerate() {
            let score = 1.0 / (1.0 + (-value).exp());
            let expected = if map % 7 == 4 { 0.01 } else { 0.5 };
            assert!((score - expected).abs() < 1e-6, "{map}: {score}");
        }
    }
}

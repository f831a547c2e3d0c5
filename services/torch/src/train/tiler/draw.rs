//! Which pictures and which gains a step sees: by its number alone, so that a resumed run sees what an unbroken one
//! would.

use autotiler_core::Gain;
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::Recipe;

/// Numbers of the pictures of a step, of `len`: each epoch is another order of all of them.
pub(super) fn numbers(recipe: &Recipe, step: u64, len: usize) -> Vec<usize> {
    let batch = recipe.batch;
    let first = step as usize * batch;
    let order = |epoch: usize| {
        let mut order: Vec<usize> = (0..len).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(recipe.seed ^ ((epoch as u64 + 1) << 32)));
        order
    };
    let (epoch, place) = (first / len, first % len);
    let mut all = order(epoch);
    if place + batch > len {
        all.extend((epoch + 1..=epoch + 1 + batch / len).flat_map(order));
    }
    all.into_iter().skip(place).take(batch).collect()
}

/// A gain for each picture of a step, one from each equal part of the range: a step that saw only coarse planes
/// would undo what the last one learned of fine ones.
pub(super) fn gains(recipe: &Recipe, step: u64) -> Vec<Gain> {
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed.wrapping_add(1 + step));
    let (Gain(low), Gain(high)) = recipe.gains;
    let part = f64::from(high.saturating_sub(low)) / recipe.batch.max(1) as f64;
    let within = |place| f64::from(low) + (place as f64 + rng.random::<f64>()) * part;
    (0..recipe.batch).map(within).map(|gain| Gain(gain.round() as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::{RecipeFile, TilerPreset};

    fn recipe(batch: usize) -> Recipe {
        Recipe { batch, ..RecipeFile::for_any(TilerPreset::Lite).run() }
    }

    #[test]
    fn an_epoch_holds_every_picture_once() {
        for (batch, len) in [(3, 12), (5, 12), (8, 3)] {
            let steps = (0..12).flat_map(|step| numbers(&recipe(batch), step, len));
            let mut first: Vec<usize> = steps.take(len).collect();
            first.sort_unstable();
            assert_eq!(first, (0..len).collect::<Vec<_>>(), "{batch} of {len}");
            assert_eq!(numbers(&recipe(batch), 7, len).len(), batch);
        }
    }

    #[test]
    fn gains_of_a_step_cover_the_range() {
        let Recipe { gains: (Gain(low), Gain(high)), .. } = recipe(4);
        let part = f64::from(high - low) / 4.0;
        for step in 0..50 {
            for (place, Gain(gain)) in gains(&recipe(4), step).into_iter().enumerate() {
                let from = f64::from(low) + part * place as f64;
                // Rounded to whole steps.
                assert!(
                    (from - 0.5..=from + part + 0.5).contains(&f64::from(gain)),
                    "{gain} in part {place}"
                );
            }
        }
    }
}

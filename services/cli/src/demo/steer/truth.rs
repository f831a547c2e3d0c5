//! What is in the pictures that all cameras see.

use std::collections::BTreeMap;

use autotiler_core::{
    Detection, GroundTruth,
    average_precision::{Matched, Score, UNCUT, match_picture, score},
};
use autotiler_model::Model;
use autotiler_scene::{World, WorldOptions, world::TEST_SEED};

/// The annotations of the generated pictures, drawn when they are asked for.
pub(super) struct Truth {
    world: World,
    classes: usize,
    known: BTreeMap<u32, Vec<GroundTruth>>,
}

impl Truth {
    pub(super) fn new(model: &Model) -> Self {
        let input = model.network.input;
        let world = World::new(WorldOptions { seed: TEST_SEED, width: input.w, height: input.h });
        Self { world, classes: model.manifest.classes.len(), known: BTreeMap::new() }
    }

    /// The mean AP of these pictures, by their numbers and what was found in them.
    pub(super) fn map50<'a>(&mut self, found: impl IntoIterator<Item = (u32, &'a [Detection])>) -> f64 {
        let matched = found.into_iter().map(|(number, found)| {
            let world = &self.world;
            let truth = self.known.entry(number).or_insert_with(|| world.scene(number).truth);
            match_picture(found, truth)
        });
        let matched: Vec<Matched> = matched.collect();
        let Score { map50, .. } = score(matched.iter().map(|picture| (picture, 1)), self.classes, UNCUT);
        map50
    }
}

//! The parameter sets of this run, by digest, for decoders that ask.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use autotiler_hevc::ParameterSets;
use bytes::Bytes;

/// Sets that are kept: as many as the formats that a device changes between.
const KEPT: usize = 64;

/// The newest parameter sets. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ParameterBook(Arc<Mutex<VecDeque<(u32, Bytes)>>>);

impl ParameterBook {
    /// Keeps `sets`, if they are not kept already.
    pub fn keep(&self, sets: &ParameterSets) {
        let digest = sets.digest().0;
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if book.iter().all(|(kept, _)| *kept != digest) {
            book.truncate(KEPT - 1);
            book.push_front((digest, sets.annex_b().clone()));
        }
    }

    /// The sets of `digest`, as Annex B writes them.
    pub fn find(&self, digest: u32) -> Option<Bytes> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter().find(|(kept, _)| *kept == digest).map(|(_, sets)| sets.clone())
    }
}

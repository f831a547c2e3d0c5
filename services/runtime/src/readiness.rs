//! Readiness as latches: a process is ready when everything that it depends on says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The latches of one process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    latches: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

/// The say of one dependency. It holds readiness back until it is released, and again when it is held;
/// dropping it changes nothing.
#[derive(Debug)]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// No latches: ready at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dependency, not yet released. A name taken twice is one latch with two owners.
    pub fn require(&self, name: &'static str) -> Latch {
        self.locked().insert(name, false);
        Latch { name, readiness: self.clone() }
    }

    /// Names of the dependencies that hold readiness back, in order of name.
    pub fn missing(&self) -> Vec<&'static str> {
        self.locked().iter().filter(|(_, released)| !**released).map(|(name, _)| *name).collect()
    }

    /// Whether nothing is missing.
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        // A map of flags is whole at any instant, so a panic elsewhere cannot have left it torn.
        self.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// The dependency is there.
    pub fn release(&self) {
        self.set(true);
    }

    /// The dependency is gone.
    pub fn hold(&self) {
        self.set(false);
    }

    /// [`Latch::release`] while `healthy`, [`Latch::hold`] otherwise. Logged on change only.
    pub fn set(&self, healthy: bool) {
        let before = self.readiness.locked().insert(self.name, healthy);
        if before != Some(healthy) {
            tracing::debug!(dependency = self.name, healthy, "readiness latch");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_latch_is_released() {
        let readiness = Readiness::new();
        let (nats, model) = (readiness.require("nats"), readiness.require("model"));
        assert_eq!(readiness.missing(), ["model", "nats"]);
        nats.release();
        assert_eq!(readiness.missing(), ["model"]);
        model.release();
        assert!(readiness.is_ready());
        nats.hold();
        assert_eq!(readiness.missing(), ["nats"]);
    }
}
